"""This module loads every encoder, with one row per format of weights. No other module constructs an encoder."""

from collections.abc import Callable, Mapping

from audit_assets.encoders.embed import Encoder
from audit_assets.models.encoders import ResolvedEncoder
from audit_assets.models.files import TRANSFORMERS


def _transformers(found: ResolvedEncoder, device: str | None) -> Encoder:
    from audit_assets.encoders.encoder import TransformersEncoder  # torch

    return TransformersEncoder(found, device)


LOADERS: Mapping[str, Callable[[ResolvedEncoder, str | None], Encoder]] = {TRANSFORMERS: _transformers}
"""Format that ``models.encoders`` finds in the encoder's folder -> constructor."""


def load(found: ResolvedEncoder, device: str | None = None) -> Encoder:
    """The encoder of a resolved entry, on `device` or on the best device. InputError if its files cannot be loaded."""
    return LOADERS[found.format](found, device)
