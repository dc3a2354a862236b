"""The stage that reads text in images, and embeds the images again in which it blurred the text.

It runs if `text_in_images` of audit.yaml is true: to read one image takes about as long as to embed it many times.
"""

from importlib.metadata import version

import pandas as pd

from audit_assets.encoders import VERSION
from audit_assets.encoders.embed import embed_stored
from audit_assets.encoders.load import load
from audit_assets.encoders.texts import Reader, names_artist, without_text
from audit_assets.hashing import digest
from audit_assets.models.registry import resolve_encoder_entry
from audit_assets.warehouse.images import ImageStore
from audit_assets.workspace import Workspace

COLUMNS = ["model_version", "subject", "template", "trial", "image_sha256", "texts", "boxes", "names_artist"]
_KEYS = ["model_version", "subject", "template", "trial", "status", "image_sha256"]
_NOT_LOOKED_FOR = digest(["not looked for", VERSION])


class TextStage:
    """The text in the images of one audit."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws

    def done(self, model: str) -> bool:
        """Whether `make` would only read what exists. If text is looked for, the run decides, because it needs the reader for that."""
        return not self.ws.audit.text_in_images and self.ws.warehouse.inputs(f"image_texts/{model}") == _NOT_LOOKED_FOR

    def make(self, model: str) -> pd.DataFrame:
        """Make or read the table `image_texts` of a model version, and the embeddings without text beside it."""
        ws, where = self.ws, f"image_texts/{model}"
        if not ws.audit.text_in_images:
            return ws.warehouse.kept(where, _NOT_LOOKED_FOR, lambda: pd.DataFrame(columns=COLUMNS))
        reader = Reader()
        images = ws.warehouse.read_all([f"imitations/{model}/{s}" for s in ws.prompted()])
        images = images[images["status"] == "ok"].reset_index(drop=True)
        names = ws.names()
        inputs = digest([images["image_sha256"].tolist(), names, version("rapidocr"), VERSION])
        table = ws.warehouse.kept(where, inputs, lambda: read(images, names, reader, ws.images))
        for entry in ws.encoders(model):
            resolved = resolve_encoder_entry(ws.audit, entry)
            ws.warehouse.kept(
                f"blurred_embeddings/{entry.name}/{model}",
                digest([inputs, resolved.files_sha256]),
                lambda r=resolved: self._blurred(images, table, r),  # type: ignore[misc]
            )
        return table

    def _blurred(self, images: pd.DataFrame, table: pd.DataFrame, resolved: object) -> pd.DataFrame:
        """The embeddings of the images in which text was read, without it."""
        drawn = table[table["texts"].map(len) > 0]
        boxes = {str(s): b for s, b in zip(drawn["image_sha256"], drawn["boxes"], strict=True)}
        rows = images.loc[images["image_sha256"].isin(boxes.keys()), _KEYS].reset_index(drop=True)
        if rows.empty:
            return pd.DataFrame(columns=[*_KEYS, "embedding", "picture", "grey"])
        return embed_stored(load(resolved), rows, _Blurred(self.ws.images, boxes))  # type: ignore[arg-type]


class _Blurred(ImageStore):
    """The images of a store with their text blurred."""

    def __init__(self, store: ImageStore, boxes: dict[str, list[list[int]]]) -> None:
        super().__init__(store.root)
        self._boxes = boxes

    def get(self, sha256: str):  # type: ignore[no-untyped-def]
        return without_text(super().get(sha256), [tuple(int(v) for v in box) for box in self._boxes[sha256]])  # type: ignore[misc]


def read(images: pd.DataFrame, names: dict[str, list[str]], reader: Reader, store: ImageStore) -> pd.DataFrame:
    """One row per image: the lines that were read, their boxes, and whether they name the subject that the image was made for."""
    rows = []
    for row in images.to_dict("records"):
        lines = reader.lines(store.get(str(row["image_sha256"])))
        texts = [line.text for line in lines]
        rows.append(
            {
                **{key: row[key] for key in COLUMNS[:5]},
                "texts": texts,
                "boxes": [list(line.box) for line in lines],
                "names_artist": names_artist(texts, names.get(str(row["subject"]), [])),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)
