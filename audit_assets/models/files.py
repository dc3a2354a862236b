"""These functions find the files of a model or an encoder, check that they are whole, and hash them.

The hash ties results to the files. No torch is needed.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.hashing import sha256_once
from audit_assets.models.hub import HUB, ID, Kind, from_hub, in_cache
from audit_assets.untrusted.layout import INDEX, is_weight, read_names
from audit_assets.untrusted.weights import read_json

_KNOWN_TEXT_ENCODERS = {
    ("clip_text_model", 768): "clip-vit-l-14",
    ("clip_text_model", 1024): "openclip-vit-h-14",
    ("clip_text_model", 1280): "openclip-vit-bigg-14",
    ("t5", 4096): "t5-xxl",
}
KNOWN_FAMILIES = frozenset(_KNOWN_TEXT_ENCODERS.values())
"""These text encoders have a name. Only of these can a report say that a generator and an encoder share them."""


def text_encoder_family(config: dict[str, Any]) -> str:
    """Return a text encoder's family by its config's type and width. `<type>-<width>` stands for one without a name."""
    kind, width = str(config.get("model_type", "unknown")), config.get("hidden_size") or config.get("d_model")
    known = _KNOWN_TEXT_ENCODERS.get((kind, width)) if isinstance(width, int) else None
    return known or f"{kind}-{width}"


def is_on_hub(path: str) -> bool:
    """Return whether a path of audit.yaml is the id of a repository on the hub.

    A path never becomes an id because no folder exists.
    """
    return path.startswith(HUB)


def may_fetch() -> bool:
    """Return whether this process may ask the hub. It may only if HF_HUB_OFFLINE is set to 0."""
    return os.environ.get("HF_HUB_OFFLINE", "1").strip().lower() in ("0", "false", "no", "off")


def local_folder(
    path: str, revision: str | None, kind: Kind | None = None, variant: str | None = None, *, fetch: bool = True
) -> tuple[Path, str | None]:
    """Return the folder of a model, and its revision.

    A `hub:` id is taken from the cache or, with `fetch` and online, from the hub; `kind` and `variant` choose its files.
    A path may be in the layout of that cache. InputError if no such folder exists, if an id is not pinned to a commit, if
    it is neither in the cache nor may be fetched, or if its files in the cache are incomplete.
    """
    if is_on_hub(path):
        if kind is None:
            raise InputError(f"{path}: must be a folder on this machine; fetch the repository, and give the path.")
        name = path.removeprefix(HUB).strip()
        return from_hub(name, revision, kind, variant, fetch=fetch and may_fetch())
    folder = Path(path)
    if os.path.isdir(folder):  # Path.is_dir raises if a name is longer than the filesystem allows
        return in_cache(folder, revision, kind, variant)
    parts = folder.parts[-2:]
    hint = f", or write `{HUB}{'/'.join(parts)}` for a repository on the hub" if ID.fullmatch("/".join(parts)) else ""
    raise InputError(f"{path}: there is no such folder; correct the path{hint}.")


@contextmanager
def loading(folder: Path, what: str, done: str = "loaded") -> Iterator[None]:
    """Load or use a model inside this block. ``done`` is the word for it in the message.

    Every exception of diffusers or transformers becomes InputError, since it is about the user's files.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each library under them raises its own exceptions
        # Without sentencepiece, transformers takes the file for tiktoken's, and asks for that instead.
        if {"sentencepiece", "tiktoken"} & set(re.findall(r"\w+", str(error).lower())):
            package = "sentencepiece" if any(folder.rglob("*.model")) else "sentencepiece or tiktoken"
            raise InputError(
                f"{folder}: a tokenizer needs the package {package}; install it with `pip install 'audit_assets[sentencepiece]'`, or save "
                "the tokenizer with its tokenizer.json."
            ) from error
        # transformers begins some messages with an empty line.
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "it says no more")
        if "torchvision::" in said:
            raise InputError(
                f"{folder}: {what} needs a torchvision that was built for the installed torch, and this one was built for another; install "
                "both from one index, at the versions that belong together."
            ) from error
        if needed := re.search(r"requires the (\w+) library", said):
            raise InputError(f"{folder}: {what} needs the package {needed[1].lower()}; install it ({said}).") from error
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise InputError(f"{folder}: {what} needs the package {error.name}; install it.") from error
        raise InputError(
            f"{folder}: {what} cannot be {done} ({type(error).__name__}: {said}); copy it again, or save it with the installed version of its library."
        ) from error


def read_files(folder: Path, variant: str | None = None, in_file: Collection[str] = ()) -> list[Path]:
    """Return every file that loading may read, in order of path. InputError names a link to a file that is gone.

    The weights of the components `in_file` come from elsewhere, and are not read here.
    """
    index = read_json(folder / INDEX) if (folder / INDEX).exists() else None
    files = [folder / name for name in read_names(names_below(folder), index, variant)]
    files = [f for f in files if f.parent.name not in in_file or not is_weight(f.name)]
    return check_links(files)


def check_links(files: list[Path]) -> list[Path]:
    """Return the files. InputError names a link to a file that is gone."""
    gone = next((file for file in files if not file.is_file()), None)
    if gone is not None:
        raise InputError(f"{gone}: is a link to a file that is gone; copy the model again, or fetch it again.")
    return files


def names_below(folder: Path) -> list[str]:
    """Return the paths of all files below a folder. A link to a folder is followed, because loading follows it."""
    names, seen = [], set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(parent))
        folders[:] = [f for f in folders if os.path.realpath(os.path.join(parent, f)) not in seen]
        below = Path(parent).relative_to(folder)
        names += [(below / file).as_posix() for file in files]
    return names


def files_sha256(
    folder: Path, variant: str | None = None, one_file: Path | None = None, in_file: Collection[str] = ()
) -> str:
    """Return the sha256 over the sorted (relative path, sha256) of every file that loading may read, `one_file` first."""
    total = hashlib.sha256()
    if one_file is not None:
        total.update(f"{sha256_once(one_file)}\n".encode())
    for file in read_files(folder, variant, in_file):
        total.update(f"{file.relative_to(folder).as_posix()}\0{sha256_once(file)}\n".encode())
    return total.hexdigest()
