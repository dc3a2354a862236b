"""Arms of a protocol: other ways to ask for an artist than by the name as it is written."""

from typing import Literal

from pydantic import Field, model_validator

from audit_assets.config.fields import Key, Strict

BY_NAME = ("misspelt", "transliterated", "translated", "titled")
"""Ways that name the artist. Control names are asked in the same way."""
WITHOUT_NAME = ("described", "classed")
"""Ways that do not name the artist. Their controls are other prompts of the arm."""
UNPROMPTED = "unprompted"
"""The way that asks for no artist at all. It shows whose images the model makes by itself."""

Way = Literal["misspelt", "transliterated", "translated", "titled", "described", "classed", "unprompted"]


class Arm(Strict):
    """One other way to ask. Its images are kept apart from those of the headline, and no verdict rests on them."""

    name: Key
    way: Way
    templates: tuple[str, ...] = Field(
        min_length=1,
        description="prompts, with {name} in the place of the words that the arm asks by, and {title} for a work's title; "
        "an unprompted arm has neither",
    )
    trials: int = Field(5, gt=0, le=1000, description="images per prompt")
    controls: int = Field(
        99,
        ge=0,
        description="control names of each origin that are asked in the same way; of ways that name the artist",
    )
    control_words: tuple[str, ...] = Field(
        (), description="what stands in place of {name} in the control prompts; of ways that do not name the artist"
    )

    @model_validator(mode="after")
    def _templates_have_their_places(self) -> "Arm":
        wanted = {"unprompted": (), "titled": ("{name}", "{title}")}.get(self.way, ("{name}",))
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
    def names_the_artist(self) -> bool:
        return self.way in BY_NAME
