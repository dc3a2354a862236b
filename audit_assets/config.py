"""`audit.yaml` and the protocol that it names. One file describes an audit, one pydantic model checks it, and errors name the line."""

import codecs
import math
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.untrusted.yaml import read_mapping
from audit_assets.warehouse.places import place

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is asked of the hub unless the user says so
PROTOCOLS = Path(__file__).parent / "protocols"
INDIRECT = -1
"""The template index of a prompt that describes an artist's work and does not name the artist."""
OTHER = -2
"""The template index of supplied images whose prompt is none of the protocol's. They are counted apart."""
FEWEST_IMAGES = 5
"""An artist with fewer images, and fewer than the protocol asks for, is not auditable: four images against some hundred show nothing."""
_SECRET = re.compile(r"://[^/\s]*@|[?&][^=&]*(?:token|secret|signature|credential|password|key)[^=&]*=", re.I)
KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_VARIABLE = r"^[A-Z][A-Z0-9_]{0,79}$"
_A_SECRET_BY_NAME = re.compile(r"key|token|secret|password|credential|auth", re.I)
_SET_BY_THE_AUDIT = {
    *("prompt", "model", "seed"),
    *(
        "n",
        "num_images",
        "num_images_per_prompt",
        "num_outputs",
        "num_samples",
        "samples",
        "batch_size",
    ),  # one, or a cap is passed
    "stream",
}

Key = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$",
        description="lower-case letters, digits, '.', '_', '-'; a partition key and a folder",
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_recorded(cls, value: Any) -> Any:
        """No text holds NUL. Addresses are recorded, shown and logged, so they must not contain a secret. The error does not repeat the value."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("holds a NUL character, which no name and no path can have; delete it")
        if isinstance(value, str) and _SECRET.search(value):
            raise ValueError(
                "holds a password or a token; keep it in the environment, and write the address without it"
            )
        return value


class MatchingTests(_Strict):
    """Experiment 2's settings."""

    reassignments: int = Field(1000, gt=0, description="random assignments of real works to artists in the control")
    permutations: int = Field(
        100_000,
        gt=0,
        description="permutations of the global pairing test; its p-value cannot be below 1 / (1 + this number)",
    )
    alpha: float = Field(0.05, gt=0, lt=1)


class Comparison(_Strict):
    """When two model versions count as different."""

    changed: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="an artist changed if the whole 95 % interval of the difference in accuracy lies beyond this margin",
    )
    equivalent: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="two versions are equivalent if the test shows that the mean difference lies within this margin",
    )


class Protocol(_Strict):
    """How an audit prompts and tests. Every row of the results has its name."""

    name: Key
    templates: tuple[str, ...] = Field(
        min_length=1, description="prompts, with {name} in the place of the subject's name"
    )
    default_labels: tuple[str, ...] = Field(
        ("Artwork", "Digital Artwork", "Artwork from the public domain"), min_length=1
    )
    trials: int = Field(10, gt=0, le=1000, description="images per subject and template")
    seed: int = Field(
        0,
        ge=0,
        description="seed of the tests that draw at random; an image's seed comes from its subject, template and trial",
    )
    indirect: bool = Field(
        False,
        description="whether the audit also prompts with each artist's indirect_prompt, which does not name the artist",
    )
    matching: MatchingTests = MatchingTests()
    comparison: Comparison = Comparison()

    @field_validator("templates")
    @classmethod
    def _templates_name_the_subject(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count("{name}") != 1 or set("{}") & set(template.replace("{name}", "")):
                raise ValueError(f"{template!r} must contain {{name}} once, and no other brace")
        if len(set(templates)) != len(templates):
            raise ValueError("a template occurs twice")
        return templates

    def prompt(self, template: int, name: str) -> str:
        """The prompt for a name. The template is no format string, because a name is data and may contain braces."""
        return self.templates[template].replace("{name}", name)

    def wordings(self, name: str, indirect: str = "") -> dict[int, tuple[str, str]]:
        """The prompts of a subject: template index -> (prompt, the text from which its seeds are computed)."""
        found = {t: (self.prompt(t, name), template) for t, template in enumerate(self.templates)}
        if self.indirect and indirect:
            found[INDIRECT] = (indirect, indirect)
        return found

    @cached_property
    def generation_hash(self) -> str:
        """The hash of the settings on which images depend."""
        return digest({"templates": self.templates, "trials": self.trials, "indirect": self.indirect})

    @cached_property
    def measurement_hash(self) -> str:
        """The hash of all other settings. A change of these draws no image again."""
        return digest(
            {
                "default_labels": self.default_labels,
                "seed": self.seed,
                "matching": self.matching.model_dump(),
                "comparison": self.comparison.model_dump(),
            }
        )


class Captions(_Strict):
    path: str = Field(
        min_length=1, description="parquet, CSV, TSV or JSON lines, a file or a glob; local, s3:// or hf://"
    )
    dataset: str = Field("", description="the name of the data set; it is recorded")
    score_version: Literal["v1", "v2"] | None = Field(
        None,
        description="version of the aesthetic scores, which are not comparable; the default comes from the data set's name if it has the version",
    )
    minimum_score: float | None = None
    maximum_punsafe: float | None = Field(None, ge=0, le=1)
    maximum_pwatermark: float | None = Field(None, ge=0, le=1)
    columns: dict[Literal["text", "url", "score", "punsafe", "pwatermark", "status"], str] = Field(
        {}, description="columns of the files, if their names are not known or another one is to be read"
    )
    encoding: str | None = Field(None, description="encoding of the files, such as cp1252; the default is UTF-8")
    failed_downloads: Literal["leave_out", "count"] = Field(
        "leave_out", description="what becomes of rows that img2dataset could not download (column status)"
    )

    @field_validator("encoding")
    @classmethod
    def _the_encoding_is_known(cls, encoding: str | None) -> str | None:
        try:
            if encoding is not None:
                codecs.getincrementaldecoder(encoding)().decode(b"").encode()
        except (LookupError, AttributeError, TypeError) as error:
            raise ValueError(f"{encoding!r} is no encoding of text; write one such as cp1252 or utf-16") from error
        return encoding


class OneArtist(_Strict):
    """The artist of an audit of one artist. In audit.yaml the name alone suffices: `artist: Ada Brandvold`."""

    name: str = Field(min_length=1, max_length=200)
    aliases: tuple[str, ...] = ()
    locale: str | None = Field(None, description="the origin of the name, as a locale of Faker, such as no_NO")
    indirect_prompt: str = Field("", description="a description of the works that does not name the artist")
    prompt_name: str = Field(
        "",
        max_length=200,
        description="how models are asked for the artist, if they were taught another word than the name",
    )
    opted_out: bool = False


class Roster(_Strict):
    artists: str | None = Field(None, min_length=1, description="the table artists.csv")
    criteria: int = Field(70, gt=0)
    most_mentioned: int = Field(250, ge=0)
    minimum_mentions: int | None = Field(100, ge=0)
    mined_captions: int = Field(
        1_000_000,
        ge=0,
        description="number of captions from which names are mined as proposals for artists.csv; 0 for none",
    )


class Controls(_Strict):
    random_names: int = Field(
        199,
        ge=0,
        description="names that share no part with an artist's, for each locale that the artists' names come from",
    )
    recombined_names: int = Field(20, ge=0, description="names recombined from the parts of the artists' names")
    nonsense: int = Field(0, ge=0, description="invented words that the encoder's tokenizer does not break into crumbs")
    locale: str = "en_US"
    seed: int = Field(7, ge=0)
    share_name_parts: bool = Field(
        False,
        description="whether random names may share a part with an artist's name; the model may take such a control for that artist",
    )


class LoraEntry(_Strict):
    """An adapter on top of a model. A model with an adapter is another model version."""

    path: str = Field(min_length=1, description="a .safetensors file, or a folder or hub:owner/name that holds one")
    revision: str | None = None
    weight: float = Field(1.0, allow_inf_nan=False)
    alpha: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="alpha of the training, if the adapter's file does not state it"
    )


class EmbeddingEntry(_Strict):
    """A textual inversion embedding on top of a model. A model with an embedding is another model version."""

    path: str = Field(min_length=1, description="a .safetensors file, or a folder or hub:owner/name that holds one")
    revision: str | None = None
    token: str = Field(
        pattern=r"^\S{2,100}$", description="the word that stands for the embedding in prompts; `prompt_name` uses it"
    )


class ApiEntry(_Strict):
    """How a model behind an images API is asked. Address and key are in variables of the environment, which the file names."""

    address_env: str = Field(
        "AUDIT_API_ADDRESS", pattern=_VARIABLE, description="the variable that holds the address of the server"
    )
    key_env: str = Field(
        "AUDIT_API_KEY", pattern=_VARIABLE, description="the variable that holds the key, if one is needed"
    )
    seeds: bool = Field(False, description="whether the server takes `seed`")
    seed_bits: int = Field(63, ge=1, le=63, description="the server takes seeds below 2 to the power of this number")
    concurrency: int = Field(2, ge=1, le=64, description="calls at the same time")
    timeout: float = Field(
        180, gt=0, le=3600, description="seconds that one call may take, from connecting to the last byte"
    )
    retries: int = Field(4, ge=0, le=20, description="how often one image is asked for again")
    patience: float = Field(
        600, gt=0, le=86_400, description="seconds in all that one image may wait for a busy server"
    )
    maximum_images: int | None = Field(
        None, ge=0, description="calls that this warehouse may ever make of this model; checked before each call"
    )
    price_per_image: float | None = Field(None, ge=0, allow_inf_nan=False)
    maximum_cost: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="in the currency of price_per_image; checked before each call"
    )
    refusal_codes: tuple[str, ...] = Field((), description="further error codes by which this server refuses a prompt")

    @model_validator(mode="after")
    def _money_has_a_price(self) -> "ApiEntry":
        if self.maximum_cost is not None and not self.price_per_image:
            raise ValueError("maximum_cost needs price_per_image, from which the cost of a call follows; give both")
        return self


class ModelEntry(_Strict):
    name: Key
    source: Literal["diffusers", "image_folder", "api"]
    path: str = ""
    model: str | None = Field(None, min_length=1, max_length=200, description="of source api: the name that is sent")
    api: ApiEntry | None = None
    revision: str | None = None
    approved: bool = False
    retired: bool = False
    retraining_of: str | None = Field(
        None,
        description="the model that this one is, trained again on the same data: how far artists move without a cause",
    )
    variant: str | None = Field(
        None,
        pattern=r"^\w+$",
        description="which weights are loaded, such as fp16 for model.fp16.safetensors; by default the plain ones, else the only ones",
    )
    config: str | None = Field(
        None,
        min_length=1,
        description="of a model in one .safetensors file: the folder of its configuration, tokenizers and scheduler",
    )
    settings: dict[str, Any] = {}
    lora: tuple[LoraEntry, ...] = ()
    embeddings: tuple[EmbeddingEntry, ...] = ()
    prompt_name: str | dict[str, str] | None = Field(
        None,
        description="how this model is asked for an artist: words with {name} for every subject, or a mapping from an artist's name to the "
        "words that the model was taught; in an audit of one artist also these words alone",
    )

    @field_validator("prompt_name")
    @classmethod
    def _prompt_names_are_words(cls, said: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for words in [said] if isinstance(said, str) else (said or {}).values():
            rest = words.replace("{name}", "", 1)
            if not words.strip() or len(words) > 200 or set("{}") & set(rest) or any(ord(c) < 32 for c in words):
                raise ValueError(
                    f"{words[:50]!r} must be words in one line, up to 200 characters, with {{name}} at most once and no other brace"
                )
        return said

    @model_validator(mode="after")
    def _a_folder_is_asked_nothing(self) -> "ModelEntry":
        if self.source == "image_folder" and (
            self.settings or self.lora or self.embeddings or self.variant or self.config
        ):
            raise ValueError(
                "an image_folder takes no settings, lora, embeddings, variant or config, because its images are made already; delete these fields"
            )
        return self

    @model_validator(mode="after")
    def _a_source_has_its_own_fields(self) -> "ModelEntry":
        if self.source != "api":
            if not self.path:
                raise ValueError(f"a model of source {self.source} needs a `path`; give its folder")
            if self.model is not None or self.api is not None:
                raise ValueError("`model` and `api` belong to source api; delete them, or correct `source`")
            return self
        if self.model is None:
            raise ValueError("source api needs `model`, the name that the server knows the model by")
        unused = [f for f in ("path", "revision", "lora", "embeddings", "variant", "config") if getattr(self, f)]
        if unused:
            raise ValueError(f"source api has no files, and takes no {', '.join(unused)}; delete the fields")
        for name, value in self.settings.items():
            if name in _SET_BY_THE_AUDIT:
                raise ValueError(f"settings.{name} is set by the audit; delete it")
            if _A_SECRET_BY_NAME.search(name):
                raise ValueError(
                    f"settings.{name}: settings are recorded; keep a secret in the variable of api.key_env"
                )
            if not isinstance(value, (str, int, float, bool)) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise ValueError(f"settings.{name}: must be a text, a finite number, true or false")
        if self.settings.get("response_format", "url") not in ("url", "b64_json"):
            raise ValueError("settings.response_format is url or b64_json; correct it, or leave it to the server")
        return self

    @property
    def asked(self) -> ApiEntry:
        """How a model of source api is asked."""
        return self.api or ApiEntry()


class EncoderEntry(_Strict):
    name: Key
    kind: Literal["image_text", "image"]
    path: str = Field(min_length=1)
    revision: str | None = None
    processor: Literal["pil"] = "pil"
    code: str | None = Field(
        None, description="a plug-in: a Python file in the folder `path`, which runs only with allow_code"
    )


Entry = TypeVar("Entry", ModelEntry, EncoderEntry)


class Audit(_Strict):
    """A checked `audit.yaml`. Relative paths in it start at the folder of the file, `base`."""

    protocol: str = "paper_2023"
    artist: OneArtist | None = Field(None, description="of an audit of one artist, in place of a roster")
    captions: Captions | None = None
    roster: Roster = Roster()
    controls: Controls = Controls()
    references: str = "references/"
    background: str | None = Field(None, description="works of further artists: one folder per artist, by name")
    primary: str | None = Field(
        None, description="the encoder that decides the headline; by default the first with text"
    )
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    encoders: tuple[EncoderEntry, ...] = Field(min_length=1)
    allow_code: bool = Field(False, description="whether the code of plug-ins runs on this machine")
    warehouse: str = Field("warehouse/", min_length=1, description="a folder, or s3://bucket/prefix")
    batch_size: int = Field(10, gt=0, description="images per call of a pipeline; part of the batch plan")
    base: Path = Field(exclude=True)
    file: Path = Field(exclude=True)

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
        return {"name": artist} if isinstance(artist, str) else artist

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


def _named(entries: tuple[Entry, ...], name: str, kind: str) -> Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise InputError(f"audit.yaml has no {kind} {name!r}; write one of {', '.join(e.name for e in entries)}")


def load_audit(path: str | Path) -> Audit:
    """Read and check an audit file. InputError names the file, the line, the field and the remedy."""
    path = Path(path).resolve()
    content, lines = read_mapping(
        path,
        "audit file",
        "pass --config, or set AUDIT_CONFIG; the miniature's data/miniature/audit.yaml, the default and an example to copy, "
        "is in the repository and not in the installed package",
    )
    if reserved := sorted({"base", "file"} & content.keys()):
        raise InputError(f"{path}, line {lines[(reserved[0],)]}, {reserved[0]}: no such field exists; delete it.")
    return _checked(Audit, {**content, "base": path.parent, "file": path}, path, lines)


def load_protocol(audit: Audit) -> Protocol:
    """The protocol that an audit names: one of the package, or a file of the operator."""
    shipped = PROTOCOLS / f"{audit.protocol}.yaml"
    path = shipped if KEY.fullmatch(audit.protocol) and shipped.exists() else audit.local(audit.protocol)
    known = ", ".join(sorted(p.stem for p in PROTOCOLS.glob("*.yaml")))
    content, lines = read_mapping(
        path, "protocol", f"protocol in {audit.file} takes one of {known}, or the path of a file"
    )
    return _checked(Protocol, content, path, lines)


Model = TypeVar("Model", bound=BaseModel)


def _checked(model: type[Model], content: Mapping[str, Any], path: Path, lines: dict[tuple[Any, ...], int]) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = []
        for e in error.errors():
            location = tuple(e["loc"])
            line = next((lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in lines), 1)
            field = ".".join(str(part) for part in location) or "the file"
            message = (
                "no such field exists; delete it or correct its name"
                if e["type"] == "extra_forbidden"
                else e["msg"].removeprefix("Value error, ")
            )
            problems.append(f"{path}, line {line}, {field}: {message}")
        raise InputError("\n".join(problems)) from None
