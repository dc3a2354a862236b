"""This module loads every encoder. No other module constructs one."""

from audit_assets.encoders.embed import Encoder
from audit_assets.models.encoders import ResolvedEncoder


def load(found: ResolvedEncoder, device: str | None = None) -> Encoder:
    """The encoder of a resolved entry, on `device` or on the best device. InputError if its files cannot be loaded."""
    if found.code is not None:
        from audit_assets.encoders.plug_in import PlugInEncoder  # torch

        return PlugInEncoder(found, device)
    from audit_assets.encoders.encoder import TransformersEncoder  # torch

    return TransformersEncoder(found, device)
