"""A checked `audit.yaml`."""

import glob
import os
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, field_validator, model_validator

from audit_assets.config.fields import Strict
from audit_assets.config.models import EncoderEntry, ModelEntry
from audit_assets.config.people import Captions, Controls, OneArtist, Roster
from audit_assets.errors import InputError
from audit_assets.warehouse.places import place

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is asked of the hub unless the user says so

Entry = TypeVar("Entry", ModelEntry, EncoderEntry)


class Audit(Strict):
    """A checked `audit.yaml`. Relative paths in it start at the folder of the file, `base`."""

    auditor: str = Field(
        "", max_length=200, description="who made the audit; stands on every page, and changes no result"
    )
    organisation: str = Field("", max_length=200, description="for whom; stands on every page, and changes no result")
    case_number: str = Field("", max_length=200, description="of a case; stands on every page, and changes no result")
    protocol: str = "paper_2023"
    artist: OneArtist | None = Field(None, description="of an audit of one artist, in place of a roster")
    captions: Captions | None = None
    roster: Roster = Roster()
    controls: Controls = Controls()
    references: str = Field("references/", min_length=1)
    background: str | None = Field(None, description="works of further artists: one folder per artist, by name")
    primary: str | None = Field(
        None, description="the encoder that decides the headline; by default the first with text"
    )
    copies: str | None = Field(
        None, description="the encoder that finds near copies, trained for it; by default small pictures find them"
    )
    text_in_images: bool = Field(
        False, description="whether text in images is read (extra `ocr`), and blurred in a sensitivity arm"
    )
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    encoders: tuple[EncoderEntry, ...] = Field(min_length=1)
    allow_code: bool = Field(False, description="whether the code of plug-ins runs on this machine")
    warehouse: str = Field("warehouse/", min_length=1, description="a folder, or s3://bucket/prefix")
    batch_size: int = Field(10, gt=0, description="images per call of a pipeline; part of the batch plan")
    base: Path = Field(exclude=True)
    file: Path = Field(exclude=True)

    @field_validator("auditor", "organisation", "case_number", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        if not isinstance(value, str):  # YAML reads 007 as the number 7
            raise ValueError(f"{value!r} is no text to YAML; write it in quotes")
        return value

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Audit":
        for kind, entries in (("models", self.models), ("encoders", self.encoders)):
            names = [re.sub(r"[^a-z0-9]", "_", e.name) if kind == "encoders" else e.name for e in entries]
            twice = next((n for n in names if names.count(n) > 1), None)
            if twice:
                raise ValueError(
                    f"{kind}: the name {twice!r} occurs twice (in a table's name, '.' and '-' become '_'); rename one"
                )
        if not any(e.kind == "image_text" for e in self.encoders):
            raise ValueError("encoders: experiment 1 needs an encoder of kind image_text; add one")
        known = {m.name for m in self.models}
        for m in self.models:
            if m.retraining_of is not None and (m.retraining_of not in known or m.retraining_of == m.name):
                raise ValueError(f"models: {m.name} is a retraining of {m.retraining_of!r}, which is no other model")
        if self.primary is not None and self.primary not in {e.name for e in self.encoders}:
            raise ValueError(f"primary: no encoder is named {self.primary!r}; name one of the encoders")
        if self.copies is not None and self.copies not in {e.name for e in self.encoders}:
            raise ValueError(f"copies: no encoder is named {self.copies!r}; name one of the encoders")
        return self

    @model_validator(mode="after")
    def _someone_is_audited(self) -> "Audit":
        if (self.artist is None) == (self.roster.artists is None):
            raise ValueError("give either `artist: <name>` or `roster: {artists: artists.csv}`")
        return self

    @model_validator(mode="after")
    def _a_prompt_name_says_of_whom(self) -> "Audit":
        for m in self.models:
            if self.artist is None and isinstance(m.prompt_name, str) and "{name}" not in m.prompt_name:
                raise ValueError(
                    f"models: {m.name} would be asked for every artist by {m.prompt_name!r}; give `prompt_name` as a mapping from each "
                    "artist's name to the words, or write {name} where the name stands"
                )
        return self

    @field_validator("artist", mode="before")
    @classmethod
    def _a_name_suffices(cls, artist: Any) -> Any:
        if isinstance(artist, list):
            raise ValueError(
                "is one artist; write several into a table, one per row, and name it: `roster: {artists: artists.csv}`"
            )
        if artist is None or isinstance(artist, dict | OneArtist):
            return artist
        if not isinstance(artist, str):  # YAML reads No as false and 1984 as a number
            raise ValueError(f"YAML reads {artist} there, which is no name; put quotes around the name as you write it")
        return {"name": artist}

    @field_validator("warehouse")
    @classmethod
    def _the_warehouse_is_a_folder_or_in_s3(cls, warehouse: str) -> str:
        if "://" in warehouse and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[^/]+)*/?", warehouse):
            raise ValueError(f"{warehouse!r} is neither a folder nor s3://bucket/prefix; write one of the two")
        return warehouse

    @field_validator("references", "background")
    @classmethod
    def _real_works_are_in_a_folder(cls, folder: str | None) -> str | None:
        if folder is not None and "://" in folder:
            raise ValueError(f"{folder!r} is not a folder; copy the works to one, or mount it")
        return folder

    def local(self, path: str) -> Path:
        """A path in the audit file, relative to the folder of that file. For a warehouse in S3, the result has the same methods as a path."""
        return place(path, self.base)

    def model(self, name: str) -> ModelEntry:
        return _named(self.models, name, "model")

    def asleep(self, name: str) -> str:
        """Why nothing new is made of a model version: "is retired", "is not approved" or that it left the file. Empty if it is audited."""
        entry = next((m for m in self.models if m.name == name), None)
        if entry is None:
            return "is not in the audit file any more"
        if entry.retired:
            return "is retired"
        return "" if entry.approved else "is not approved"

    def encoder(self, name: str) -> EncoderEntry:
        return _named(self.encoders, name, "encoder")

    @property
    def deciding_encoder(self) -> EncoderEntry:
        """The encoder that decides the headline: `primary`, by default the first with text."""
        return self.encoder(self.primary) if self.primary else next(e for e in self.encoders if e.kind == "image_text")

    @property
    def dagster_home(self) -> Path:
        """Dagster's home of this audit. In a shared home, a second audit would look as if it had been made. Two files in one folder are two audits.

        `AUDIT_DAGSTER_HOME` names another home, for example the home of a service whose records a command shares. `DAGSTER_HOME`
        has no effect, because it may be set for other projects.
        """
        named = os.environ.get("AUDIT_DAGSTER_HOME")
        return Path(named).resolve() if named else self.base / ".dagster" / self.file.stem

    def usable_home(self) -> Path:
        """`dagster_home`. InputError if Dagster would take its path for a pattern."""
        home = self.dagster_home
        if glob.has_magic(str(home)):
            raise InputError(
                f"{home}: the path contains *, ? or [, which Dagster takes for a pattern, so it would find no settings there; rename the folder, or set AUDIT_DAGSTER_HOME to another folder."
            )
        return home


def _named(entries: tuple[Entry, ...], name: str, kind: str) -> Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise InputError(f"audit.yaml has no {kind} {name!r}; write one of {', '.join(e.name for e in entries)}")
