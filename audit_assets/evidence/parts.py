"""The parts of a manifest: files with their hashes, pictures, and what each subject was asked."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from audit_assets.config import Key
from audit_assets.publication.stage import ARTIST_PAGES
from audit_assets.warehouse.large_tables import FOLDER, sha256_in

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", max_length=500)]
"""A path below the warehouse. None of its parts begins with a dot, so it never leads out."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoredFile(Part):
    path: Place
    bytes: int = Field(ge=0)
    sha256: Sha256


class StoredTable(StoredFile):
    rows: int = Field(ge=0)
    inputs: str
    """The hash of what it was made from, which the file itself carries."""
    published_as: str | None
    """Its table in the database. It is None if only published tables are made from it."""

    @property
    def of_a_scan(self) -> bool:
        """Whether the table is of single caption files or of a draw, from which the published tables were made."""
        return (
            self.published_as is None
            and self.path != f"{ARTIST_PAGES}.parquet"
            and not self.path.startswith("audit_report/")
        )


class Picture(Part):
    """An image of the store, `images/<first two digits>/<sha256>.png`.

    It is None if no image exists (`not_supplied`, a refused prompt).
    """

    image_sha256: Sha256 | None
    bytes: int | None = Field(ge=0)

    @property
    def path(self) -> str:
        return image_path(self.image_sha256 or "")

    def stored(self) -> StoredFile:
        return StoredFile(path=self.path, bytes=self.bytes or 0, sha256=self.image_sha256 or "")


class Imitation(Picture):
    template: int
    trial: int
    prompt: str | None
    seed: str | None = Field(pattern=r"^[0-9]+$")
    """Decimal, as a text: many readers of JSON lose digits beyond 2^53."""
    status: str


class Work(Picture):
    work: int
    source: str | None
    licence: str | None


class CaptionRow(Part):
    """The file and the row of a caption that names a subject."""

    shard: str
    row: int


class Subject(Part):
    """A prompted subject: from the captions and the roster to the images and their embeddings."""

    subject: Key
    name: str
    kind: str
    rosters: list[str]
    mentions: int | None
    captions: list[CaptionRow]
    """The first captions that name the subject."""
    imitations: Place
    images: list[Imitation]
    embeddings: dict[str, Place]
    """Encoder -> table."""


class InArm(Part):
    """What one subject was asked in one arm of the protocol, and what came of it."""

    arm: Key
    subject: Key
    kind: str
    arm_images: Place
    images: list[Imitation]
    embeddings: dict[str, Place]
    """Encoder -> table, of the encoders that embedded the images."""


class Reference(Part):
    """Real works of a subject, and their embeddings."""

    subject: Key
    reference_works: Place
    works: list[Work]
    embeddings: dict[str, Place]


class ModelFile(Part):
    kind: str
    file: str
    bytes: int = Field(ge=0)
    sha256: Sha256
    licence: str | None


class Source(Part):
    """A model version or an encoder: its row in the table, and every file of it."""

    row: dict[str, Any]
    files: list[ModelFile]


class EmbeddingsFile(StoredFile):
    """A file beside the database. The root does not cover it, so it can be nothing but such a file: its name has its sha256."""

    @model_validator(mode="after")
    def _is_named_by_its_bytes(self) -> Self:
        folder, _, name = self.path.partition("/")
        if folder != FOLDER or sha256_in(name) != self.sha256:
            raise ValueError(f"{self.path!r} is no file of embeddings beside the database")
        return self


class Database(StoredFile):
    published_from: str
    embeddings: list[EmbeddingsFile] = Field(default_factory=list)
    """The files beside the database of a large audit."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what earlier versions wrote, unless there are such files: an archive holds its manifest to the byte."""
        content: dict[str, Any] = written(self)
        return {key: value for key, value in content.items() if key != "embeddings" or value}


def image_path(sha256: str) -> str:
    return f"images/{sha256[:2]}/{sha256}.png"
