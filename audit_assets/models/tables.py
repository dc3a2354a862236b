"""What the registry writes of models and of encoders: the published table, the table of their files, and which are left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from audit_assets.config import Audit
from audit_assets.hashing import digest
from audit_assets.models.registry import FILE_COLUMNS, Encoders, FileRow, Registry, file_rows, own_rows
from audit_assets.untrusted.folders import artist_folders, folder_files
from audit_assets.warehouse.database import as_json
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


def model_versions_table(audit: Audit, known: Registry) -> pd.DataFrame:
    """Return the published table `model_versions`.

    A model that is not approved, or that is refused, is listed with what the file says of it.
    """
    rows: list[dict[str, Any]] = []
    earlier = {row["model_version"]: row for row in known.versions_before}
    for entry in audit.models:
        resolved = known.resolved.get(entry.name)
        if resolved is None and entry.name in earlier:
            rows.append({**earlier[entry.name], "approved": entry.approved, "retired": entry.retired})
            continue
        own = {"model": entry.model} if entry.model else {}
        said = {**own, **entry.settings, **({"lora": [a.model_dump() for a in entry.lora]} if entry.lora else {})}
        rows.append(
            {
                "model_version": entry.name,
                "source": entry.source,
                "pipeline_class": resolved.pipeline_class if resolved else None,
                "revision": resolved.revision if resolved else entry.revision,
                "files_sha256": (resolved.files_sha256 or None) if resolved else None,
                "text_encoder_families": list(resolved.text_encoder_families) if resolved else [],
                "generation_settings": as_json(resolved.recorded if resolved else said),
                "approved": entry.approved,
                "retired": entry.retired,
            }
        )
    return pd.DataFrame(rows)


def model_files_table(known: Registry) -> pd.DataFrame:
    """Return FILE_COLUMNS of each file of each model that can be audited, with adapters and folders' images."""
    rows: list[FileRow] = []
    for name, model in known.resolved.items():
        if model.source == "image_folder":
            images = [f for own in artist_folders(model.path) for f in folder_files(own)]
            rows += file_rows("model", name, model.path, images)
        elif model.source == "diffusers":
            rows += own_rows(model)
    kept = [tuple(row[c] for c in FILE_COLUMNS) for row in known.files_before if row["name"] not in known.resolved]
    return pd.DataFrame([*rows, *kept], columns=FILE_COLUMNS)


def encoders_table(audit: Audit, known: Encoders) -> pd.DataFrame:
    """Return the published table `encoders`, with the encoders that can embed.

    `is_primary` marks the encoder that decides the headline. By default it is the first with text.
    """
    rows = []
    for e in known.resolved.values():
        rows.append(
            {
                "encoder": e.name,
                "kind": e.kind,
                "family": e.family,
                "revision": e.revision,
                "files_sha256": e.files_sha256,
                "dimension": e.dimension,
                "logit_scale": e.logit_scale,
                "logit_bias": e.logit_bias,
                "processor": e.processor,
                "pooling": e.pooling.output if e.pooling else "plug-in",
                "layer": e.layer,
                "is_primary": e.name == audit.deciding_encoder.name,
            }
        )
    return pd.DataFrame(rows).astype({"logit_scale": "float64", "logit_bias": "float64"})


def encoder_files_table(known: Encoders) -> pd.DataFrame:
    """Return FILE_COLUMNS of every file of every encoder that can embed."""
    rows = [row for e in known.resolved.values() for row in own_rows(e)]
    return pd.DataFrame(rows, columns=FILE_COLUMNS)
