"""What the registry writes of models and of encoders: the published table, the table of their files, and which are left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from audit_assets.config import Audit
from audit_assets.hashing import digest
from audit_assets.models.registry import (
    Encoders,
    Registry,
    encoder_files_table,
    encoders_table,
    model_files_table,
    model_versions_table,
)
from audit_assets.warehouse.left_out import ENCODER, FOLDER, MODEL, LeftOut, leave_out
from audit_assets.warehouse.store import Warehouse


@dataclass(frozen=True)
class RegistryTables:
    """These are the tables of the current files, whether they are written or not."""

    name: str
    """This is the name of the published table."""
    published: pd.DataFrame
    name_of_files: str
    files: pd.DataFrame
    place: str
    """This is where the refused parts are recorded."""
    refused: Sequence[LeftOut]

    @cached_property
    def inputs(self) -> str:
        """Return the hash of both tables."""
        return digest([self.published.to_json(), self.files.to_json()])

    def write(self, warehouse: Warehouse, base: Path) -> None:
        """Write the tables and the record of what is refused, whose reasons have no path beyond `base`."""
        warehouse.write(self.name, self.published, self.inputs)
        warehouse.write(self.name_of_files, self.files, self.inputs)
        leave_out(warehouse, self.place, self.refused, base)

    def are_written(self, warehouse: Warehouse) -> bool:
        """Return whether the warehouse has these tables, nothing is refused and nothing is recorded as refused."""
        known = warehouse.all_inputs([self.name, self.name_of_files, f"{FOLDER}/{self.place}"])
        return not self.refused and known == [self.inputs, self.inputs, None]


def model_tables(audit: Audit, known: Registry) -> RegistryTables:
    """Return the tables of the model versions."""
    refused = [LeftOut(MODEL, why, "registration", model_version=name) for name, why in known.refused.items()]
    table, files = model_versions_table(audit, known), model_files_table(known)
    return RegistryTables("model_versions", table, "model_files", files, "models", refused)


def encoder_tables(audit: Audit, known: Encoders) -> RegistryTables:
    """Return the tables of the encoders."""
    refused = [LeftOut(ENCODER, why, "registration", encoder=name) for name, why in known.refused.items()]
    table, files = encoders_table(audit, known), encoder_files_table(known)
    return RegistryTables("encoders", table, "encoder_files", files, "encoders", refused)
