"""Write an audit file from what a person has: a folder of works, a model and an encoder.

Every part is opened before a line is written. What was found, and what could not be used, is listed by name. A file that
exists is never overwritten.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from audit_assets.config import load_audit
from audit_assets.errors import InputError, writing
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.files import is_on_hub
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers, resolve_folder
from audit_assets.roster.artists import artists_of, check_folder
from audit_assets.roster.captions import caption_batches, caption_shards
from audit_assets.roster.homes import unread_works, works_of
from audit_assets.roster.name_forms import fault, mended
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import parts_in_any_order
from audit_assets.roster.pictures import different, left_out, repeated
from audit_assets.roster.slugs import slug
from audit_assets.untrusted.folders import SUFFIXES, artist_folders, is_dropping
from audit_assets.untrusted.spreadsheet import as_csv
from audit_assets.untrusted.tables import clean

PROTOCOL, RANDOM_NAMES, RECOMBINED_NAMES = "paper_2023_small", 99, 5
"""The plan of a first audit: five images per name, and the control names with which one artist can reach p = 0.01."""
THOROUGH = {"protocol": "paper_2023", "random_names": 199, "recombined_names": 20}
"""The plan of the paper, with ten images per name."""


_BY_HAND = (
    "If the name is right as it is, write the audit file by hand, with another form of the name among its aliases."
)


_KEY = re.compile(r"(?:[^\W_]+(?:['\u2019][^\W_]+)*[-_]+)+[^\W_]+(?:['\u2019][^\W_]+)*")
"""Words that hyphens or underscores join, as in the key of a name. An apostrophe may stand within a word."""
_BEGINNING = re.compile(r"(?:^|(?<=\s))[^\W_]+|(?<=['\u2019])[^\W_]{2,}")
"""What gets a capital: each word, and what follows an apostrophe, but for the "s" of "king's"."""


@dataclass(frozen=True)
class Wanted:
    """What a person said on the command line. Paths are as they were given. `artist` is empty if `works` has one folder per artist."""

    works: Path
    models: Sequence[str]
    encoders: Sequence[str]
    artist: str = ""
    locale: str = ""
    background: Path | None = None
    captions: str = ""
    revision: str = ""
    thorough: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Found:
    """The lines for the person: what was found and will be used, and what could not be used and why."""

    used: list[str] = field(default_factory=list)
    not_used: list[str] = field(default_factory=list)


def has_one_artist(works: Path) -> bool:
    """Whether a folder holds images itself, and so the works of one artist. InputError if it holds neither images nor folders."""
    if works.is_file():
        raise InputError(f"{works}: is a file; unpack it if it is an archive, and give the folder of the works.")
    if not works.is_dir():
        raise InputError(f"{works}: there is no such folder; give the folder of the works.")
    if any(_is_image(p) for p in works.iterdir()):
        return True
    if any(_is_image(p) for own in artist_folders(works) for p in own.iterdir()):
        return False
    others = ", ".join(sorted({p.suffix or "no suffix" for p in works.rglob("*") if p.is_file()})[:6]) or "nothing"
    raise InputError(
        f"{works}: holds no image ({others}); put {', '.join(sorted(SUFFIXES))} files there, or one folder of them per artist."
    )


def write_audit(file: Path, wanted: Wanted) -> Found:
    """Write `file`, and `artists.csv` beside it if `works` has one folder per artist. InputError if a part is refused.

    Nothing is written unless the model, the encoders and at least one work can be opened.
    """
    file = file.resolve()
    one = has_one_artist(wanted.works)
    table = file.parent / "artists.csv"
    for own in [file] if one else [file, table]:
        if os.path.lexists(own):
            raise InputError(
                f"{own}: exists, and is not overwritten; take it away, or give another name with --config."
            )
    if one and not wanted.artist:
        raise InputError(f"{wanted.works}: holds images of one artist; give the artist's name with --artist.")
    if not one and wanted.artist:
        raise InputError(
            f"{wanted.works}: holds folders ({_listed(artist_folders(wanted.works))}) and no image itself. If all are works of "
            f"{wanted.artist}, put them into one folder; if each folder is of another artist, leave out --artist, or give the folder of this artist's works."
        )
    if one and (wrong := fault(clean(wanted.artist.strip())[0])):
        raise InputError(f"--artist: {wrong}. {_BY_HAND}")
    if wanted.revision and not any(is_on_hub(path) for path in (*wanted.models, *wanted.encoders)):
        raise InputError(
            "--revision: is the commit of a model or encoder on the hub (`hub:owner/name`), and none is given; leave it out."
        )
    found = Found()
    base = file.parent
    plan = THOROUGH if wanted.thorough else {
        "protocol": PROTOCOL, "random_names": RANDOM_NAMES, "recombined_names": RECOMBINED_NAMES
    }  # fmt: skip
    content: dict[str, Any] = {"protocol": plan["protocol"]}
    names = {} if one else _names(wanted.works, found)
    if one:
        artist = {"name": wanted.artist, **({"locale": wanted.locale} if wanted.locale else {})}
        content["artist"] = wanted.artist if len(artist) == 1 else artist
    else:
        content["roster"] = {"artists": table.name, "criteria": len(names), "most_mentioned": 0}
    if wanted.captions:
        content["captions"] = {
            "path": wanted.captions if "://" in wanted.captions else os.path.abspath(wanted.captions)
        }
    content["controls"] = {"random_names": plan["random_names"], "recombined_names": plan["recombined_names"]}
    content["references"] = _relative(wanted.works, base)
    if wanted.background is not None:
        has_one_artist(wanted.background)
        content["background"] = _relative(wanted.background, base)
    content["models"] = [_model(m, wanted, base, found) for m in wanted.models]
    content["encoders"] = [_encoder(e, wanted, base, found) for e in wanted.encoders]
    content["warehouse"] = _warehouse(file)
    _check_names_differ(content)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        if not one:
            _write(table, _table(names, wanted.locale))
            written.append(table)
        _write(file, _HEADER + _as_yaml(content))
        written.append(file)
        load_audit(file).usable_home()
        _works(file, wanted, found)
        if wanted.captions:
            _captions(file, found)
    except BaseException as error:
        for own in written:
            own.unlink(missing_ok=True)
        if isinstance(error, InputError) and str(file.parent) in str(error):
            raise InputError(f"{error}\nNothing was written: correct what was given, not {file.name}.") from None
        raise
    return found


def _warehouse(file: Path) -> str:
    """The folder of the warehouse, which is this audit's alone. InputError if it has images of another audit, whose results a run would replace."""
    own = "warehouse/" if file.stem == "audit" else f"warehouse-{slug(file.stem)}/"
    if os.path.lexists(file.parent / own / "imitations"):
        raise InputError(
            f"{file.parent / own}: has the images of an audit that was made. Take it away, or give this audit another name or folder with --config."
        )
    return own


_HEADER = "# Written by `audit-assets init`. The README and docs/models.md explain every field.\n"


def _write(file: Path, text: str) -> None:
    """Write a new file. A file that another program made in the meantime stays."""
    try:
        with open(file, "x", encoding="utf-8", newline="") as opened:
            opened.write(text)
    except FileExistsError:
        raise InputError(f"{file}: exists, and is not overwritten; take it away.") from None
    except UnicodeEncodeError:
        file.unlink(missing_ok=True)
        raise InputError(f"{file}: a name or path is not Unicode, so no text file can hold it; rename it.") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); give another place with --config.") from None


def _names(works: Path, found: Found) -> dict[str, str]:
    """Folder -> the artist's name. A folder with the look of a key gets capitals, "Last, First" is turned, and a line says so.

    InputError names each folder from whose name no artist's name follows, and folders of one name.
    """
    names, first, wrong = dict[str, str](), dict[tuple[str, ...], Path](), list[str]()
    for own in artist_folders(works):
        if not any(_is_image(p) for p in own.iterdir()):
            found.not_used.append(f"{own}: holds no image")
            continue
        try:
            name = _name_of(own)
        except InputError as error:
            wrong.append(str(error))
            continue
        other = first.setdefault(tuple(tokens(name)), own)
        if other != own:
            wrong.append(f"{other} and {own}: both are the folder of {name!r}; put their works into one of them.")
        if name != unicodedata.normalize("NFC", own.name):
            found.used.append(
                f"the folder {own.name} is taken for the artist {name!r}; correct artists.csv if that is not the name"
            )
        names[own.name] = name
    if wrong:
        raise InputError("\n".join(wrong))
    return names


def _name_of(folder: Path) -> str:
    name = unicodedata.normalize("NFC", folder.name.strip())
    if name.islower() and _KEY.fullmatch(
        name
    ):  # in a script without case, a hyphen alone does not show that it is no part of the name
        name = _BEGINNING.sub(lambda found: found[0].capitalize(), re.sub("[-_]+", " ", name))
    elif form := mended(name):
        if parts_in_any_order(form) != parts_in_any_order(name):  # the audit would not find the folder by this form
            raise InputError(f"{folder}: the name of this folder is more than a name. Rename the folder to {form!r}.")
        name = form
    if wrong := fault(name):
        raise InputError(f"{folder}: the name of this folder: {wrong}. Rename the folder. {_BY_HAND}")
    check_folder(folder, name)
    return name


def _table(names: dict[str, str], locale: str) -> str:
    import pandas as pd

    rows = pd.DataFrame({"name": list(names.values()), "kind": "artist", "locale": locale})
    return as_csv(rows)


def _relative(path: Path, base: Path) -> str:
    """A folder as the audit file names it: relative if it lies below the file's folder, so that both can be moved together."""
    absolute = Path(os.path.abspath(path))
    return f"{absolute.relative_to(base).as_posix()}/" if absolute.is_relative_to(base) else str(absolute)


def _place(path: str, base: Path) -> str:
    return path if is_on_hub(path) else _relative(Path(path), base).rstrip("/") or "."


def _as_yaml(content: dict[str, Any]) -> str:
    """The text of a file with this content, in readable letters if that keeps every letter: PyYAML loses U+0085 otherwise."""
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return text if yaml.safe_load(text) == content else yaml.safe_dump(content, sort_keys=False)


def _key(path: str) -> str:
    """A name for an entry, from the last part of its path."""
    return slug(path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".safetensors"))


def _pinned(path: str, wanted: Wanted) -> tuple[str, str | None]:
    """A path, and the commit if it is on the hub: the one behind its `@`, else that of `--revision`."""
    if not is_on_hub(path):
        return path, None
    place, _, commit = path.partition("@")
    return place, commit or wanted.revision or None


def _model(path: str, wanted: Wanted, base: Path, found: Found) -> dict[str, Any]:
    """An entry of `models`, opened as far as is possible without loading it."""
    path, revision = _pinned(path, wanted)
    entry: dict[str, Any] = {"name": _key(path), "source": "diffusers", "path": _place(path, base)}
    resolved: ResolvedModel
    if (
        not is_on_hub(path)
        and Path(path).is_dir()
        and not (Path(path) / "model_index.json").exists()
        and _is_of_images(Path(path))
    ):
        entry["source"] = "image_folder"
        resolved = resolve_folder(entry["name"], Path(path))
        found.used.append(f"model {entry['name']}: a folder of images that somebody saved")
    else:
        resolved = resolve_diffusers(entry["name"], path, revision, dict(wanted.settings))
        shown = ", ".join(
            f"{k} {resolved.settings[k]}" for k in ("steps", "guidance", "size") if k in resolved.settings
        )
        found.used.append(f"model {entry['name']}: {resolved.pipeline_class}, {shown}")
        if wanted.settings:
            entry["settings"] = dict(wanted.settings)
    if revision:
        entry["revision"] = revision
    return {**entry, "approved": True}


_OF_MODELS = {".safetensors", ".json", ".bin", ".ckpt", ".gguf"}


def _is_of_images(folder: Path) -> bool:
    """Whether a folder that is no model of diffusers holds saved images: one folder of them per artist, or images beside no folder and no weights."""
    if any(_is_image(p) for own in artist_folders(folder) for p in own.iterdir()):
        return True
    own = [p for p in folder.iterdir() if not is_dropping(p.name)]
    return any(_is_image(p) for p in own) and not any(p.is_dir() or p.suffix in _OF_MODELS for p in own)


def _encoder(path: str, wanted: Wanted, base: Path, found: Found) -> dict[str, Any]:
    """An entry of `encoders`. Its kind is the one that its files allow: names and images, or images alone."""
    path, revision = _pinned(path, wanted)
    name = _key(path)
    try:
        kind, resolved = "image_text", resolve_encoder(name, "image_text", path, revision)
    except InputError as refused:
        try:
            kind, resolved = "image", resolve_encoder(name, "image", path, revision)
        except InputError:
            raise refused from None
        if resolved.pooling is not None and resolved.pooling.output == "get_image_features":
            raise  # an encoder of names and images, of which a file is missing
        if len(wanted.encoders) == 1:
            raise InputError(
                f"{path}: reads images and no names ({refused}); give an encoder that reads names too, such as CLIP or SigLIP."
            ) from None
    what = "names and images" if kind == "image_text" else "images alone"
    found.used.append(f"encoder {name}: {resolved.family}, reads {what}")
    entry = {"name": name, "kind": kind, "path": _place(path, base)}
    return {**entry, "revision": revision} if revision else entry


def _check_names_differ(content: dict[str, Any]) -> None:
    for kind in ("models", "encoders"):
        names = [entry["name"] for entry in content[kind]]
        for place, entry in enumerate(content[kind]):
            if names.count(entry["name"]) > 1:
                entry["name"] = f"{entry['name'][:76]}-{place + 1}"


def _works(file: Path, wanted: Wanted, found: Found) -> None:
    """List the works as the audit will match them. InputError if the file is wrong, or no work can be read."""
    audit = load_audit(file)
    artists = artists_of(audit)
    rows = zip(artists["name"], artists["aliases"], strict=True)
    names = {slug(str(name)): [str(name), *aliases] for name, aliases in rows}
    works, readable = works_of(audit, names), 0
    for subject, (name, *_) in names.items():
        own = works.files.get(subject, [])
        found.not_used += [*left_out({subject: own}), *repeated({subject: own})]
        readable += (good := different(own))
        if good:
            found.used.append(f"{name}: {good} work{'' if good == 1 else 's'}")
        else:
            found.not_used.append(works.refused.get(subject, f"{name}: no work of this artist can be read"))
    found.not_used += [unread.sentence() for unread in unread_works(works)]
    if not readable:
        raise InputError("\n".join([*found.not_used, f"{wanted.works}: no work can be read."]))


def _captions(file: Path, found: Found) -> None:
    """List the caption files. InputError if there is none. What is wrong within one is listed, because the audit file can settle it."""
    audit = load_audit(file)
    assert audit.captions is not None
    shards = caption_shards(audit.captions.path, audit.base)
    try:
        next(iter(caption_batches(shards[0])), None)
        found.used.append(f"captions: {len(shards)} file{'' if len(shards) == 1 else 's'}")
    except InputError as error:
        found.not_used.append(str(error))


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(own.name for own in folders[:4]) + (", ..." if len(folders) > 4 else "")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not is_dropping(path.name) and path.is_file()
