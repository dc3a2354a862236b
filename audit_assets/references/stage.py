"""The stage that reads real works: one table per artist, and the works in the image store."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from audit_assets.hashing import digest
from audit_assets.references import VERSION
from audit_assets.references.works import fingerprint, reference_works
from audit_assets.warehouse.cells import Cells
from audit_assets.workspace import Workspace


class ReferenceStage:
    """The real works of one audit."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.cells = Cells(ws.warehouse, ws.images)

    def make(self, subjects: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each subject with the rows of its works. The files are read only if they changed since the last time."""
        works = self.ws.works().files
        for subject in subjects:
            where, files, inputs = self._source(subject, works)
            rows = self.cells.done(where, inputs, images=True)
            if rows is None:
                rows = reference_works(files, subject, self.ws.images)
                self.ws.warehouse.write(where, rows, inputs)
            yield subject, rows

    def done(self) -> bool:
        """Whether the current files of every subject were read."""
        works = self.ws.works().files
        found = (self._source(s, works) for s in self.ws.referenced())
        return all(self.cells.done(where, inputs, images=True) is not None for where, _, inputs in found)

    def tables(self) -> list[str]:
        """The table of each subject that has real works."""
        return [f"reference_works/{s}" for s in self.ws.referenced()]

    def _source(self, subject: str, works: Mapping[str, list[Path]]) -> tuple[str, list[Path], str]:
        """The table of a subject's works, the files that it is made of, and their hash."""
        files = works.get(subject, [])
        return f"reference_works/{subject}", files, digest([subject, fingerprint(files), VERSION])
