"""What a pipeline is asked for in addition to prompts and seeds, and where each value comes from.

A value of audit.yaml comes first. Then comes the row of a family below, and then the pipeline's own default, as its source
has it. A value that none of them has is asked of the auditor. Any change makes another model version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_assets.errors import InputError
from audit_assets.models.pipeline_size import divisor, own_size
from audit_assets.models.pipeline_source import PipelineSource

FROM_FILE = "audit.yaml"
OWN = "the pipeline's own default"
_SIDES = ("width", "height")


class Settings(BaseModel):
    """These fields can stand in `settings`. None means that audit.yaml leaves the value to the family or the pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    steps: int | None = Field(None, gt=0)
    guidance: float | None = Field(None, ge=0)
    size: int | list[int] | None = Field(None, description="pixels: width and height, or [width, height]")
    negative_prompt: str | None = None
    true_cfg_scale: float | None = Field(
        None, gt=1, description="where guidance is distilled: weight of a negative prompt"
    )
    max_sequence_length: int | None = Field(None, gt=0)
    scheduler: str | None = None
    safety_checker: bool | None = Field(None, description="false leaves the safety checker of the model out")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    compile: bool = False


@dataclass(frozen=True)
class Family:
    """A family holds what differs from the own defaults of its class, for pipelines whose files have these `marks`
    (`pipelines.marks_of`). A default of None is never sent, because the model does not hear it."""

    name: str
    pipeline: str
    defaults: dict[str, Any]
    marks: dict[str, Any] = field(default_factory=dict)


# The first family that fits counts. The values come from the model cards and the pipelines' documented examples.
FAMILIES: tuple[Family, ...] = (
    # The spacing alone is no mark: models that were tuned to zero terminal SNR, and SDXL Lightning, are saved with it too.
    Family(
        "sd-turbo",
        "StableDiffusionPipeline",
        {"steps": 1, "guidance": 0.0},
        {"timestep_spacing": "trailing", "text_width": 1024, "prediction_type": "epsilon", "sample_size": 64},
    ),
    Family(
        "sdxl-turbo",
        "StableDiffusionXLPipeline",
        {"steps": 1, "guidance": 0.0},
        {"timestep_spacing": "trailing", "prediction_type": "epsilon", "sample_size": 64},
    ),
    Family(
        "flux-schnell",
        "FluxPipeline",
        {"steps": 4, "guidance": None, "max_sequence_length": 256, "true_cfg_scale": 4.0},
        {"guidance_embeds": False},
    ),
    Family("flux-dev", "FluxPipeline", {"true_cfg_scale": 4.0}),
    Family("flux-2-klein", "Flux2KleinPipeline", {"steps": 4, "guidance": None}, {"is_distilled": True}),
    Family("dreamlite-mobile", "DreamLiteMobilePipeline", {"guidance": None}),
    Family("lcm", "LatentConsistencyModelPipeline", {"guidance": None}, {"time_cond_proj_dim": None}),
)


def family_of(pipeline_class: str, marks: dict[str, Any]) -> Family:
    """Return the first family that the class and marks fit; if none fits, one without values that has the name of the class."""
    for family in FAMILIES:
        if family.pipeline == pipeline_class and family.marks.items() <= marks.items():
            return family
    return Family(pipeline_class, pipeline_class, {})


@dataclass(frozen=True)
class Asked:
    """What a pipeline is asked for.

    `settings` has each setting as it is sent, and None for one that is not sent. `arguments` are those of the call.
    `origins` says per setting where its value comes from. `not_sent` says per setting of audit.yaml why it is not sent.
    """

    settings: dict[str, Any]
    arguments: dict[str, Any]
    origins: dict[str, str]
    not_sent: dict[str, str]


@dataclass(frozen=True)
class Described:
    """What the files of a pipeline say: its family, its source, its own fields and its components' configurations."""

    family: Family
    source: PipelineSource
    own: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any] | None]


def checked(chosen: Mapping[str, Any]) -> Settings:
    """Return `settings` of audit.yaml. InputError names a setting that is unknown or has an impossible value."""
    try:
        found = Settings.model_validate(dict(chosen))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise InputError(
                f"settings: there is no setting {name!r}; the settings are {', '.join(Settings.model_fields)}."
            ) from None
        raise InputError(f"settings.{name}: {first['msg']}, not {chosen[name]!r}.") from None
    sides = found.size if isinstance(found.size, list) else [found.size, found.size]
    if found.size is not None and (len(sides) != len(_SIDES) or min(side or 0 for side in sides) < 1):
        raise InputError(f"settings.size: give pixels, as 512 or as [width, height], not {found.size!r}.")
    return found


def asked(pipeline: Described, chosen: Mapping[str, Any]) -> Asked:
    """Return what a pipeline is asked for. InputError names a setting that is impossible, or that has to be given."""
    return _Asking(pipeline, checked(chosen)).result()


class _Asking:
    """Collects the arguments of a pipeline's call, one setting after the other."""

    def __init__(self, pipeline: Described, given: Settings) -> None:
        self.pipeline, self.takes, self.given = pipeline, pipeline.source.takes, given
        self.name = pipeline.source.name
        self.settings = given.model_dump()
        self.arguments: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.not_sent: dict[str, str] = {}

    def result(self) -> Asked:
        self._value("steps", "num_inference_steps")
        self._guidance()
        self._size()
        self._value("max_sequence_length", "max_sequence_length", may_be_none=True)
        self._negative_prompt()
        self._safety_checker()
        for name, default in self.takes.items():
            # A pipeline of several stages has samplers of its own for them; some resize unless they are told not to.
            if name.startswith(("prior_", "decoder_", "super_res_")) and isinstance(default, int | float):
                self.arguments[name] = default
            # PixArt would draw at the nearest size of its training, and would rewrite the prompt if Beautiful Soup is installed.
            if name in ("use_resolution_binning", "clean_caption"):
                self.arguments[name] = False
        return Asked(self.settings, self.arguments, self.origins, self.not_sent)

    def _value(self, setting: str, argument: str | None, *, may_be_none: bool = False, why: str = "") -> None:
        """Send one setting as this argument; None as argument means that the pipeline does not hear it, `why` says so."""
        given, own = getattr(self.given, setting), self.pipeline.family.defaults
        default = self.takes.get(argument or "")
        if argument is None or argument not in self.takes:
            self._leave(setting, why or f"{self.name} takes no {argument or setting}")
        elif setting in own and own[setting] is None:
            self._leave(setting, f"{self.pipeline.family.name} does not hear it")
        elif given is not None:
            self._send(setting, argument, given, FROM_FILE)
        elif setting in own:
            self._send(setting, argument, own[setting], f"the table of families ({self.pipeline.family.name})")
        elif isinstance(default, int | float) and not isinstance(default, bool):
            self._send(setting, argument, default, OWN)
        elif may_be_none:
            self._leave(setting, "")
        else:
            raise InputError(f"settings.{setting}: {self.name} has no default of its own that is known; give it.")

    def _send(self, setting: str, argument: str, value: Any, origin: str) -> None:
        self.settings[setting], self.arguments[argument], self.origins[setting] = value, value, origin

    def _leave(self, setting: str, why: str) -> None:
        if getattr(self.given, setting) is not None:
            self.not_sent[setting] = why
        self.settings[setting] = None

    def _guidance(self) -> None:
        transformer = self.pipeline.parts.get("transformer") or {}
        if "distilled_guidance_scale" in self.takes:
            heard = transformer.get("guidance_embeds") is True
            why = f"{self.name} takes its guidance from its component `guider`"
            return self._value("guidance", "distilled_guidance_scale" if heard else None, why=why)
        if self._is_true_guidance():
            return self._value("guidance", "true_cfg_scale")
        if "guidance_schedule" in self.takes and self.given.guidance is None:
            if self.given.steps is not None and self.given.steps != self.takes["num_inference_steps"]:
                raise InputError(
                    f"settings.guidance: the guidance schedule of {self.name} is made for "
                    f"{self.takes['num_inference_steps']} steps; give a guidance, or leave `steps` out."
                )
            return self._leave("guidance", "")
        if "guidance_schedule" in self.takes:
            self.arguments["guidance_schedule"] = None
        return self._value("guidance", "guidance_scale")

    def _is_true_guidance(self) -> bool:
        """Whether the pipeline is guided by `true_cfg_scale` alone, as Qwen-Image is, and ignores `guidance_scale`."""
        embeds = (self.pipeline.parts.get("transformer") or {}).get("guidance_embeds") is True
        return "true_cfg_scale" in self.takes and self.takes.get("guidance_scale") is None and not embeds

    def _size(self) -> None:
        if not self.takes.keys() >= set(_SIDES):
            self._leave("size", f"{self.name} takes no width and height")
            return
        given, source = self.given.size, self.pipeline.source
        if given is None:
            found = own_size(source, self.pipeline.own, self.pipeline.parts)
            if found is None:
                raise InputError(f"settings.size: {self.name} has no size of its own that is known; give it in pixels.")
            width, height = found
        else:
            width, height = (given, given) if isinstance(given, int) else given
        self._check_sides(width, height)
        self.settings["size"] = width if width == height else [width, height]
        self.arguments |= {"width": width, "height": height}
        self.origins["size"] = OWN if given is None else FROM_FILE

    def _check_sides(self, width: int, height: int) -> None:
        by = divisor(self.pipeline.source, self.pipeline.own, self.pipeline.parts)
        for side in (width, height):
            if by and side % by:
                nearest = [n for n in (side // by * by, (side // by + 1) * by) if n]
                raise InputError(
                    f"settings.size: {self.name} draws sides that are divisible by {by}, and {side} is not; give "
                    f"{' or '.join(str(n) for n in nearest)}."
                )

    def _negative_prompt(self) -> None:
        """Send a negative prompt if the pipeline reads it. FLUX and its like read it only beside `true_cfg_scale`."""
        given, above = self.given.negative_prompt, self.pipeline.source.guided_above
        if "true_cfg_scale" in self.takes:
            return self._beside_true_guidance()
        self._leave("true_cfg_scale", f"{self.name} takes no true_cfg_scale")
        if given is None or "negative_prompt" not in self.takes:
            own = self.takes.get("negative_prompt")
            if isinstance(own, str) and own:
                return self._send("negative_prompt", "negative_prompt", own, OWN)
            return self._leave("negative_prompt", f"{self.name} takes no negative_prompt")
        unet = self.pipeline.parts.get("unet") or {}
        if self.pipeline.source.is_guided_by_its_unet and unet.get("time_cond_proj_dim") is not None:
            return self._leave("negative_prompt", "the UNet hears the guidance itself, and no negative prompt")
        if above is not None and (self.settings["guidance"] or 0) <= above and self.settings["guidance"] is not None:
            why = f"{self.name} reads it only if guidance is above {above:g}"
            return self._leave("negative_prompt", why)
        return self._send("negative_prompt", "negative_prompt", given, FROM_FILE)

    def _beside_true_guidance(self) -> None:
        given = self.given.negative_prompt
        if self._is_true_guidance():
            self._leave("true_cfg_scale", f"{self.name} is guided by `guidance` alone, which is sent as true_cfg_scale")
            if (self.settings["guidance"] or 0) <= 1:
                return self._leave("negative_prompt", f"{self.name} reads it only if guidance is above 1")
            if given is None:
                # Without a negative prompt, however short, these pipelines draw without guidance.
                return self._send("negative_prompt", "negative_prompt", " ", "needed for guidance to be heard")
            return self._send("negative_prompt", "negative_prompt", given, FROM_FILE)
        if given is None:
            return self._leave_both("it is read only beside a negative_prompt")
        self._value("true_cfg_scale", "true_cfg_scale")
        if self.settings["true_cfg_scale"] <= 1:
            del self.arguments["true_cfg_scale"], self.origins["true_cfg_scale"]
            return self._leave_both("it is read only beside a true_cfg_scale above 1")
        return self._send("negative_prompt", "negative_prompt", given, FROM_FILE)

    def _leave_both(self, why: str) -> None:
        self._leave("true_cfg_scale", why)
        self._leave("negative_prompt", why)

    def _safety_checker(self) -> None:
        if self.pipeline.parts.get("safety_checker") is None:
            if self.given.safety_checker:
                raise InputError("settings.safety_checker: the model has no safety checker; delete the setting.")
            self._leave("safety_checker", "the model has no safety checker")
            return
        self.settings["safety_checker"] = self.given.safety_checker is not False
        self.origins["safety_checker"] = OWN if self.given.safety_checker is None else FROM_FILE
