"""This encoder runs the code of a plug-in, and makes unit vectors of what it returns."""

import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.models.devices import best_device
from audit_assets.models.encoders import ResolvedEncoder
from audit_assets.models.plug_ins import CLASS, code_of

TOLERANCE = 1e-3
"""Difference from 1 of the cosine of two vectors of one item. Sums in another order change it by far less, and dropout or the statistics
of a batch by far more."""
_TEXTS = ["art", "a painting of a house by the sea", "Portrait, oil on canvas"]


def _pictures() -> list[Image.Image]:
    """Three pictures of one size that are not alike: a gradient, one of another direction and colour, and noise."""
    down = Image.linear_gradient("L").resize((64, 48))
    across = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((64, 48))
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return [down.convert("RGB"), Image.merge("RGB", (across, down, Image.new("L", (64, 48)))), Image.fromarray(noise)]


class PlugInEncoder:
    """The class `Encoder` of a plug-in. What it raises or returns in a wrong shape is an InputError that names its file."""

    def __init__(self, resolved: ResolvedEncoder, device: str | None = None) -> None:
        self.file = code_of(resolved.path, resolved.code or "")
        self.kind, self.dimension = resolved.kind, resolved.dimension
        module = types.ModuleType(f"audit_plug_in_{resolved.files_sha256}")
        module.__file__ = str(self.file)
        sys.modules[module.__name__] = module  # dataclasses and pickle look for the module of a class there
        # It is compiled here, since an import would write a file into the folder, which is hashed.
        try:
            exec(compile(self.file.read_bytes(), self.file, "exec"), module.__dict__)
            self.own: Any = getattr(module, CLASS)(resolved.path, device or best_device())
        except MemoryError:
            raise
        except Exception as error:
            raise InputError(
                f"{self.file}: cannot be loaded ({type(error).__name__}: {error}); correct the plug-in."
            ) from error
        self._check_repeats("embed_images", _pictures())
        if self.kind == "image_text":
            self._check_repeats("embed_texts", _TEXTS)

    def _check_repeats(self, method: str, items: list[Any]) -> None:
        """Raise InputError unless each item has one vector: alone, beside others, and again."""
        embed = getattr(self, method)
        alone, together, again = np.concatenate([embed([item]) for item in items]), embed(items), embed(items)
        for one, other, when in ((alone, together, "beside others"), (together, again, "in a second call")):
            if (least := np.vecdot(one, other).min()) < 1 - TOLERANCE:
                raise InputError(
                    f"{self.file}, {method}: gave the same item another vector {when} (cosine {least:.3f}); call .eval() on the network, "
                    "since no vector may depend on the batch or on chance."
                )

    def embed_images(self, images: Sequence[Image.Image], batch_size: int = 50) -> np.ndarray:
        """Unit vectors (n, d), float32. The plug-in is handed copies, because it may shrink or paint over its images in place."""
        starts = range(0, len(images), batch_size)
        made = [self._unit("embed_images", [i.copy() for i in images[at : at + batch_size]]) for at in starts]
        return np.concatenate(made) if made else np.zeros((0, self.dimension), np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (n, d), float32."""
        if self.kind != "image_text":
            raise ValueError("an image-only encoder embeds no text; use an encoder of kind image_text")
        return self._unit("embed_texts", list(texts))

    def lost_words(self, text: str) -> list[str]:
        """The words that the plug-in says it does not read, if it has a method `lost_words`."""
        return list(self.own.lost_words(text)) if hasattr(self.own, "lost_words") else []

    def _unit(self, method: str, items: list[Any]) -> np.ndarray:
        try:
            made = np.asarray(getattr(self.own, method)([*items]), dtype=np.float64)
        except MemoryError:
            raise
        except Exception as error:
            raise InputError(f"{self.file}, {method}: {type(error).__name__}: {error}; correct the plug-in.") from error
        if made.shape != (len(items), self.dimension):
            raise InputError(
                f"{self.file}, {method}: returned the shape {made.shape} for {len(items)} items, not ({len(items)}, {self.dimension}); "
                "return one vector per item, of the stated dimension."
            )
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise InputError(
                f"{self.file}, {method}: returned a vector that is zero or not finite; correct the plug-in."
            )
        return (made / lengths).astype(np.float32)
