"""Sort a flat download of images into artists' folders, by the prompt that each file states, or else by the file's name.

A plan comes first; nothing is moved or overwritten. Files are copied, so that the download stays as it was.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from audit_assets.errors import InputError, unreadable
from audit_assets.generation.prompt_sheet import ORIGIN, lines, subjects_answered
from audit_assets.hashing import sha256_once
from audit_assets.roster.artists import artists_of
from audit_assets.roster.homes import Names, homes
from audit_assets.roster.normalise import tokens
from audit_assets.roster.slugs import slug
from audit_assets.untrusted.folders import contents
from audit_assets.untrusted.saved_images import said_in
from audit_assets.warehouse.places import whole
from audit_assets.workspace import Workspace


class Placed(NamedTuple):
    """This is where one file of a download belongs."""

    file: Path
    target: Path | None
    """The file's place in its artist's folder. It is None if the file stays where it is."""
    why: str


def names_to_sort_by(ws: Workspace) -> dict[str, list[str]]:
    """Return the name and the aliases of every subject. Before the roster exists, these are the artists of the table."""
    if ws.warehouse.inputs("subjects") is not None:
        return ws.names()
    artists = artists_of(ws.audit)
    return {
        slug(str(name)): [str(name), *aliases]
        for name, aliases in zip(artists["name"], artists["aliases"], strict=True)
    }


def prompts_to_sort_by(ws: Workspace) -> dict[str, set[str]]:
    """Return the prompts of every subject that a prompt sheet of this audit has. Before the roster exists, no sheet does."""
    if ws.warehouse.inputs("subjects") is None:
        return {}
    found: dict[str, set[str]] = {}
    for model in (None, *(m.name for m in ws.audit.models)):
        asked = {subject: (p.called, p.indirect) for subject, p in ws.prompted(model).items()}
        for line in lines(asked, ws.protocol):
            found.setdefault(line.folder, set()).add(line.prompt)
    return found


def sorted_into(
    download: Path, into: Path, names: Names, prompts: Mapping[str, Iterable[str]] | None = None
) -> list[Placed]:
    """Find the place of each file in `download` below `into`. Nothing is written.

    `names` are those of the subjects, and `prompts` those that a prompt sheet asks for each of them. A file stays where it is if
    it names no subject, or more than one.
    """
    if not download.is_dir():
        raise InputError(f"{download}: there is no such folder; name the folder of the download.")
    found = contents(download, check=False)
    own = homes(into, names).own if into.is_dir() else {}
    placed = [Placed(download / name, None, why) for name, why in found.unread]
    taken: dict[Path, Path] = {}
    for file in found.images:
        said = said_in(file)
        stated = said.prompt or "\n".join(said.texts) if said else ""
        text, where = (stated, said.origin) if said and stated else (file.stem, "file name")
        of_sheet = subjects_answered(file.stem, prompts) if prompts and not stated else None
        subjects, where = (named(text, names), where) if of_sheet is None else (of_sheet, ORIGIN)
        if len(subjects) != 1:
            who = " and ".join(repr(names[s][0]) for s in subjects)
            placed.append(Placed(file, None, f"names {who} ({where})" if subjects else f"names no subject ({where})"))
            continue
        folders = own.get(subjects[0], [])
        target = (folders[0] if folders else into / subjects[0]) / file.name
        if target.is_symlink() or target.exists() or target in taken:
            other = taken.get(target, target)
            same = other.is_file() and sha256_once(other) == sha256_once(file)
            placed.append(
                Placed(file, None, f"is there already as {target}" if same else f"{target} is another file; rename one")
            )
            continue
        taken[target] = file
        placed.append(Placed(file, target, f"names {names[subjects[0]][0]!r} ({where})"))
    return sorted(placed)


def named(text: str, names: Names) -> list[str]:
    """The subjects whose name or alias occurs in a text, in words. A name within a longer name does not count."""
    words = tokens(text)
    spans: dict[tuple[int, int], set[str]] = {}
    for subject, own in names.items():
        for name in own:
            wanted = tokens(name)
            for start in _occurrences(words, wanted):
                spans.setdefault((start, start + len(wanted)), set()).add(subject)
    whole = [s for s in spans if not any(o != s and o[0] <= s[0] and s[1] <= o[1] for o in spans)]
    return sorted({subject for span in whole for subject in spans[span]})


def _occurrences(words: Sequence[str], wanted: Sequence[str]) -> Iterator[int]:
    if wanted:
        yield from (i for i in range(len(words) - len(wanted) + 1) if words[i : i + len(wanted)] == list(wanted))


def copy_all(placed: Sequence[Placed]) -> int:
    """Copy the files that have a place, and return their number. An existing file is never overwritten."""
    copied = 0
    for one in placed:
        if one.target is None:
            continue
        try:
            source = one.file.open("rb")
        except OSError as error:
            raise InputError(f"{unreadable(one.file, error)}.") from None
        with source, whole(one.target) as target:
            with target.open("xb") as copy:
                shutil.copyfileobj(source, copy)
            if os.path.lexists(one.target):  # another program made it meanwhile
                raise InputError(f"{one.target}: exists, and is not overwritten; sort again.")
        copied += 1
    return copied
