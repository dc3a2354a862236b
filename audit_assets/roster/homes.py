"""Which folder belongs to which artist, and which files of a folder the audit does not read.

People spell folders in their own way: lower case, underscores, surname first, an alias, decomposed accents. A folder
belongs to the subject whose name or alias has the same tokens, and else to the only one that has its parts in another
order. Of a folder with a comma, "Last, First", the turned form counts before the written one. Letters of a script without spaces that touch each other are one part, because 中田太郎 is another person than
田中太郎. Whatever is not read is listed with the reason.
"""

import difflib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from audit_assets.config import Audit
from audit_assets.errors import InputError, in_utf8, said
from audit_assets.hashing import sha256_once
from audit_assets.roster.artists import read_artists
from audit_assets.roster.name_forms import mended
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import parts_in_any_order
from audit_assets.untrusted.folders import (
    MANIFEST,
    NESTED,
    REFERENCE_FIELDS,
    Contents,
    contents,
    entries,
    is_dropping,
    read_manifest,
)

_MANIFEST_OF_NO_ARTIST = (
    f"lies in no artist's folder and is not read; put each artist's rows into a {MANIFEST} beside that artist's images"
)
Names = Mapping[str, Sequence[str]]
"""The name and the aliases of each subject, the name first."""


class Unread(NamedTuple):
    """This is a file or a folder that the audit does not read."""

    place: str
    """'references', 'background', or the name of a model version."""
    file: str
    why: str

    def sentence(self) -> str:
        return f"{self.place}: {self.file}: {self.why}"


def unread_table(found: Sequence[Unread]) -> pd.DataFrame:
    """The rows of the table `unread_files`."""
    return pd.DataFrame(found, columns=list(Unread._fields)).astype("str")


class Homes(NamedTuple):
    """This is the folder of artists' folders, sorted by their owners."""

    folder: Path
    own: dict[str, list[Path]]
    """The folders of each subject that has any, in order of name."""
    strays: list[tuple[Path, str]]
    """Each entry that belongs to no subject, and the reason."""


def homes(folder: Path, names: Names) -> Homes:
    """Sort the folders in `folder` by the subjects that they belong to.

    A folder that could be two subjects' belongs to neither. A link that has a subject's name is that subject's, and is
    refused when its images are listed.
    """
    claims = _claims(tuple((subject, tuple(spelt)) for subject, spelt in names.items()))
    own: dict[str, list[Path]] = {}
    strays = []
    for entry in entries(folder):
        if is_dropping(entry.name) or not (entry.is_symlink() or os.path.isdir(entry)):
            continue
        subject, why = claims.owner(entry.name)
        if subject is not None:
            own.setdefault(subject, []).append(entry)
        else:
            strays.append((entry, why))
    for folders in own.values():
        folders.sort(key=lambda f: (unicodedata.normalize("NFC", f.name), f.name))
    return Homes(folder, own, strays)


class _Claims:
    """The subjects by each spelling of their names."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.exact: dict[str, list[str]] = defaultdict(list)
        self.words: dict[tuple[str, ...], list[str]] = defaultdict(list)
        self.bag: dict[tuple[str, ...], list[str]] = defaultdict(list)
        self.starts: dict[str, list[str]] = defaultdict(list)
        """Names in words, by the first two letters of each word. It is filled for the first folder without a subject."""
        self.owner = cache(self._owner)
        for subject, own in names.items():
            for spelling in dict.fromkeys([subject, own[0]]):
                self.exact[spelling].append(subject)
            for name in dict.fromkeys(own):
                if words := tuple(tokens(name)):
                    self.words[words].append(subject)
                    self.bag[parts_in_any_order(name)].append(subject)

    def _owner(self, folder: str) -> tuple[str | None, str]:
        """The subject that a folder belongs to, or None and the reason."""
        subjects = self.of(folder)
        return (subjects[0], "") if len(subjects) == 1 else (None, self._why(folder, subjects))

    def of(self, folder: str) -> list[str]:
        parts, form = parts_in_any_order(folder), mended(folder.strip())
        # "Example, Ada" is a catalogue's form of "Ada Example", also if another artist is called "Example Ada".
        spellings = [*([form] if form and parts_in_any_order(form) == parts else []), folder]
        found = self.exact.get(folder) or next(
            filter(None, (self.words.get(tuple(tokens(s))) for s in spellings)), None
        )
        return sorted(set(found or self.bag.get(parts) or []))

    def _why(self, folder: str, subjects: Sequence[str]) -> str:
        if subjects:
            return f"this folder belongs to no one subject: {' and '.join(repr(self.names[s][0]) for s in subjects)} have this name; rename it to the slug of one"
        near = self._near(folder)
        return f"this folder belongs to no subject{f'; if it is {self.names[near][0]!r}, rename it' if near else ''}"

    def _near(self, folder: str) -> str | None:
        """The subject whose name is nearest to that of a folder, if one is near. A word of both begins with the same two letters."""
        own = tuple(tokens(folder))
        if (form := mended(folder.strip())) and (subjects := self.words.get(tuple(tokens(form)))):
            return subjects[0]
        if not self.starts:
            for words in self.words:
                for start in {word[:2] for word in words}:
                    self.starts[start].append(" ".join(words))
        spelt = {name for word in own for name in self.starts.get(word[:2], ())}
        near = difflib.get_close_matches(" ".join(own), sorted(spelt), n=1, cutoff=0.75)
        return self.words[tuple(near[0].split())][0] if near else None


@lru_cache(maxsize=4)
def _claims(names: tuple[tuple[str, tuple[str, ...]], ...]) -> _Claims:
    """The claims of these names. An audit asks for the same ones before every step."""
    return _Claims(dict(names))


class Works(NamedTuple):
    """These are the real works of an audit, as they lie in its folders."""

    files: dict[str, list[Path]]
    """The files of each artist that has any. An artist whose folder is refused has none, and is listed too."""
    homes: list[tuple[str, Homes]]
    """The folders of `references` and of `background`."""
    loose: Path | None
    """The folder of the only artist's works, if they lie in `references` itself."""
    refused: dict[str, str]
    """Why an artist's folder is refused, such as a link in it. The other artists' works are read."""


def works_of(audit: Audit, names: Names) -> Works:
    """Find the real works of the subjects. The works of an audit of one artist may lie in `references` itself."""
    places = [("references", audit.references), *([("background", audit.background)] if audit.background else [])]
    found = [(place, homes(folder, names)) for place, path in places if (folder := audit.local(path)).is_dir()]
    files: dict[str, list[Path]] = {}
    refused: dict[str, str] = {}
    for _, home in found:
        for subject, folders in home.own.items():
            try:
                images = [file for own in folders for file in contents(own).images]
            except InputError as error:
                files.setdefault(subject, [])
                refused.setdefault(subject, str(error))
                continue
            if images and subject not in files:
                files[subject] = images
    loose = None
    if audit.artist is not None and found and found[0][0] == "references":
        one = next((s for s, own in names.items() if own[0] == audit.artist.name), None)
        if one is not None and one not in files and (images := contents(found[0][1].folder).images):
            files[one], loose = images, found[0][1].folder
    return Works(files, found, loose, refused)


def unread_works(works: Works) -> list[Unread]:
    """List every file and folder of real works that is not read, with the reason."""
    found = []
    for place, home in works.homes:
        found += unread_of(place, home, REFERENCE_FIELDS, loose=works.loose == home.folder)
    return found


def unread_of(place: str, home: Homes, fields: Sequence[str], *, loose: bool = False) -> list[Unread]:
    """List every file and folder in a folder of artists' folders that is not read.

    `fields` are the columns of its manifests. With `loose`, the images that lie in no artist's folder are read.
    """
    found = [Unread(place, entry.name, why) for entry, why in home.strays]
    here = contents(home.folder, check=False)
    own = [f for folders in home.own.values() for f in folders if not f.is_symlink()]
    if loose:
        own.append(home.folder)
    else:
        found += [Unread(place, file.name, "this image lies in no artist's folder") for file in here.images]
        if os.path.isfile(manifest := home.folder / MANIFEST) and not manifest.is_symlink():  # a link is in `here`
            found.append(Unread(place, MANIFEST, _MANIFEST_OF_NO_ARTIST))
    # A folder in this one is an artist's, or among the strays.
    found += _unread(place, "", here._replace(unread=[(name, why) for name, why in here.unread if why != NESTED]))
    for folder in own:
        prefix = "" if folder == home.folder else f"{folder.name}/"
        if prefix:
            found += _unread(place, prefix, contents(folder, check=False))
        found += _of_manifest(place, prefix, folder, fields)
        found += _copies(place, prefix, folder)
    return sorted(Unread(one.place, in_utf8(one.file), in_utf8(one.why)) for one in found)


def _of_manifest(place: str, prefix: str, folder: Path, fields: Sequence[str]) -> list[Unread]:
    try:
        said = read_manifest(folder, fields, [file.name for file in contents(folder, check=False).images]).unread
    except InputError as error:
        said = [str(error)]
    return [Unread(place, prefix + MANIFEST, why) for why in said]


def _unread(place: str, prefix: str, own: Contents) -> list[Unread]:
    return [*(Unread(place, prefix + name, why) for name, why in own.unread), *_droppings(place, prefix, own)]


def _droppings(place: str, prefix: str, own: Contents) -> list[Unread]:
    if not own.droppings:
        return []
    names = ", ".join(own.droppings[:5]) + (", ..." if len(own.droppings) > 5 else "")
    why = f"{len(own.droppings)} files or folders that programs left are ignored ({names})"
    return [Unread(place, prefix or "./", why)]


def _copies(place: str, prefix: str, folder: Path) -> list[Unread]:
    """List each file that has the same bytes as an earlier one of the folder."""
    found, first = [], dict[str, str]()
    for file in contents(folder, check=False).images:
        try:
            same = first.setdefault(sha256_once(file), file.name)
        except InputError as error:
            found.append(Unread(place, prefix + file.name, said(error)))
            continue
        if same != file.name:
            found.append(Unread(place, prefix + file.name, f"is the same file as {same!r}; copies count once"))
    return found


def file_hashes(files: Mapping[str, Sequence[Path]]) -> dict[str, list[str]]:
    """The hashes of each artist's files. A file that cannot be read has none: it is left out, and listed there."""
    found: dict[str, list[str]] = {subject: [] for subject in files}
    for subject, own in files.items():
        for file in own:
            with suppress(InputError):
                found[subject].append(sha256_once(file))
    return found


def shared(hashes: Mapping[str, Iterable[str]], names: Names) -> list[str]:
    """One sentence per pair of artists who have the same hashes among those of their works."""
    owners: dict[str, set[str]] = defaultdict(set)
    for subject, own in hashes.items():
        for one in own:
            owners[one].add(subject)
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for subjects in owners.values():
        ordered = sorted(subjects)
        for i, one in enumerate(ordered):
            for other in ordered[i + 1 :]:
                pairs[one, other] += 1
    return [
        f"{names[one][0]} and {names[other][0]} share {count} {'work' if count == 1 else 'works'}; if one is an alias of the other, list it in `aliases` "
        "and keep one folder"
        for (one, other), count in sorted(pairs.items())
    ]


def names_of(audit: Audit, subjects: pd.DataFrame) -> dict[str, list[str]]:
    """The name and the aliases of each subject of a table `subjects`.

    An imported audit may lack the table of artists; it has no aliases then, and no folders either.
    """
    aliases = _aliases(audit)
    return {
        str(s): [str(name), *aliases.get(str(name), ())]
        for s, name in zip(subjects["subject"], subjects["name"], strict=True)
    }


def _aliases(audit: Audit) -> dict[str, list[str]]:
    if audit.artist is not None:
        return {audit.artist.name: list(audit.artist.aliases)}
    assert audit.roster.artists is not None
    table = audit.local(audit.roster.artists)
    if not table.is_file():
        return {}
    own = read_artists(table)
    return dict(zip(own["name"], own["aliases"], strict=True))
