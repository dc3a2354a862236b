"""Cells are tables that several processes make at once. This module decides which process takes which cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from filelock import FileLock, Timeout

from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.locks import file_lock
from audit_assets.warehouse.places import lock_folder
from audit_assets.warehouse.store import Warehouse


@dataclass(frozen=True)
class Cells:
    """This holds a warehouse's cells. A cell has its table's name, and is done if its file has the wanted inputs."""

    warehouse: Warehouse
    store: ImageStore

    def done(self, table: str, inputs: str, *, images: bool = False) -> pd.DataFrame | None:
        """Return the rows of a cell that was made from these inputs, else None.

        With `images`, every image that the rows name must exist too.
        """
        return self.warehouse.read(table) if self.is_done(table, inputs, images=images) else None

    def is_done(self, table: str, inputs: str, *, images: bool = False) -> bool:
        """Return whether `done` would return rows."""
        if self.warehouse.inputs(table) != inputs:
            return False
        return not images or self.store.has(self.warehouse.values(table, "image_sha256"))

    def in_turn(self, tables: Sequence[str]) -> Iterator[str]:
        """Yield each table under its lock.

        The tables that no other process holds come first, then the rest as they become free. If two processes want a
        cell, the second waits for it, and then finds it done.
        """
        for patience in (0, -1):
            busy = []
            for table in tables:
                try:
                    with self._lock(table).acquire(timeout=patience):
                        yield table
                except Timeout:
                    busy.append(table)
            tables = busy

    def _lock(self, table: str) -> FileLock:
        return file_lock(lock_folder(self.warehouse.root) / f"{table}.lock")
