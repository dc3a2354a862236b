"""The stage that reads text in images, and embeds the images again in which it blurred the text.

It runs if `text_in_images` of audit.yaml is true: to read one image takes about as long as to embed it many times.
"""

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

import pandas as pd

from audit_assets.encoders import VERSION
from audit_assets.encoders.embed import embed_stored, with_vectors
from audit_assets.encoders.load import load
from audit_assets.encoders.texts import Line, Reader, names_artist, without_text
from audit_assets.hashing import digest
from audit_assets.models.encoders import ResolvedEncoder
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
        before, known = self._lines(where, names)
        inputs = _inputs(_rows(images), names)
        table = ws.warehouse.kept(where, inputs, lambda: read(images, names, reader, ws.images, known))
        for entry in ws.encoders(model):
            resolved, blurred = resolve_encoder_entry(ws.audit, entry), f"blurred_embeddings/{entry.name}/{model}"
            is_of_known = before is not None and ws.warehouse.inputs(blurred) == digest([before, resolved.files_sha256])
            earlier = ws.warehouse.read(blurred) if is_of_known else None
            ws.warehouse.kept(
                blurred,
                digest([inputs, resolved.files_sha256]),
                lambda r=resolved, e=earlier: self._blurred(images, table, r, e),  # type: ignore[misc]
            )
        return table

    def _lines(self, where: str, names: dict[str, list[str]]) -> tuple[str | None, dict[str, list[Line]]]:
        """The inputs of the kept table, and what was read in each image by its hash. None and nothing, if another reader read it or
        for other names.

        Earlier versions hashed the images alone, without their templates and trials.
        """
        kept = self.ws.warehouse.inputs(where)
        if kept in (None, _NOT_LOOKED_FOR):
            return None, {}
        table = self.ws.warehouse.read(where)
        if kept not in (_inputs(_rows(table), names), _inputs(table["image_sha256"].tolist(), names)):
            return None, {}
        return kept, {
            str(row["image_sha256"]): [
                Line(str(text), tuple(int(v) for v in box))  # type: ignore[arg-type]
                for text, box in zip(row["texts"], row["boxes"], strict=True)
            ]
            for row in table.to_dict("records")
        }

    def _blurred(
        self, images: pd.DataFrame, table: pd.DataFrame, resolved: ResolvedEncoder, earlier: pd.DataFrame | None
    ) -> pd.DataFrame:
        """The embeddings of the images in which text was read, without it. `earlier` has those that exist of the same images and texts."""
        drawn = table[table["texts"].map(len) > 0]
        boxes = {str(s): b for s, b in zip(drawn["image_sha256"], drawn["boxes"], strict=True)}
        rows = images.loc[images["image_sha256"].isin(boxes.keys()), _KEYS].reset_index(drop=True)
        if rows.empty:
            return pd.DataFrame(columns=[*_KEYS, "embedding", "picture", "grey"])
        again = None if earlier is None else with_vectors(rows, earlier)
        return embed_stored(load(resolved), rows, _Blurred(self.ws.images, boxes)) if again is None else again


class _Blurred(ImageStore):
    """The images of a store with their text blurred."""

    def __init__(self, store: ImageStore, boxes: dict[str, list[list[int]]]) -> None:
        super().__init__(store.root)
        self._boxes = boxes

    def get(self, sha256: str):  # type: ignore[no-untyped-def]
        return without_text(super().get(sha256), [tuple(int(v) for v in box) for box in self._boxes[sha256]])  # type: ignore[misc]


def _rows(images: pd.DataFrame) -> str:
    """The images with the keys by which results find their texts."""
    return str(images[COLUMNS[:5]].to_json(orient="values"))


def _inputs(images: str | list[str], names: dict[str, list[str]]) -> str:
    return digest([images, names, version("rapidocr"), VERSION])


def read(
    images: pd.DataFrame,
    names: dict[str, list[str]],
    reader: Reader,
    store: ImageStore,
    known: Mapping[str, list[Line]] = MappingProxyType({}),
) -> pd.DataFrame:
    """One row per image: the lines that were read, their boxes, and whether they name the subject that the image was made for.

    `known` has the lines of images that were read before.
    """
    rows = []
    for row in images.to_dict("records"):
        sha256 = str(row["image_sha256"])
        lines = known[sha256] if sha256 in known else reader.lines(store.get(sha256))
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
