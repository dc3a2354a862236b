"""The stage that embeds: images, real works and labels, one table per encoder and cell."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from audit_assets.config import EncoderEntry
from audit_assets.encoders import LABELS_VERSION, VERSION
from audit_assets.encoders.embed import Encoder, embed_labels, embed_stored, label_rows
from audit_assets.encoders.load import load
from audit_assets.encoders.sigmoid import COLUMNS as SIGMOID_COLUMNS
from audit_assets.encoders.sigmoid import sigmoid_scores
from audit_assets.hashing import digest
from audit_assets.models.registry import register, resolve_encoder_entry
from audit_assets.warehouse.cells import Cells
from audit_assets.workspace import Workspace

_KEYS = ("model_version", "subject", "template", "trial", "work", "status", "image_sha256")


class EmbeddingStage:
    """The embeddings of one audit. An encoder is loaded once per call, and only if some of its work is not done yet."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.cells = Cells(ws.warehouse, ws.images)

    def images(self, kind: str, sources: Sequence[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """`kind` is 'imitation' or 'reference'; `sources` are tables with `image_sha256`. Yields (encoder, table, rows)."""
        hashes = self._hashes(sources)
        for entry in self.ws.audit.encoders:
            encoder = None
            wanted = {where: (source, inputs) for source, where, inputs in self._tables(kind, entry, hashes)}
            for where in self.cells.in_turn(list(wanted)):
                source, inputs = wanted[where]
                made = self.cells.done(where, inputs)
                if made is None:
                    if encoder is None:
                        encoder = self._encoder(entry)
                    rows = self.ws.warehouse.read(source)
                    keys = [c for c in _KEYS if c in rows]
                    made = embed_stored(encoder, rows[rows["image_sha256"].notna()][keys], self.ws.images)
                    self.ws.warehouse.write(where, made, inputs)
                yield entry.name, where, made

    def done(self, kind: str, sources: Sequence[str]) -> bool:
        """Whether every encoder has embedded the images that the sources name now."""
        hashes = self._hashes(sources)
        for entry in self.ws.audit.encoders:
            tables = self._tables(kind, entry, hashes)
            if any(self.ws.warehouse.inputs(where) != inputs for _, where, inputs in tables):
                return False
            register(self.ws.audit, resolve_encoder_entry(self.ws.audit, entry))
        return True

    def labels(self) -> dict[str, pd.DataFrame]:
        """Embeddings per encoder of the labels of every prompted subject and every artist with real works, and of the default labels."""
        rows = self.label_rows()

        def made(entry: EncoderEntry) -> pd.DataFrame:
            inputs = [resolve_encoder_entry(self.ws.audit, entry).files_sha256, rows.to_json(), LABELS_VERSION]
            return self.ws.warehouse.kept(
                f"label_embeddings/{entry.name}", digest(inputs), lambda: embed_labels(self._encoder(entry), rows)
            )

        return {entry.name: made(entry) for entry in self.ws.text_encoders}

    def label_rows(self) -> pd.DataFrame:
        """The text of every label: columns label, template, text."""
        own = self.ws.subjects()
        named = own[(own["kind"] != "background") | own["subject"].isin(self.ws.referenced())]
        return label_rows(self.ws.protocol, list(zip(named["subject"], named["name"], strict=True)))

    def sigmoid_encoders(self) -> list[EncoderEntry]:
        """The encoders trained with a sigmoid loss, which are those with a bias."""
        return [e for e in self.ws.text_encoders if self.ws.logit(e)[1] is not None]

    def sigmoid_scores(self, model: str) -> pd.DataFrame:
        """Table sigmoid_scores: the scores of encoders trained with a sigmoid loss for each image and its own label. It may be empty."""
        ws = self.ws
        images = {
            e.name: [f"imitation_embeddings/{e.name}/{model}/{s}" for s in ws.prompted()]
            for e in self.sigmoid_encoders()
        }
        sources = [[f"label_embeddings/{encoder}", *tables] for encoder, tables in images.items()]
        inputs = digest([[ws.warehouse.all_inputs(ts) for ts in sources], ws.protocol.name, VERSION])
        return ws.warehouse.kept(f"sigmoid_scores/{model}", inputs, lambda: self._scored(model, images))

    def _scored(self, model: str, images: Mapping[str, list[str]]) -> pd.DataFrame:
        ws, made = self.ws, pd.DataFrame(columns=SIGMOID_COLUMNS)
        for encoder, tables in images.items():
            scale, bias = ws.logit(ws.audit.encoder(encoder))
            scores = sigmoid_scores(
                ws.warehouse.read_all(tables),
                ws.warehouse.read(f"label_embeddings/{encoder}"),
                protocol=ws.protocol.name,
                model_version=model,
                encoder=encoder,
                logit_scale=scale or 1.0,
                logit_bias=bias or 0.0,
            )
            made = scores if made.empty else pd.concat([made, scores], ignore_index=True)
        return made

    def _hashes(self, sources: Sequence[str]) -> dict[str, list[str]]:
        """The hashes of the images that each table names."""
        return {s: self.ws.warehouse.read(s, ["image_sha256"])["image_sha256"].dropna().tolist() for s in sources}

    def _tables(
        self, kind: str, entry: EncoderEntry, images: Mapping[str, list[str]]
    ) -> Iterator[tuple[str, str, str]]:
        """For each table of images: its name, the table of its embeddings, and the hash of their inputs."""
        files_sha256 = resolve_encoder_entry(self.ws.audit, entry).files_sha256
        for source, hashes in images.items():
            where = f"{kind}_embeddings/{entry.name}/{source.split('/', 1)[1]}"
            yield source, where, digest([files_sha256, hashes, VERSION])

    def _encoder(self, entry: EncoderEntry) -> Encoder:
        resolved = resolve_encoder_entry(self.ws.audit, entry)
        encoder = load(resolved)
        register(self.ws.audit, resolved)
        return encoder
