"""Schedulers whose steps draw noise: from what the seed decides, and from what no seed decides.

The name of a class and its configuration say so. Nothing is imported, because importing diffusers loads torch.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.models.pipeline_source import PipelineSource
from audit_assets.untrusted.layout import INDEX, components

_WITHOUT_A_GENERATOR = "DPMSolverSDEScheduler"
_DRAW_NOISE = re.compile("Ancestral|CMStochastic|DDPM|LCM|SASolver|SCM|TCD")
"""Names of the schedulers that draw noise in their steps whatever their configuration is."""


def check_seeded(folder: Path, index: Mapping[str, Any], chosen: str | None) -> None:
    """Raise InputError if a scheduler draws its noise from no generator. `chosen` takes the place of the one that the model was saved with."""
    why = f"{_WITHOUT_A_GENERATOR} takes no generator, so no image could be drawn again from its seed"
    if chosen == _WITHOUT_A_GENERATOR:
        raise InputError(f"settings.scheduler: {why}; choose another, such as DPMSolverMultistepScheduler.")
    for component, (_, saved) in components(index).items():
        if saved == _WITHOUT_A_GENERATOR and not (component == "scheduler" and chosen):
            raise InputError(
                f"{folder / INDEX}, {component}: {why}; choose another with `settings.scheduler`, such as DPMSolverMultistepScheduler."
            )


def noise_is_handed_on(source: PipelineSource, scheduler: str | None, config: Mapping[str, Any]) -> bool:
    """Return whether the audit itself must hand the seeds to the steps: they draw noise, and the pipeline hands them no generator."""
    draws = (
        _DRAW_NOISE.search(scheduler or "") is not None
        or bool(config.get("stochastic_sampling"))
        or str(config.get("algorithm_type")).startswith("sde-")
    )
    return draws and not source.hands_generators
