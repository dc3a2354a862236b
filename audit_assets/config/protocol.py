"""A protocol: how an audit prompts and tests."""

from functools import cached_property
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from audit_assets.config.arms import Arm
from audit_assets.config.fields import Key, Strict
from audit_assets.hashing import digest

INDIRECT = -1
"""The template index of a prompt that describes an artist's work and does not name the artist."""
OTHER = -2
"""The template index of supplied images whose prompt is none of the protocol's. They are counted apart."""
FEWEST_IMAGES = 5
"""An artist with fewer images, and fewer than the protocol asks for, is not auditable: four images against some hundred show nothing."""


class MatchingTests(Strict):
    """Experiment 2's settings."""

    reassignments: int = Field(
        1000, gt=0, le=1_000_000, description="random assignments of real works to artists in the control"
    )
    permutations: int = Field(
        100_000,
        gt=0,
        le=100_000_000,
        description="permutations of the global pairing test; its p-value cannot be below 1 / (1 + this number)",
    )
    alpha: float = Field(0.05, gt=0, lt=1)


class Comparison(Strict):
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


class Protocol(Strict):
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
    arms: tuple[Arm, ...] = Field(
        (), description="other ways to ask; no image and no verdict of the headline depends on them"
    )

    @field_validator("default_labels")
    @classmethod
    def _default_labels_differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if not all(label.strip() for label in labels):
            raise ValueError("a label is empty; write its words, or delete it")
        if len(set(labels)) != len(labels):
            raise ValueError("a label occurs twice, and would take two shares of the answer; delete one")
        return labels

    @field_validator("arms")
    @classmethod
    def _arms_have_their_own_names(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        names = [arm.name for arm in arms]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the name {twice!r} occurs twice; rename one arm")
        return arms

    @field_validator("templates")
    @classmethod
    def _templates_name_the_subject(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count("{name}") != 1 or set("{}") & set(template.replace("{name}", "")):
                raise ValueError(f"{template!r} must contain {{name}} once, and no other brace")
        if len(set(templates)) != len(templates):
            raise ValueError("a template occurs twice")
        return templates

    @model_serializer(mode="wrap")
    def _without_unused_arms(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A protocol without arms is recorded as it was before there were arms."""
        content: dict[str, Any] = handler(self)
        if not content.get("arms"):
            content.pop("arms", None)
        return content

    def prompt(self, template: int, name: str) -> str:
        """The prompt for a name. The template is no format string, because a name is data and may contain braces."""
        return self.templates[template].replace("{name}", name)

    def upload(self, template: int) -> str:
        """The hash of the work that a model is given beside the prompt; empty for none. Only an arm gives works."""
        return ""

    @property
    def strength(self) -> float:
        """How far a local pipeline leaves the work that it is given."""
        return 0.0

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
