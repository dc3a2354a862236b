"""Who is audited: captions, one artist or a roster, and control names."""

import codecs
import unicodedata
from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, field_validator, model_validator

from audit_assets.config.fields import Strict
from audit_assets.untrusted.tables import clean

STORES = ("s3://", "hf://")
"""The address of captions in a store begins with one of these."""


class Captions(Strict):
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

    @field_validator("path")
    @classmethod
    def _captions_are_local_or_in_a_known_store(cls, path: str) -> str:
        # fsspec opens many more addresses, such as files of the machine, any web server, or one address within another.
        if "://" in path and (not path.startswith(STORES) or "::" in path):
            raise ValueError(
                f"{path!r} is neither a local path nor one address that begins with s3:// or hf://; correct it"
            )
        return path

    @field_validator("encoding")
    @classmethod
    def _the_encoding_is_known(cls, encoding: str | None) -> str | None:
        try:
            if encoding is not None:
                codecs.getincrementaldecoder(encoding)().decode(b"").encode()
        except (LookupError, AttributeError, TypeError) as error:
            raise ValueError(f"{encoding!r} is no encoding of text; write one such as cp1252 or utf-16") from error
        return encoding


class OneArtist(Strict):
    """The artist of an audit of one artist. In audit.yaml the name alone suffices: `artist: Ada Brandvold`.

    Every text is read as anybody would type it, as in a table of artists. `changed` says which was written otherwise.
    """

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
    translated: str = Field("", max_length=200, description="the name in another language or script")
    described_as: str = Field(
        "", max_length=200, description="a class that the artist belongs to, such as a Norwegian illustrator"
    )
    titles: tuple[str, ...] = Field((), description="titles of works")
    indirect_prompts: tuple[str, ...] = Field((), description="further descriptions that do not name the artist")
    _changed: tuple[tuple[str, str], ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _texts_are_clean(cls, fields: Any, handler: ModelWrapValidatorHandler["OneArtist"]) -> "OneArtist":
        changed: list[tuple[str, str]] = []

        def cleaned(name: str, value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [cleaned(name, item) for item in value]
            if not isinstance(value, str):
                return value
            text, marks = clean(value.strip())
            if text != value:
                changed.append((name, f"{text!r} is read without {' and '.join(marks) or _otherwise(value)}"))
            return text

        one = handler({k: cleaned(k, v) for k, v in fields.items()} if isinstance(fields, dict) else fields)
        one._changed = tuple(changed)
        return one

    @property
    def changed(self) -> tuple[tuple[str, str], ...]:
        """(the field, what was changed) of each text that was written otherwise than it is read."""
        return self._changed


def _otherwise(text: str) -> str:
    """How a text differs that holds no mark without width."""
    return (
        "white space around it or between its words"
        if unicodedata.is_normalized("NFC", text)
        else "accents that are characters of their own (its form is not NFC)"
    )


class Roster(Strict):
    artists: str | None = Field(None, min_length=1, description="the table artists.csv")
    criteria: int = Field(70, gt=0)
    most_mentioned: int = Field(250, ge=0)
    minimum_mentions: int | None = Field(100, ge=0)
    mined_captions: int = Field(
        1_000_000,
        ge=0,
        description="number of captions from which names are mined as proposals for artists.csv; 0 for none",
    )


class Controls(Strict):
    random_names: int = Field(
        199,
        ge=0,
        le=100_000,
        description="names that share no part with an artist's, for each locale that the artists' names come from",
    )
    recombined_names: int = Field(
        20, ge=0, le=100_000, description="names recombined from the parts of the artists' names"
    )
    nonsense: int = Field(
        0, ge=0, le=100_000, description="invented words that the encoder's tokenizer does not break into crumbs"
    )
    locale: str = "en_US"
    seed: int = Field(7, ge=0)
    share_name_parts: bool = Field(
        False,
        description="whether random names may share a part with an artist's name; the model may take such a control for that artist",
    )

    @field_validator("locale")
    @classmethod
    def _a_hyphen_is_an_underscore(cls, locale: str) -> str:
        return locale.replace("-", "_")
