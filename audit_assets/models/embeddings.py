"""Resolve a textual inversion embedding: a word that a text encoder was taught, as one or more vectors. No torch is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.hashing import sha256_once
from audit_assets.models.adapters import adapter_file, part_of
from audit_assets.untrusted.weights import check_safetensors

PER_ENCODER = ("clip_l", "clip_g", "t5xxl", "t5")
"""These keys name the text encoder that a vector belongs to."""


@dataclass(frozen=True)
class ResolvedEmbedding:
    """This is an embedding's file, and the token that stands for it in prompts."""

    file: Path
    token: str
    sha256: str

    def record(self) -> dict[str, Any]:
        """Return what a model version's settings record of the embedding."""
        return {"file": self.file.name, "sha256": self.sha256, "token": self.token}


def resolve_embedding(path: str, revision: str | None, token: str) -> ResolvedEmbedding:
    """Resolve an embedding in the layout of diffusers (one tensor under its token), A1111 (`emb_params`) or SDXL and FLUX (`clip_l`, ...).

    InputError names what the file is instead.
    """
    file = adapter_file(path, revision)
    header = check_safetensors(file)
    header.pop("__metadata__", None)
    if any(part_of(key) for key in header):
        raise InputError(f"{file}: is an adapter, not a textual inversion embedding; give it under `lora`.")
    if not header or (len(header) > 1 and not set(header) <= set(PER_ENCODER)):
        raise InputError(
            f"{file}: holds {len(header)} tensors ({', '.join(sorted(header)[:3])}), and a textual inversion embedding holds one, or one "
            f"for each of {', '.join(PER_ENCODER)}; give the embedding's own file."
        )
    for key, tensor in header.items():
        if len(tensor["shape"]) not in (1, 2) or 0 in tensor["shape"]:
            raise InputError(
                f"{file}: {key} has the shape {tuple(tensor['shape'])}, which is no list of vectors; give an embedding."
            )
    return ResolvedEmbedding(file, token, sha256_once(file))
