"""Teach a pipeline's text encoders the tokens of textual inversion embeddings. This module imports torch: import it only to make images."""

from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load_file

from audit_assets.errors import InputError
from audit_assets.models.embeddings import PER_ENCODER, ResolvedEmbedding


def add_embeddings(pipeline: Any, embeddings: Sequence[ResolvedEmbedding]) -> list[dict[str, Any]]:
    """Add each embedding under its token to the text encoders that it has vectors for. Returns what was added where.

    InputError if the pipeline takes none, if a CLIP encoder would read the token as letters, or if the token is a word already.
    """
    return [_add(pipeline, embedding) for embedding in embeddings]


def _add(pipeline: Any, embedding: ResolvedEmbedding) -> dict[str, Any]:
    where = type(pipeline).__name__
    if not hasattr(pipeline, "load_textual_inversion"):
        raise InputError(f"{embedding.file}: {where} takes no textual inversion embeddings; delete `embeddings`.")
    vectors = _vectors(pipeline, embedding, where)
    for component, tensor in vectors.items():
        encoder, tokenizer = pipeline.components[component], _tokenizer(pipeline, component)
        rows = torch.atleast_2d(tensor).to(encoder.dtype)
        try:
            pipeline.load_textual_inversion(rows, token=embedding.token, text_encoder=encoder, tokenizer=tokenizer)
        except ValueError as error:
            said = str(error).splitlines()[0]
            raise InputError(
                f"{embedding.file}: cannot be added under the token {embedding.token!r} ({said})"
            ) from None
        _check(pipeline, embedding, component, rows)
    return {
        "file": embedding.file.name,
        "token": embedding.token,
        "vectors": {c: len(torch.atleast_2d(t)) for c, t in sorted(vectors.items())},
    }


def _check(pipeline: Any, embedding: ResolvedEmbedding, component: str, rows: torch.Tensor) -> None:
    """InputError if a prompt with the token is not read as the vectors of the file."""
    tokenizer = _tokenizer(pipeline, component)
    prompt = pipeline.maybe_convert_prompt(f"art by {embedding.token} now", tokenizer)
    ids = tokenizer(prompt)["input_ids"]
    read = pipeline.components[component].get_input_embeddings().weight[ids]
    if not any(torch.equal(read[n : n + len(rows)], rows.to(read)) for n in range(len(ids))):
        raise InputError(
            f"{embedding.file}: the tokenizer of {component} does not read {embedding.token!r} as one word; give another `token`, such as '<taught>'."
        )


def _tokenizer(pipeline: Any, component: str) -> Any:
    return pipeline.components[component.replace("text_encoder", "tokenizer")]


def _vectors(pipeline: Any, embedding: ResolvedEmbedding, where: str) -> dict[str, torch.Tensor]:
    """The vectors of each text encoder."""
    tensors = load_file(embedding.file)
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor.to(torch.float32)).all():
            raise InputError(
                f"{embedding.file}: {key} holds values that are no numbers (NaN or infinite); train the embedding again."
            )
        if not tensor.any():
            raise InputError(
                f"{embedding.file}: {key} holds only zeros, so that the token means nothing; train the embedding again."
            )
    encoders = {n: p for n, p in sorted(pipeline.components.items()) if n.startswith("text_encoder") and p is not None}
    widths = {n: int(p.get_input_embeddings().weight.shape[-1]) for n, p in encoders.items()}
    clip = [n for n, p in encoders.items() if "CLIP" in type(p).__name__]
    other = [n for n in encoders if n not in clip]
    roles = {"clip_l": clip[:1], "clip_g": clip[1:2], "t5xxl": other[:1], "t5": other[:1]}
    found: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        width = tensor.shape[-1]
        named = roles[key] if key in PER_ENCODER else [n for n in clip or encoders if widths[n] == width]
        if len(named) != 1 or widths[named[0]] != width:
            known = ", ".join(f"{n} {w}" for n, w in widths.items())
            raise InputError(
                f"{embedding.file}: {key} has vectors of {width} values, and {where} has the text encoders {known}; give an embedding that was trained on this model."
            )
        found[named[0]] = tensor
    if lacking := [n for n in clip if n not in found]:
        raise InputError(
            f"{embedding.file}: has no vectors for {', '.join(lacking)}, which would read {embedding.token!r} as letters; give an embedding that was trained on this model."
        )
    return found
