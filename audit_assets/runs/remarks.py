"""What `plan` and `run` say of an audit's inputs: what is not read, not counted, or differs from the protocol, one sentence each."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.generation.arms import ArmStage
from audit_assets.generation.stage import ImitationStage
from audit_assets.references.stage import ReferenceStage
from audit_assets.results.label_sets import unread_names
from audit_assets.roster.arms import NOT_READ
from audit_assets.roster.homes import file_hashes, names_of, shared
from audit_assets.roster.pictures import hashes, left_out, repeated
from audit_assets.roster.stage import RosterStage
from audit_assets.untrusted.terminal import one_line
from audit_assets.warehouse.notes import LABELS, notes_on
from audit_assets.workspace import Workspace

MOST_LINES = 40
"""The terminal lists this many files that are not read, of each folder of works or images."""


def roster_notes(ws: Workspace) -> list[str]:
    """What a reader must know of the table of artists and the captions: parts that are not read or not counted, and `shortages`."""
    return [*RosterStage(ws.audit, ws.warehouse).notes(), *shortages(ws)]


def shortages(ws: Workspace) -> list[str]:
    """One sentence per pool of control names, and per locale, that is smaller than audit.yaml asks for."""
    return RosterStage(ws.audit, ws.warehouse).shortages()


def unread(ws: Workspace, models: Sequence[str]) -> list[str]:
    """One sentence per file and folder of real works or supplied images that the audit does not read."""
    stage = ImitationStage(ws)
    found = [*ReferenceStage(ws).unread(), *(one for m in models for one in stage.unread(m))]
    said = []
    for place, own in groupby(found, key=lambda one: one.place):
        lines = [f"not read: {one.sentence()}" for one in own]
        said += lines[:MOST_LINES]
        if (more := len(lines) - MOST_LINES) > 0:
            said.append(f"not read: {place}: {more} more files; the table unread_files names them all")
    return [one_line(line) for line in said]


def arms_asked(ws: Workspace, models: Sequence[str]) -> list[str]:
    """One sentence per model version and arm: how many images it asks for, and whom it cannot ask."""
    return [one_line(line) for model in models for line in ArmStage(ws).cost(model)]


def deviations(ws: Workspace, models: Sequence[str]) -> list[str]:
    """One sentence per deviation of supplied images from the protocol: counts, other prompts, copies, unknown seeds."""
    found = []
    for model in models:
        if ws.audit.model(model).source == "image_folder":
            rows = ws.warehouse.read_all([f"imitations/{model}/{s}" for s in ws.prompted()])
            found += [one_line(f"{model}: {said}") for said in ImitationStage(ws).deviations(model, rows)]
    return found


def label_words(ws: Workspace) -> tuple[list[str], frozenset[str]]:
    """Before any label is embedded: what encoders do not read of the labels, in words, and the subjects of whose names the deciding encoder reads no word."""
    words, notes = EmbeddingStage(ws).label_words()
    labels = words.get(ws.audit.deciding_encoder.name)
    silent = frozenset[str]() if labels is None else unread_names(labels, ws.subjects())
    return [one_line(note) for note in notes], silent


def label_notes(ws: Workspace) -> list[str]:
    """What encoders did not read of the labels. Nothing before the labels were embedded."""
    made = ws.warehouse.made(notes_on(LABELS))
    return [one_line(note) for note in ws.warehouse.read(notes_on(LABELS))["note"]] if made else []


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
