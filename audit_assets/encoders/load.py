"""Where every encoder is loaded: one row per format of weights. Nothing else constructs an encoder."""

from collections.abc import Callable, Mapping

from audit_assets.encoders.embed import Encoder
from audit_assets.models.encoders import ResolvedEncoder


def _transformers(found: ResolvedEncoder, device: str | None) -> Encoder:
    from audit_assets.encoders.encoder import TransformersEncoder  # torch

    return TransformersEncoder(found, device)


LOADERS: Mapping[str, Callable[[ResolvedEncoder, str | None], Encoder]] = {"transformers": _transformers}
"""By the format that ``models.encoders`` finds in the encoder's folder."""


def load(found: ResolvedEncoder, device: str | None = None) -> Encoder:
    """The encoder of a resolved entry, on a device, by default the best one. InputError if its files cannot be loaded."""
    return LOADERS[found.format](found, device)
