"""Everything that was trained is loaded from files on this machine, as weights, and by classes that are allowed.

Every call that loads a model, a tokenizer or a processor takes SAFE or SAFE_WEIGHTS. Otherwise the
libraries ask on the terminal whether to run code that lies beside a model, and read the answer from standard input.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError

SAFE: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Each loading call takes this. Nothing is fetched, and code beside the files is neither run nor asked about."""
SAFE_WEIGHTS: Mapping[str, Any] = {**SAFE, "use_safetensors": True}
"""Calls that read weights take this. It also lets no pickle be opened."""

REMEDY = "save the model with its standard components"
_CLASS = re.compile(r"(?!(Auto|Modular)[A-Z])[A-Za-z]\w*")


def check_class_name(file: Path, component: str, name: Any) -> None:
    """Raise InputError if a component's class is not named by its own name.

    An `Auto...` class takes the code that a file names.
    """
    if not isinstance(name, str) or not _CLASS.fullmatch(name):
        raise InputError(
            f"{file}, {component}: {name!r} is no class that is loaded; {REMEDY}, each under the name of its own class."
        )


def component_class(file: Path, component: str, library: str, name: Any) -> type[Any]:
    """Return the class of a pipeline's component, if it is one of ALLOWED. InputError names file and component.

    ``library`` is `diffusers`, `transformers`, or a folder of pipelines in diffusers, as `model_index.json` names it.
    """
    import diffusers
    import transformers

    check_class_name(file, component, name)
    home = {"diffusers": diffusers, "transformers": transformers}.get(library) or getattr(
        diffusers.pipelines, library, None
    )
    found = getattr(home, name, None)
    if not isinstance(found, type) or not issubclass(found, allowed()):
        raise InputError(
            f"{file}, {component}: {library} has no model, tokenizer, processor or scheduler {name!r}; {REMEDY} by the "
            "installed versions of diffusers and transformers."
        )
    return found


def allowed() -> tuple[type[Any], ...]:
    """Return the base classes of a component: it is a model, tokenizer, processor or scheduler of the two libraries."""
    from diffusers import ModelMixin, SchedulerMixin
    from diffusers.image_processor import VaeImageProcessor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin
    from transformers.feature_extraction_utils import FeatureExtractionMixin
    from transformers.image_processing_base import ImageProcessingMixin

    return (
        ModelMixin,
        SchedulerMixin,
        VaeImageProcessor,
        PreTrainedModel,
        PreTrainedTokenizerBase,
        ProcessorMixin,
        FeatureExtractionMixin,
        ImageProcessingMixin,
    )


def check_configuration(file: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError if a model's configuration leads to code or to weights elsewhere.

    If the name of an attention's implementation has a slash, transformers takes it for code on the hub. If an adapter
    lies beside the weights, transformers loads the model that the adapter names in place of these weights.
    """
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"):
        if "/" in str(config.get(key) or ""):
            raise InputError(f"{file}, {key}: {config[key]!r} is code on the hub, which is not run; delete the field.")
    beside = file.parent / "adapter_config.json"
    if beside.exists():
        raise InputError(
            f"{beside}: lies beside whole weights, and would load another model in their place; take it away, or audit "
            "the adapter under `lora`."
        )
