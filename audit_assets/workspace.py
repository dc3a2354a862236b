"""A workspace is one opened audit. It holds the audit's file, protocol, warehouse with the images, and subjects.

Stages take a workspace and make tables in it. A workspace decides nothing and makes nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from audit_assets.config import Audit, EncoderEntry, Protocol, load_audit, load_protocol
from audit_assets.errors import InputError, command
from audit_assets.hashing import once_while_unchanged
from audit_assets.models.registry import folder_here, resolve_encoder_entry
from audit_assets.roster.arms import NOT_READ, Asked, asked_in
from audit_assets.roster.homes import Works, names_of, works_of
from audit_assets.roster.prompt_names import called
from audit_assets.roster.subjects import CONTROL_KINDS, prompted
from audit_assets.warehouse import layout
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.left_out import ENCODER, FOLDER, MODEL, LeftOut, records
from audit_assets.warehouse.places import ObjectPath
from audit_assets.warehouse.store import Warehouse


class Prompted(NamedTuple):
    """This is a subject that images are made of."""

    name: str
    indirect: str
    """This is the prompt that does not name the artist. It is empty if `artists.csv` gives none."""
    called: str
    """This stands in the prompts in place of the name. It is the name, if the model was taught no other words."""


@once_while_unchanged(4)
def _subjects(path: Path, warehouse: Warehouse) -> pd.DataFrame:
    return warehouse.read("subjects")


@dataclass(frozen=True)
class Workspace:
    """This is one opened audit. Every reader of its tables starts here."""

    audit: Audit
    protocol: Protocol
    warehouse: Warehouse
    images: ImageStore

    @classmethod
    def of(cls, audit: Audit, *, new: bool = False) -> "Workspace":
        """Return the workspace of an audit file that was read.

        With `new`, the warehouse is marked as that of this audit file. InputError is raised if it is that of another one.
        """
        root = audit.local(audit.warehouse)
        if not new:
            layout.refuse_another(root, audit.file)
        warehouse = layout.made(root, audit.file) if new else layout.opened(root)
        return cls(audit, load_protocol(audit), warehouse, ImageStore(warehouse.root / "images"))

    @classmethod
    def open(cls, config: str | Path, *, new: bool = False) -> "Workspace":
        """Return the workspace of an audit file.

        InputError names what is wrong in the file, the protocol or the warehouse.
        """
        return cls.of(load_audit(config), new=new)

    @classmethod
    def existing(cls, config: str | Path) -> "Workspace":
        """Return the workspace of an audit that was made. It raises InputError if no warehouse exists."""
        audit = load_audit(config)
        root = audit.local(audit.warehouse)
        if not root.is_dir():
            raise InputError(f"{root}: there is no warehouse yet; run `{command('run', config)}` first.")
        return cls.of(audit)

    @property
    def database(self) -> Path:
        """Return the path of the published file. The file exists once the audit was published."""
        return self.warehouse.root / "audit.duckdb"

    def subjects(self) -> pd.DataFrame:
        """Return the table `subjects`."""
        path = self.warehouse.path("subjects")
        if isinstance(path, ObjectPath):
            return self.warehouse.read("subjects")
        return _subjects(path, self.warehouse).copy()

    def prompted(self, model: str | None = None) -> dict[str, Prompted]:
        """Return each subject that images are made of, by its slug, in the order of the subjects, as a model is asked for it."""
        table = prompted(self.subjects())
        entry = None if model is None else self.audit.model(model)
        indirect = table["indirect_prompt"].fillna("").astype(str)
        # An audit that was made by an earlier version has no such column.
        own = table["prompt_name"].fillna("").astype(str) if "prompt_name" in table else [""] * len(table)
        return {
            str(slug): Prompted(str(name), prompt, called(self.audit, entry, str(name), words))
            for slug, name, prompt, words in zip(table["subject"], table["name"], indirect, own, strict=True)
        }

    def asked_in_arms(self, model: str) -> dict[str, list[Asked]]:
        """Return what each arm of the protocol asks of a model, by the arm's name. Without arms it is empty.

        A model version that left the audit file has its images still. Nothing is known of the words around its names.
        """
        if not self.protocol.arms:
            return {}
        own, said = self.subjects(), next((m.prompt_name for m in self.audit.models if m.name == model), None)
        around = said if isinstance(said, str) and "{name}" in said else "{name}"
        works = self.work_hashes() if any(arm.uploads for arm in self.protocol.arms) else {}
        return {
            arm.name: asked_in(arm, own, self.protocol, lambda name: around.replace("{name}", name), works)
            for arm in self.protocol.arms
        }

    def work_hashes(self) -> dict[str, list[str]]:
        """Return the hashes of each artist's real works, in the order of their numbers.

        Before the works are read, NOT_READ stands for each file.
        """
        read = {s: f"reference_works/{s}" for s in self.referenced()}
        files = self.works().files if any(self.warehouse.inputs(t) is None for t in read.values()) else {}
        return {
            s: self._hashes_in_order(table) if self.warehouse.inputs(table) is not None else [NOT_READ] * len(files[s])
            for s, table in read.items()
        }

    def _hashes_in_order(self, table: str) -> list[str]:
        numbers, hashes = (self.warehouse.values(table, column) for column in ("work", "image_sha256"))
        return [hashed for _, hashed in sorted(zip(numbers, hashes, strict=True))]

    def arm_tables(self, model: str, kind: str = "arm_images") -> list[str]:
        """Return the tables of the images that arms have of a model; with another `kind`, the tables that are made from these."""
        return [
            f"{kind}/{model}/{arm}/{one.subject}" for arm, found in self.asked_in_arms(model).items() for one in found
        ]

    def referenced(self) -> list[str]:
        """Return the subjects that have real works, in the order of the subjects.

        If the folder of works is not on this machine (an imported audit), these are the subjects whose works are in the
        warehouse.
        """
        own = self.subjects()
        if not self.audit.local(self.audit.references).is_dir():
            own = own[~own["kind"].isin(CONTROL_KINDS)]
            return [str(s) for s in own["subject"] if self.warehouse.inputs(f"reference_works/{s}")]
        files = self.works(own).files
        return [str(s) for s in own["subject"] if s in files]

    def works(self, subjects: pd.DataFrame | None = None) -> Works:
        """Return the files of every artist's real works, by default of the artists of the table `subjects`.

        They lie in the artist's folder below `references` or `background`. The works of an audit of one artist may also
        lie in `references` itself.
        """
        own = self.subjects() if subjects is None else subjects
        return works_of(self.audit, names_of(self.audit, own[~own["kind"].isin(CONTROL_KINDS)]))

    def names(self) -> dict[str, list[str]]:
        """Return the name and the aliases of each subject that images are made of."""
        return names_of(self.audit, prompted(self.subjects()))

    def left_out(self) -> dict[str, list[LeftOut]]:
        """Return what is left out of the audit now, by the table of its record.

        Records of models, encoders and subjects that the audit no longer has, or no longer runs, are not among them, nor are
        those of the real works of an artist who has none any more.
        """
        recorded = records(self.warehouse)
        if not recorded:
            return {}
        models = {m.name for m in self.audit.models}
        asleep = {m.name for m in self.audit.models if m.retired or not m.approved}
        encoders = {e.name for e in self.audit.encoders}
        subjects = set(self.subjects()["subject"]) if self.warehouse.inputs("subjects") else set()
        known = (("model_version", models), ("encoder", encoders), ("subject", subjects))

        def concerns(part: LeftOut) -> bool:
            here = all(not getattr(part, key) or getattr(part, key) in names for key, names in known)
            return here and not (part.part == MODEL and part.model_version in asleep)

        found = {name: [part for part in parts if concerns(part)] for name, parts in recorded.items()}
        of_works = {name for name in found if name.startswith(f"{FOLDER}/reference_")}
        referenced = set(self.referenced()) if of_works else set()
        return {
            name: parts
            for name, parts in found.items()
            if parts and (name not in of_works or name.rsplit("/", 1)[-1] in referenced)
        }

    def encoders(self, model: str = "") -> list[EncoderEntry]:
        """Return the encoders whose embeddings exist: those that are not left out.

        With `model`, encoders that failed at the images of this model version are left out too.
        """
        gone = {
            part.encoder
            for parts in self.left_out().values()
            for part in parts
            if part.part == ENCODER and part.model_version in ("", model)
        }
        return [e for e in self.audit.encoders if e.name not in gone]

    def text_encoders(self, model: str = "") -> list[EncoderEntry]:
        """Return those of `encoders` that read text."""
        return [e for e in self.encoders(model) if e.kind == "image_text"]

    def logit(self, entry: EncoderEntry) -> tuple[float | None, float | None]:
        """Return an encoder's scale and bias.

        If its files are not on this machine, they come from the table `encoders`.
        """
        if folder_here(self.audit, entry):
            resolved = resolve_encoder_entry(self.audit, entry)
            return resolved.logit_scale, resolved.logit_bias
        said = self.warehouse.read("encoders").set_index("encoder")[["logit_scale", "logit_bias"]].astype("float64")
        scale, bias = said.loc[entry.name].to_numpy(dtype="float64")
        return None if np.isnan(scale) else float(scale), None if np.isnan(bias) else float(bias)
