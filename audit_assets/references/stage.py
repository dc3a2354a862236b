"""The stage that reads real works: one table per artist, and the works in the image store."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from audit_assets.errors import InputError, Unwritable, said
from audit_assets.hashing import digest
from audit_assets.references import VERSION
from audit_assets.references.works import fingerprint, reference_works
from audit_assets.roster.homes import Unread, Works, file_hashes, names_of, shared, unread_table, unread_works
from audit_assets.warehouse.cells import Cells
from audit_assets.warehouse.left_out import ARTIST, WORK, LeftOut, leave_out
from audit_assets.warehouse.notes import WORKS, are_kept, keep_notes
from audit_assets.workspace import Workspace


class ReferenceStage:
    """The real works of one audit."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.cells = Cells(ws.warehouse, ws.images)

    def make(self, subjects: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each subject with the rows of its works. The files are read only if they changed, or some of them were left out.

        A file that cannot be read is left out alone. An artist whose folder is refused has no works.
        """
        works = self.ws.works()
        for subject in subjects:
            yield subject, self._works(subject, works)

    def _works(self, subject: str, works: Works) -> pd.DataFrame:
        warehouse, where = self.ws.warehouse, f"reference_works/{subject}"
        refused: dict[str, str] = {}
        try:
            files, inputs = self._source(subject, works)
            rows = self.cells.done(where, inputs, images=True)
            if rows is not None:
                return rows
            rows = reference_works(files, subject, self.ws.images, refused)
        except Unwritable:
            raise
        except Exception as error:  # whatever the folder of one artist raises stops this artist alone
            rows, inputs = reference_works([], subject, self.ws.images), digest([subject, said(error)])
            left = [LeftOut(ARTIST, said(error), "real works", subject=subject)]
        else:
            left = [LeftOut(WORK, why, "real works", subject=subject) for why in refused.values()]
            if refused:
                inputs = digest([inputs, refused])  # other inputs, so that the next run reads the files again
        leave_out(warehouse, where, left, self.ws.audit.base)  # first: a process that ends here makes the table again
        warehouse.write(where, rows, inputs)
        return rows

    def unread(self) -> list[Unread]:
        """Every file and folder of real works that is not read, with the reason."""
        return unread_works(self.ws.works())

    def owned_twice(self) -> list[str]:
        """One sentence per pair of artists who have the same works."""
        return shared(file_hashes(self.ws.works().files), names_of(self.ws.audit, self.ws.subjects()))

    def list_folders(self) -> list[str]:
        """Table `unread_works` and the notes on works, from the folders as they are. Returns a sentence for each row of both."""
        unread, twice, warehouse = self.unread(), self.owned_twice(), self.ws.warehouse
        rows = unread_table(unread)
        warehouse.write("unread_works", rows, _inputs_of_unread(rows))
        keep_notes(warehouse, WORKS, twice, self.ws.audit.base)
        return [*(one.sentence() for one in unread), *twice]

    def are_listed(self) -> bool:
        """Whether `list_folders` would write nothing new."""
        known = self.ws.warehouse.inputs("unread_works") == _inputs_of_unread(unread_table(self.unread()))
        return known and are_kept(self.ws.warehouse, WORKS, self.owned_twice(), self.ws.audit.base)

    def done(self) -> bool:
        """Whether the current files of every subject were read, and none was left out."""
        works = self.ws.works()
        return all(self._is_done(s, works) for s in self.ws.referenced())

    def _is_done(self, subject: str, works: Works) -> bool:
        try:
            _, inputs = self._source(subject, works)
        except InputError:
            return False
        return self.cells.is_done(f"reference_works/{subject}", inputs, images=True)

    def tables(self) -> list[str]:
        """The table of each subject that has real works."""
        return [f"reference_works/{s}" for s in self.ws.referenced()]

    def _source(self, subject: str, works: Works) -> tuple[list[Path], str]:
        """The files that a subject's works are made of, and their hash. InputError if the artist's folder is refused."""
        if subject in works.refused:
            raise InputError(works.refused[subject])
        files = works.files.get(subject, [])
        return files, digest([subject, fingerprint(files), VERSION])


def _inputs_of_unread(rows: pd.DataFrame) -> str:
    return digest([rows.to_json(), VERSION])
