"""The files of a repository on the hub: out of this machine's cache, or fetched, and then only those that loading reads."""

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from audit_assets.errors import InputError
from audit_assets.models.architectures import PLUG_IN
from audit_assets.untrusted.layout import (
    INDEX,
    PEFT_CONFIG,
    PEFT_WEIGHTS,
    PICKLES,
    check_variant,
    components,
    problem_of_other_formats,
    read_names,
    weights_by_variant,
)
from audit_assets.untrusted.weights import read_json

HUB = "hub:"
"""audit.yaml has this before the id of a repository on the hub (`hub:owner/name`).

Everything else is a path on this machine.
"""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CACHED = "models--"
"""The client's cache has the folder `models--owner--name/snapshots/<commit>` for the files of a commit."""
Kind = Literal["pipeline", "encoder", "adapter"]


def from_hub(name: str, revision: str | None, kind: Kind, variant: str | None, *, fetch: bool) -> tuple[Path, str]:
    """Return the folder of a repository's files, and its commit. With `fetch`, missing files are fetched.

    InputError says what to do: accept terms, log in, correct the id, fetch, or convert.
    """
    if not ID.fullmatch(name) or ".." in name or "--" in name:
        raise InputError(f"{HUB}{name}: is no id of the hub; write {HUB}owner/name.")
    if revision is None or not _COMMIT.fullmatch(revision):
        raise InputError(
            f"{HUB}{name}: its `revision` is {revision!r}, and a branch or a tag can be moved to other files; give the 40 "
            "digits of a commit, as the repository's history on the hub shows it."
        )
    folder = _cached(name, revision)
    missing = _missing(folder, name, kind, variant) if folder else None
    if folder is not None and missing == []:
        return folder, revision
    if fetch:
        return _fetched(name, revision, kind, variant), revision
    if folder is None or missing:
        what = "is not" if not missing else f"lacks {_few(missing)}"
        raise InputError(
            f"{HUB}{name}: commit {revision} {what} in the cache of this machine; set HF_HUB_OFFLINE=0 to let this command fetch "
            "it, or copy the cache of a machine that has it."
        )
    return (
        folder,
        revision,
    )  # an older client kept no listing; what a model cannot do without is checked when it is opened


def in_cache(folder: Path, revision: str | None, kind: Kind | None, variant: str | None) -> tuple[Path, str | None]:
    """Return the folder of a model's files, and its revision, if `folder` is or lies in the cache of the hub's client.

    Any other folder is returned as it is. InputError if the commit is not clear, or if its download was interrupted.
    """
    if folder.name.startswith(_CACHED) and (folder / "snapshots").is_dir():
        commits = sorted(p.name for p in (folder / "snapshots").iterdir() if p.is_dir())
        commit = commits[0] if revision is None and len(commits) == 1 else revision
        if commit not in commits:
            there = f"it has {', '.join(commits)}" if commits else "it has none"
            raise InputError(
                f"{folder}: is the cache of a repository; choose one of its commits by `revision` ({there})."
            )
        folder = folder / "snapshots" / commit
    elif not (
        folder.parent.name == "snapshots"
        and folder.parent.parent.name.startswith(_CACHED)
        and _COMMIT.fullmatch(folder.name)
    ):
        return folder, revision
    if revision not in (None, folder.name):
        raise InputError(
            f"{folder}: is the commit {folder.name}, and `revision` is {revision!r}; correct one of the two."
        )
    name = folder.parent.parent.name.removeprefix(_CACHED).replace("--", "/")
    if kind is not None and (missing := _missing(folder, name, kind, variant)):
        raise InputError(f"{folder}: lacks {_few(missing)}, which the repository has; fetch or copy it again.")
    return folder, folder.name


def _cached(name: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:  # With another pattern, the client asks for files that loading does not read.
        return Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=[]))
    except LocalEntryNotFoundError:
        return None


def _missing(snapshot: Path, name: str, kind: Kind, variant: str | None) -> list[str] | None:
    """Return the files that loading reads and that a snapshot lacks. None if the cache has no listing of the commit."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        listed = get_cached_repo_tree(name, revision=snapshot.name, cache_dir=snapshot.parent.parent.parent)
    except CachedRepoTreeNotFoundError:
        return None
    names = [file.path for file in listed]
    is_pipeline = kind == "pipeline" and INDEX in names
    if is_pipeline and not (snapshot / INDEX).is_file():
        return [INDEX]
    index = read_json(snapshot / INDEX) if is_pipeline else None
    return [file for file in _wanted(names, index, kind, variant) if not (snapshot / file).is_file()]


def _fetched(name: str, revision: str, kind: Kind, variant: str | None) -> Path:
    """Fetch the files that loading reads, and the card with the licence."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    with _hub_errors(name, revision):
        names = HfApi().list_repo_files(name, revision=revision)
        is_pipeline = kind == "pipeline" and INDEX in names
        index = read_json(Path(hf_hub_download(name, INDEX, revision=revision))) if is_pipeline else None
        try:
            wanted = files_to_fetch(Path(name), revision, names, index, kind, variant)
        except InputError as error:
            raise InputError(f"{HUB}{error}") from None
        patterns = [glob.escape(file) for file in (*wanted, "README.md")]
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))


@contextmanager
def _hub_errors(name: str, revision: str) -> Iterator[None]:
    """Every exception of the hub's client becomes InputError with what to do."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except (InputError, MemoryError):
        raise
    except GatedRepoError:
        raise InputError(
            f"{HUB}{name}: its owners give its files only to those who accept their terms; open https://huggingface.co/{name} in a "
            "browser with your account, accept the terms, and wait if the page says that the owners decide. Then log in on this "
            "machine with `hf auth login`, or set HF_TOKEN to a token of that account which may read gated repositories."
        ) from None
    except RevisionNotFoundError:
        raise InputError(
            f"{HUB}{name}: has no commit {revision}; copy the 40 digits from the repository's history on the hub."
        ) from None
    except RepositoryNotFoundError:
        raise InputError(
            f"{HUB}{name}: the hub has no such repository, or it is private; correct the id, or log in with `hf auth login` with an "
            "account that may read it."
        ) from None
    except Exception as error:  # the client raises also the errors of its own client and of the disk
        said = " ".join(str(error).split())[:300]
        if isinstance(error, HfHubHTTPError) and error.response.status_code == 401:
            raise InputError(
                f"{HUB}{name}: the hub does not accept the token of this machine; replace it with `hf auth login`, or correct HF_TOKEN."
            ) from None
        raise InputError(
            f"{HUB}{name}: cannot be fetched ({type(error).__name__}: {said}); check the network and the free space of the disk, and "
            "run again. Files that were fetched are kept."
        ) from None


def files_to_fetch(
    place: Path, revision: str, names: Sequence[str], index: dict[str, Any] | None, kind: Kind, variant: str | None
) -> list[str]:
    """Return which files of a repository loading reads, by its listing.

    InputError if the listing shows that they cannot be used, before gigabytes are fetched.
    """
    top = [name for name in names if "/" not in name]
    if kind == "adapter":
        _check_adapter(place, revision, names)
    elif kind == "encoder":
        if "config.json" not in top:
            raise InputError(
                f"{place}: has no config.json, so it is no model of transformers; take a repository with the conversion for "
                f"transformers (config.json and model.safetensors), {PLUG_IN}."
            )
        _check_folder(place, top, variant)
    elif index is None:
        whole = next((name for name in sorted(top) if name.endswith(".safetensors")), None)
        raise InputError(
            f"{place}: has no {INDEX}, so it is no pipeline of diffusers; "
            + (
                f"if {whole} is a model in one file, fetch it ({_command(place, whole, revision)}), and give its path, with the folder "
                "of its configuration as `config`."
                if whole
                else "give a repository in the layout of diffusers."
            )
        )
    else:
        found: set[str | None] = set()
        for component in components(index):
            own = [PurePosixPath(name).name for name in names if PurePosixPath(name).parent == PurePosixPath(component)]
            if "config.json" in own:  # only a component with weights has this file
                found |= _check_folder(place / component, own, variant, place)
        if variant is not None and variant not in found:
            raise InputError(f"{place}: holds no weights of the variant {variant!r}; correct `variant`, or delete it.")
    return _wanted(names, index, kind, variant)


def _wanted(names: Sequence[str], index: dict[str, Any] | None, kind: Kind, variant: str | None) -> list[str]:
    """Return which files of a repository loading reads."""
    if kind != "adapter":
        return read_names(names, index, variant)
    weights = [PEFT_WEIGHTS] if PEFT_WEIGHTS in names else [n for n in names if re.fullmatch(r"[^/]+\.safetensors", n)]
    return [*weights, *(name for name in names if name == PEFT_CONFIG)]


def _check_folder(
    folder: Path, names: Sequence[str], variant: str | None, pipeline: Path | None = None
) -> set[str | None]:
    """Return the variants of a folder's weights. InputError if it has no weights that are loaded."""
    found = weights_by_variant(names)
    check_variant(folder, found, variant, of_pipeline=pipeline is not None)
    if not found:
        problem = problem_of_other_formats(folder, names, pipeline)
        raise InputError(
            f"{problem} Often another commit or a pull request of the repository has safetensors: then give its 40 digits as "
            "`revision`."
            if problem
            else f"{folder}: holds no weights that are loaded (model.safetensors or diffusion_pytorch_model.safetensors); give "
            "another repository or commit."
        )
    return set(found)


def _check_adapter(place: Path, revision: str, names: Sequence[str]) -> None:
    """Raise InputError if it is not clear which file is the adapter."""
    top = sorted(name for name in names if "/" not in name and name.endswith(".safetensors"))
    if len(top) == 1 or PEFT_WEIGHTS in top:
        return
    anywhere = top or sorted(name for name in names if name.endswith(".safetensors"))
    if anywhere:
        where = "" if top else ", all of them in folders"
        raise InputError(
            f"{place}: holds {len(anywhere)} .safetensors files ({_few(anywhere)}){where}; fetch the adapter's own "
            f"({_command(place, anywhere[0], revision)}), and give the path of the file."
        )
    pickle = next((name for name in sorted(names) if PurePosixPath(name).suffix.lower() in PICKLES), None)
    if pickle:
        saved = PurePosixPath(pickle).with_suffix(".safetensors").name
        raise InputError(
            f"{place / pickle}: is a pickle, which can run code when it is opened; fetch and convert it on a machine that may run code "
            f"of its authors: `import torch; from safetensors.torch import save_file; save_file(torch.load('{pickle}', "
            f"weights_only=True), '{saved}')`, and give the path of {saved}."
        )
    raise InputError(f"{place}: holds no .safetensors file, so no adapter; give another repository or commit.")


def _command(place: Path, file: str, revision: str) -> str:
    return f"`hf download {place.as_posix()} {file} --revision {revision}`"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
