"""Arms of a protocol: other ways to ask for an artist than by the name as it is written."""

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from audit_assets.config.fields import Key, Strict

BY_NAME = ("misspelt", "transliterated", "translated", "titled")
"""Ways that name the artist. Control names are asked in the same way."""
WITHOUT_NAME = ("described", "classed")
"""Ways that do not name the artist. Their controls are other prompts of the arm."""
UNPROMPTED = "unprompted"
"""The way that asks for no artist at all. It shows whose images the model makes by itself."""

REFERENCE_IMAGE = "reference_image"
"""The way that gives the model works of the artist, beside words that name nobody. Works of other artists are its controls."""

Way = Literal[
    "misspelt", "transliterated", "translated", "titled", "described", "classed", "unprompted", "reference_image"
]


class Arm(Strict):
    """One other way to ask. Its images are kept apart from those of the headline, and no verdict rests on them."""

    name: Key
    way: Way
    templates: tuple[str, ...] = Field(
        min_length=1,
        description="prompts, with {name} in the place of the words that the arm asks by, and {title} for a work's title; "
        "the ways unprompted and reference_image have neither",
    )
    trials: int = Field(5, gt=0, le=1000, description="images per prompt")
    controls: int = Field(
        99,
        ge=0,
        description="of ways that name the artist: control names of each origin that are asked in the same way; of reference_image: "
        "artists of the background, and untrained artists, whose works are uploaded in the same way",
    )
    control_words: tuple[str, ...] = Field(
        (), description="what stands in place of {name} in the control prompts; of ways that do not name the artist"
    )
    works: int | None = Field(
        None, ge=1, le=100, description="of reference_image: works of each artist that the model is given, 2 by default"
    )
    strength: float | None = Field(
        None,
        gt=0,
        le=1,
        description="of reference_image and a local pipeline of diffusers: how far the model leaves the picture, 0.6 by default; 1 ignores it",
    )

    @model_validator(mode="before")
    @classmethod
    def _uploads_have_defaults(cls, said: Any) -> Any:
        if isinstance(said, dict) and said.get("way") == REFERENCE_IMAGE:
            return {"works": 2, "strength": 0.6, **said}
        return said

    @model_validator(mode="after")
    def _uploads_belong_to_their_way(self) -> "Arm":
        for name in ("works", "strength"):
            if (getattr(self, name) is None) == (self.way == REFERENCE_IMAGE):
                said = (
                    "needs a number" if self.way == REFERENCE_IMAGE else f"belongs to the way {REFERENCE_IMAGE} alone"
                )
                raise ValueError(f"{name} {said}")
        return self

    @model_serializer(mode="wrap")
    def _without_uploads_of_other_ways(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An arm of another way is recorded as it was before there were uploads."""
        content: dict[str, Any] = handler(self)
        return {
            name: value for name, value in content.items() if name not in ("works", "strength") or value is not None
        }

    @model_validator(mode="after")
    def _templates_have_their_places(self) -> "Arm":
        wanted = {UNPROMPTED: (), REFERENCE_IMAGE: (), "titled": ("{name}", "{title}")}.get(self.way, ("{name}",))
        for template in self.templates:
            rest = template
            for place in wanted:
                if template.count(place) != 1:
                    raise ValueError(f"{template!r} must contain {place} once, because the way is {self.way}")
                rest = rest.replace(place, "")
            if set("{}") & set(rest) or not template.strip():
                raise ValueError(
                    f"{template!r} must have words, and no brace but {' and '.join(wanted) or 'none'}, because the way is {self.way}"
                )
        if len(set(self.templates)) != len(self.templates):
            raise ValueError("a template occurs twice; delete one")
        return self

    @model_validator(mode="after")
    def _control_words_are_for_ways_without_a_name(self) -> "Arm":
        if self.control_words and self.way not in WITHOUT_NAME:
            raise ValueError(
                f"control_words belong to the ways {' and '.join(WITHOUT_NAME)}; the way {self.way} has control names, or none"
            )
        if len({" ".join(words.split()).casefold() for words in self.control_words}) != len(self.control_words):
            raise ValueError("control_words has the same words twice; delete one")
        if any(not words.strip() or set("{}") & set(words) for words in self.control_words):
            raise ValueError("control_words must be words without braces")
        return self

    @property
    def uploads(self) -> bool:
        return self.way == REFERENCE_IMAGE

    @property
    def names_the_artist(self) -> bool:
        return self.way in BY_NAME
