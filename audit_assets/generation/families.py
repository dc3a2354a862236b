"""What each family of pipelines is asked by default. Anything in `settings` of audit.yaml overrides it, and makes another model version."""

from typing import Any

DEFAULT: dict[str, Any] = {
    "steps": 50,
    "guidance": 7.5,
    "size": 512,
    "negative_prompt": None,
    "max_sequence_length": None,
    "scheduler": None,
    "dtype": "auto",
}

FAMILIES: dict[str, dict[str, Any]] = {
    "StableDiffusionPipeline": {},
    "StableDiffusionXLPipeline": {"size": 1024, "guidance": 5.0},
    "StableDiffusion3Pipeline": {"size": 1024, "steps": 28, "guidance": 7.0, "max_sequence_length": 256},
    "FluxPipeline": {"size": 1024, "steps": 28, "guidance": 3.5, "max_sequence_length": 512},
    "PixArtSigmaPipeline": {"size": 1024, "steps": 20, "guidance": 4.5, "max_sequence_length": 300},
}


def defaults(pipeline_class: str) -> dict[str, Any]:
    return {**DEFAULT, **FAMILIES.get(pipeline_class, {})}
