"""Tables of embeddings: imitations, real works and labels, each with the keys of the published schema."""

from collections.abc import Iterator, Sequence
from typing import Protocol as Interface

import numpy as np
import pandas as pd
from PIL.Image import Image

from audit_assets.config import Protocol
from audit_assets.errors import InputError
from audit_assets.warehouse.images import ImageStore, grey_picture, small_picture


class ImageEncoder(Interface):
    def embed_images(self, images: Sequence[Image], batch_size: int = 50) -> np.ndarray: ...


class TextEncoder(Interface):
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray: ...

    def lost_words(self, text: str) -> list[str]: ...


class Encoder(ImageEncoder, TextEncoder, Interface):
    """A loaded encoder. An encoder of kind `image` raises ValueError for texts."""


def embed_stored(encoder: ImageEncoder, rows: pd.DataFrame, store: ImageStore) -> pd.DataFrame:
    """`rows` with a further column `embedding`: unit vectors of the images that `image_sha256` names."""
    images = [store.get(sha256) for sha256 in rows["image_sha256"]]
    embeddings = encoder.embed_images(images) if images else np.zeros((0, 1), np.float32)
    check_unit(embeddings, rows["image_sha256"].tolist())
    return rows.assign(
        embedding=list(embeddings),
        picture=[small_picture(image) for image in images],
        grey=[grey_picture(image) for image in images],
    )


def with_vectors(rows: pd.DataFrame, embedded: pd.DataFrame) -> pd.DataFrame | None:
    """`rows` with what `embed_stored` gave earlier for the same images, by their `image_sha256`; None if `embedded` lacks one of them."""
    known = embedded.drop_duplicates("image_sha256").set_index("image_sha256")
    if not rows["image_sha256"].isin(known.index).all():
        return None
    found = known.loc[rows["image_sha256"].tolist()]
    return rows.assign(
        embedding=found["embedding"].tolist(), picture=found["picture"].tolist(), grey=found["grey"].tolist()
    )


def label_rows(protocol: Protocol, names: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """The text of every label: columns label, template, text. `names` has pairs of subject and name. Default labels have template 0."""
    rows = [(subject, t, protocol.prompt(t, name)) for subject, name in names for t in range(len(protocol.templates))]
    rows += [(f"default:{text}", 0, text) for text in protocol.default_labels]
    return pd.DataFrame(rows, columns=["label", "template", "text"]).astype({"template": "int32"})


def embed_labels(encoder: TextEncoder, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` of `label_rows` with further columns `embedding` and `lost`, the words of the label that the encoder did not read."""
    embeddings = np.concatenate(list(_text_batches(encoder, rows["text"].tolist())))
    check_unit(embeddings, rows["text"].tolist())
    return rows.assign(embedding=list(embeddings), lost=[" ".join(encoder.lost_words(t)) for t in rows["text"]])


def _text_batches(encoder: TextEncoder, texts: list[str], size: int = 100) -> Iterator[np.ndarray]:
    for start in range(0, len(texts), size):
        yield encoder.embed_texts(texts[start : start + size])


def check_unit(embeddings: np.ndarray, what: Sequence[str]) -> None:
    """Raise InputError that names the first embedding that is not finite or does not have length 1 (within 1e-3)."""
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    bad = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if len(bad):
        length = lengths[bad[0]]
        wrong = f"has length {length}, not 1" if np.isfinite(length) else "is not finite"
        raise InputError(
            f"the embedding of {what[bad[0]]} {wrong}: the encoder is broken or its weights are not finite; copy the encoder again"
        )
