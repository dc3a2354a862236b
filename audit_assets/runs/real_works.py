"""What `plan` and `run` say of files of real works that count as none, and of works that two artists share."""

from collections.abc import Mapping, Sequence

from audit_assets.roster.arms import NOT_READ
from audit_assets.roster.homes import file_hashes, names_of, shared
from audit_assets.roster.pictures import hashes, left_out, repeated
from audit_assets.untrusted.terminal import one_line
from audit_assets.workspace import Workspace

MOST_LINES = 40
"""The terminal lists this many files that are not read, of each folder of works or images."""


def works_left_out(ws: Workspace) -> list[str]:
    """Before the works are read: one sentence per file that counts as none, and per pair of artists who share works."""
    files = ws.works().files
    return _first([*left_out(files), *repeated(files)]) + _sharing(ws, hashes(files))


def repeated_works(ws: Workspace) -> list[str]:
    """After the works are read: one sentence per file that has the pixels of an earlier one, and per pair of artists who share works.

    The run itself lists the files that cannot be read and those that are blank.
    """
    files, read = ws.works().files, ws.work_hashes()
    # Only the files of an artist who has fewer works than different files are opened again.
    different = file_hashes(files)
    fewer = {s: own for s, own in files.items() if s in read and len(read[s]) < len(set(different[s]))}
    return _first(repeated(fewer)) + _sharing(ws, read)


def _first(problems: Sequence[str]) -> list[str]:
    """One line per file, and the number of files beyond MOST_LINES."""
    more = len(problems) - MOST_LINES
    lines = [one_line(f"not a work: {line}") for line in problems[:MOST_LINES]]
    return lines + ([f"not a work: {more} more files; `audit-assets check` names them all"] if more > 0 else [])


def _sharing(ws: Workspace, pixels: Mapping[str, Sequence[str]]) -> list[str]:
    read = {subject: [one for one in own if one != NOT_READ] for subject, own in pixels.items()}
    return [one_line(line) for line in shared(read, names_of(ws.audit, ws.subjects()))]
