"""A pipeline of diffusers from its files: whole, of classes that are allowed, and of the weights that were hashed.

This module imports torch: import it only to make images.
"""

import math
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline, ModelMixin
from diffusers.loaders import FromSingleFileMixin
from safetensors import safe_open
from transformers import PreTrainedModel

from audit_assets.errors import InputError
from audit_assets.models.files import loading
from audit_assets.models.one_file import tensors_of, text_layers
from audit_assets.models.pipeline_source import pipeline_source
from audit_assets.models.pipelines import ResolvedModel, left_out
from audit_assets.models.pretrained import SAFE, SAFE_WEIGHTS, component_class
from audit_assets.models.tokenizers import check_vocabulary, is_tokenizer
from audit_assets.untrusted.layout import INDEX, components
from audit_assets.untrusted.weights import check_safetensors, read_json


def load_pipeline(resolved: ResolvedModel, dtype: torch.dtype) -> tuple[Any, dict[str, list[str]]]:
    """The pipeline on the CPU, and the tensors that its text encoders have and that no prompt passes.

    InputError if a file or a tensor is missing, a part of a model would not be used, or a class is not allowed.
    """
    with loading(resolved.path, str(resolved.pipeline_class)):
        models, unused = _models(resolved, dtype)
        parts: dict[str, Any] = {**dict.fromkeys(_absent(resolved)), **models, **_unmarked(resolved)}
        if resolved.one_file is None:
            pipeline = DiffusionPipeline.from_pretrained(resolved.path, **parts, dtype=dtype, **SAFE_WEIGHTS)
        else:
            pipeline = _from_one_file(resolved, parts, dtype)
        _check_whole(resolved.path, pipeline)
    return pipeline, unused


def _absent(resolved: ResolvedModel) -> list[str]:
    """The components that the pipeline is made without, such as the largest text encoder of Stable Diffusion 3.

    diffusers wants to be told of each, although its own file says `[null, null]`.
    """
    index = read_json(resolved.path / INDEX)
    return [*_left_out(resolved), *(name for name, value in index.items() if value == [None, None])]


def _unmarked(resolved: ResolvedModel) -> dict[str, bool]:
    """The argument by which a pipeline writes no watermark. Without it, some do if the package invisible-watermark is installed."""
    source = pipeline_source(str(resolved.pipeline_class))
    return {"add_watermarker": False} if source and "add_watermarker" in source.components else {}


def _left_out(resolved: ResolvedModel) -> list[str]:
    return left_out(resolved.path, resolved.settings["safety_checker"] is True)


def _models(resolved: ResolvedModel, dtype: torch.dtype) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The models that are loaded from folders, and the tensors of heads that their text encoders do not use.

    The pipeline would load them too. The libraries fill a tensor that is missing at random, leave out one that the
    configuration does not use, and only log it; this raises InputError. InputError too if any component is of a class
    that is not loaded; nothing is loaded then.
    """
    folder, index = resolved.path, resolved.path / INDEX
    absent = _left_out(resolved)
    classes = {
        component: component_class(index, component, *value)
        for component, value in components(read_json(index)).items()
        if component not in absent
    }
    for component, own in classes.items():
        if is_tokenizer(component):
            check_vocabulary(folder / component, own)
    found, unused = {}, {}
    for component, own in classes.items():
        if component not in resolved.in_file and issubclass(own, ModelMixin | PreTrainedModel):
            found[component], heads = _model(own, folder / component, resolved.variants.get(component), dtype)
            if heads:
                unused[component] = heads
    return found, unused


_HEADS = re.compile(
    r"(\w+\.)?(lm_head|score|classifier|pooler|decoder|vision_model|visual|visual_projection|text_projection|logit_scale|logit_bias)(\.|$)"
)
"""Parts beside a text encoder: heads for other tasks, and towers for images. A prompt does not pass them."""


def _model(own: Any, folder: Path, variant: str | None, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """A model, and the tensors of heads beside it. InputError if its weights lack a tensor, or have one without a place in the model."""
    chosen = {} if variant is None else {"variant": variant}
    model, loaded = own.from_pretrained(folder, dtype=dtype, output_loading_info=True, **chosen, **SAFE_WEIGHTS)
    if missing := sorted(_kept_in_files(model) & set(loaded["missing_keys"])):
        raise InputError(f"{folder}: the weights lack {missing[0]}; copy the model again.")
    unused = sorted(loaded["unexpected_keys"])
    if read_json(folder / "config.json").get("quantization_config"):
        modules = {name for name, _ in model.named_modules()}
        unused = [name for name in unused if not is_of_quantization(name, modules)]
    heads = [name for name in unused if issubclass(own, PreTrainedModel) and _HEADS.match(name)]
    if unknown := [name for name in unused if name not in heads]:
        raise InputError(
            f"{folder}: the weights have tensors without a place in the {own.__name__} that config.json describes ({len(unknown)}, such as "
            f"{unknown[0]}), which would not be used; give the config.json that belongs to these weights."
        )
    return model, heads


_MADE_BY_THE_LIBRARY = {"pos_embed", "pos_embedding", "pe", "inv_freq", "position_ids", "num_batches_tracked"}
"""Buffers that follow from the configuration, or that nothing reads. Files of other versions and tools lack them."""


def _kept_in_files(model: Any) -> set[str]:
    """The tensors without which a model is not the one that was saved: weights, and statistics that it was trained with."""
    saved = model.state_dict().keys() & {name for name, _ in model.named_buffers()}
    buffers = {name for name in saved if name.rpartition(".")[2] not in _MADE_BY_THE_LIBRARY}
    return buffers | {name for name, _ in model.named_parameters()}


_OF_QUANTIZATION = re.compile(
    r"(\.weight)?\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+|SCB|weight_format|_data|_scale|_shift|input_scale|output_scale)"
)


def is_of_quantization(name: str, modules: Container[str]) -> bool:
    """Whether a tensor belongs to the quantized weights of a layer, as `to_q.weight.absmax` or `to_q.SCB`.

    The quantizers read such tensors, and diffusers still reports them as not used.
    """
    found = _OF_QUANTIZATION.search(name)
    return found is not None and found.end() == len(name) and name[: found.start()] in modules


def _from_one_file(resolved: ResolvedModel, parts: dict[str, Any], dtype: torch.dtype) -> Any:
    """Everything but weights comes from the folder `config`, and nothing from elsewhere."""
    pipeline = getattr(diffusers, str(resolved.pipeline_class), None)
    if not isinstance(pipeline, type) or not issubclass(pipeline, FromSingleFileMixin):
        raise InputError(
            f"{resolved.one_file}: diffusers loads no {resolved.pipeline_class} from one file; give the folder of the whole "
            "pipeline, as its authors publish it for diffusers."
        )
    found: Any = pipeline
    loaded = found.from_single_file(
        str(resolved.one_file),
        config=str(resolved.path),
        dtype=dtype,
        local_files_only=SAFE["local_files_only"],
        **parts,
    )
    for component in resolved.in_file:
        if isinstance(part := loaded.components[component], PreTrainedModel):
            part.tie_weights()  # a T5 has its embeddings under one of two names
            part.eval()  # diffusers leaves a T5 as it is in training, with dropout
    _check_used(resolved, loaded)
    return loaded


def _check_used(resolved: ResolvedModel, pipeline: Any) -> None:
    """InputError if a part of one file is not used. diffusers renames what the configuration describes, and leaves out the rest."""
    file = Path(str(resolved.one_file))
    shapes = {n: tuple(t["shape"]) for n, t in check_safetensors(file).items() if n != "__metadata__"}
    for component in resolved.in_file:
        model, own = pipeline.components[component], tensors_of(component, shapes)
        if isinstance(model, PreTrainedModel):
            config: Any = model.config
            has, uses, what = text_layers(own), getattr(config, "num_hidden_layers", None), "layers"
        else:
            has, uses, what = (
                sum(map(math.prod, own.values())),
                sum(t.numel() for t in model.state_dict().values()),
                "weights",
            )
        if has != uses:
            raise InputError(
                f"{file}: has {has} {what} of the {component}, and the {type(model).__name__} that {resolved.path / component / 'config.json'} "
                f"describes has {uses}; name the folder that belongs to this file as `config`."
            )
        for name in own:
            if name.startswith("text_encoders.clip_l.") and name.endswith("text_projection.weight"):
                _check_projection(file, name, model)


def _check_projection(file: Path, name: str, model: Any) -> None:
    """InputError if the CLIP-L of one file has a projection of its own, in place of which diffusers puts the identity."""
    with safe_open(file, "pt") as tensors:
        own = tensors.get_tensor(name)
    loaded = getattr(model, "text_projection", None)
    if loaded is not None and not torch.equal(own.to(loaded.weight.dtype), loaded.weight):
        raise InputError(
            f"{file}: diffusers does not use {name}; give the model as a folder, in the layout of diffusers."
        )


def _check_whole(folder: Path, pipeline: Any) -> None:
    """InputError if a file lacks a tensor. diffusers would leave the tensor without data and fail later, when it is moved."""
    for component, part in pipeline.components.items():
        for name, weights in part.named_parameters() if isinstance(part, torch.nn.Module) else ():
            if weights.is_meta:
                raise InputError(f"{folder / component}: the weights lack {name}; copy the model again.")
