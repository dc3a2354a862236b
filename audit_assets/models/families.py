"""Each family of pipelines has default settings.

Anything in `settings` of audit.yaml overrides them, and makes another model version.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_assets.errors import InputError


class Settings(BaseModel):
    """These fields can stand in `settings`. The values here are for a pipeline that no family below describes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    steps: int = Field(50, gt=0)
    guidance: float = Field(7.5, ge=0)
    size: int = Field(512, gt=0, description="pixels, width and height")
    negative_prompt: str | None = None
    true_cfg_scale: float | None = Field(
        None, gt=1, description="where guidance is distilled: weight of a negative prompt"
    )
    max_sequence_length: int | None = Field(None, gt=0)
    scheduler: str | None = None
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    compile: bool = False


@dataclass(frozen=True)
class Family:
    """A family holds the defaults of one class's pipelines whose files have these `marks` (`pipelines.marks_of`)."""

    name: str
    pipeline: str
    defaults: dict[str, Any]
    marks: dict[str, Any] = field(default_factory=dict)


# The first family that fits counts. The values come from the model cards and the pipelines' documented examples.
FAMILIES: tuple[Family, ...] = (
    Family("sd-turbo", "StableDiffusionPipeline", {"steps": 1, "guidance": 0.0}, {"timestep_spacing": "trailing"}),
    Family("sd-2", "StableDiffusionPipeline", {"size": 768}, {"prediction_type": "v_prediction", "text_width": 1024}),
    Family("sd-2-base", "StableDiffusionPipeline", {}, {"text_width": 1024}),
    Family("sd-1", "StableDiffusionPipeline", {}),
    Family("sdxl-turbo", "StableDiffusionXLPipeline", {"steps": 1, "guidance": 0.0}, {"timestep_spacing": "trailing"}),
    Family("sdxl", "StableDiffusionXLPipeline", {"size": 1024, "guidance": 5.0}),
    Family("sd-3", "StableDiffusion3Pipeline", {"size": 1024, "steps": 28, "guidance": 7.0, "max_sequence_length": 256}),
    Family(
        "flux-schnell",
        "FluxPipeline",
        {"size": 1024, "steps": 4, "guidance": 0.0, "max_sequence_length": 256, "true_cfg_scale": 4.0},
        {"guidance_embeds": False},
    ),
    Family(
        "flux-dev",
        "FluxPipeline",
        {"size": 1024, "steps": 28, "guidance": 3.5, "max_sequence_length": 512, "true_cfg_scale": 4.0},
    ),
    Family("pixart-sigma", "PixArtSigmaPipeline", {"size": 1024, "steps": 20, "guidance": 4.5, "max_sequence_length": 300}),
)  # fmt: skip


def family_of(pipeline_class: str, marks: dict[str, Any]) -> Family:
    """Return the first family that the class and marks fit.

    If none fits, return a family with the general defaults that has the name of the class.
    """
    for family in FAMILIES:
        if family.pipeline == pipeline_class and family.marks.items() <= marks.items():
            return family
    return Family(pipeline_class, pipeline_class, {})


def settings_for(family: Family, chosen: dict[str, Any]) -> dict[str, Any]:
    """Return the family's defaults, overridden by the choices of audit.yaml.

    InputError names a setting that is unknown or has an impossible value.
    """
    try:
        return Settings.model_validate({**family.defaults, **chosen}).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(
                f"settings: there is no setting {name!r}; the settings are {', '.join(Settings.model_fields)}."
            ) from None
        raise InputError(f"settings.{name}: {first['msg']}, not {first['input']!r}.") from None
