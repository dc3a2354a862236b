"""The stage that embeds: images, real works and labels, one table per encoder and cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd
from PIL import Image

from audit_assets.config import EncoderEntry
from audit_assets.encoders import LABELS_VERSION, VERSION
from audit_assets.encoders.embed import Encoder, check_unit, embed_labels, embed_stored, label_rows, with_vectors
from audit_assets.encoders.load import load
from audit_assets.encoders.sigmoid import COLUMNS as SIGMOID_COLUMNS
from audit_assets.encoders.sigmoid import sigmoid_scores
from audit_assets.errors import InputError, Unwritable, said
from audit_assets.hashing import digest
from audit_assets.models.encoders import ResolvedEncoder
from audit_assets.models.files import loading
from audit_assets.models.registry import register, resolve_encoder_entry
from audit_assets.models.tokenizers import LabelTokenizer
from audit_assets.warehouse.cells import Cells
from audit_assets.warehouse.left_out import ARTIST, ENCODER, FOLDER, LeftOut, leave_out, take_back
from audit_assets.warehouse.notes import LABELS, are_kept, keep_notes, notes_on
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

_PICTURE = Image.linear_gradient("L").convert("RGB")
"""An encoder that cannot embed this picture is broken."""
_MOST_LABELS = 10
"""Labels that one note names. The table `label_embeddings` has the lost words of every label."""
_KEYS = ("model_version", "arm", "subject", "template", "trial", "work", "status", "image_sha256")
"""What a table of embeddings copies from the table of its images, so the hash of its inputs has it too."""


class EmbeddingStage:
    """The embeddings of one audit. An encoder is loaded once per call, and only if some of its work is not done yet."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.cells = Cells(ws.warehouse, ws.images)
        self._registered: set[str] = set()
        self.arms_failed: dict[str, str] = {}

    def images(self, kind: str, sources: Sequence[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """`kind` is 'imitation' or 'reference'; `sources` are tables with `image_sha256`. Yields (encoder, table, rows).

        An encoder that fails is left out of these model versions, or of the whole audit if it fails at real works. The
        error is raised if the audit cannot do without the encoder.
        """
        images, models = self._images(sources), _models(kind, sources)
        left = self.ws.left_out()
        for entry in self.ws.audit.encoders:
            loaded: list[Encoder] = []
            gone = _left_out_everywhere(
                entry, left, ("encoders",) if kind == "reference" else ("encoders", _record(entry, ""))
            )
            if gone is not None:
                for model in filter(None, models):
                    leave_out(
                        self.ws.warehouse,
                        _record(entry, model),
                        [replace(gone, model_version=model)],
                        self.ws.audit.base,
                    )
                continue
            for place, model in enumerate(models):
                own = {s: h for s, h in images.items() if not model or s.split("/")[1] == model}
                try:
                    yield from self._embedded(kind, entry, own, loaded)
                    take_back(self.ws.warehouse, _record(entry, model))
                except Unwritable:
                    raise
                except Exception as error:  # whatever one encoder raises stops this encoder alone
                    for failed in models[place:]:
                        self._leave_out(entry, error, f"embedding of {kind}s", failed)
                    break

    def arms(self, model: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """Embed the images of the arms of a model version. Yields (encoder, table, rows).

        An encoder that fails here has no figures of arms, and its results of the headline stay; `arms_failed` has the error.
        """
        images = self._images(self.ws.arm_tables(model))
        for entry in self.ws.encoders(model) if images else ():
            try:
                yield from self._embedded("arm", entry, images, [])
            except Unwritable:
                raise
            except Exception as error:  # whatever one encoder raises stops this encoder alone
                self.arms_failed[entry.name] = said(error)

    def arms_done(self, model: str) -> bool:
        """Whether every encoder has embedded the images that the arms of a model version have now."""
        tables = self.ws.arm_tables(model)
        if None in self.ws.warehouse.all_inputs(tables):
            return False
        images = self._images(tables)
        return all(
            self.ws.warehouse.inputs(where) == inputs
            for entry in (self.ws.encoders(model) if images else ())
            for _, where, inputs in self._tables("arm", entry, images)
        )

    def _embedded(
        self, kind: str, entry: EncoderEntry, images: Mapping[str, str], loaded: list[Encoder]
    ) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """The cells of one encoder. `loaded` holds the encoder once it is loaded."""
        wanted = {where: (source, inputs) for source, where, inputs in self._tables(kind, entry, images)}
        for where in self.cells.in_turn(list(wanted)):
            source, inputs = wanted[where]
            made = self.cells.done(where, inputs)
            if made is None:
                made = self._with_kept_vectors(source, where, inputs, entry)
            if made is None:
                if not loaded:
                    loaded.append(self._encoder(entry))
                made = self._cell(source, where, inputs, entry, loaded[0])
            yield entry.name, where, made

    def _cell(self, source: str, where: str, inputs: str, entry: EncoderEntry, encoder: Encoder) -> pd.DataFrame:
        """Embed the images of one table. If the encoder fails at them and not at another image, the artist is left out."""
        warehouse, rows = self.ws.warehouse, self._rows(source)
        try:
            made = embed_stored(encoder, rows, self.ws.images)
        except Unwritable:
            raise
        except Exception as error:
            if not _embeds(encoder):
                raise
            _, *keys = source.split("/")
            about = {"encoder": entry.name, "subject": keys[-1], "model_version": keys[0] if len(keys) > 1 else ""}
            leave_out(warehouse, where, [LeftOut(ARTIST, said(error), "embedding", **about)], self.ws.audit.base)
            made = embed_stored(encoder, rows.iloc[:0], self.ws.images)
            warehouse.write(
                where, made, digest([inputs, said(error)])
            )  # other inputs, so that the next run tries again
            return made
        self._write(where, made, inputs, entry)
        return made

    def _with_kept_vectors(self, source: str, where: str, inputs: str, entry: EncoderEntry) -> pd.DataFrame | None:
        """The table with the vectors that it has, if only what is known of the images changed: a template or a status. None if the
        encoder has to embed an image.

        By its own rows, the kept table says whether these files of the encoder made it. Earlier versions hashed the images alone.
        """
        warehouse, kept = self.ws.warehouse, self.ws.warehouse.inputs(where)
        if kept is None:
            return None
        files_sha256 = resolve_encoder_entry(self.ws.audit, entry).files_sha256
        if kept not in (
            _inputs(files_sha256, warehouse.rows_digest(where, _KEYS, "image_sha256")),
            _inputs(files_sha256, warehouse.values(where, "image_sha256")),
        ):
            return None
        made = with_vectors(self._rows(source), warehouse.read(where))
        if made is not None:
            self._write(where, made, inputs, entry)
        return made

    def _rows(self, source: str) -> pd.DataFrame:
        """The images that a table names, with their keys."""
        rows = self.ws.warehouse.read(source)
        return rows[rows["image_sha256"].notna()][[c for c in _KEYS if c in rows]]

    def _write(self, where: str, made: pd.DataFrame, inputs: str, entry: EncoderEntry) -> None:
        take_back(self.ws.warehouse, where)  # first: a process that ends here makes the table again
        self.ws.warehouse.write(where, made, inputs)
        self._register(entry)

    def _leave_out(self, entry: EncoderEntry, error: Exception, stage: str, model: str = "") -> None:
        """Record that an encoder is left out. Raises the error if the audit cannot do without it."""
        if self._is_needed(entry):
            raise _needed(entry, error) from error
        part = LeftOut(ENCODER, said(error), stage, model_version=model, encoder=entry.name)
        leave_out(self.ws.warehouse, _record(entry, model), [part], self.ws.audit.base)

    def _is_needed(self, entry: EncoderEntry) -> bool:
        """Whether the audit cannot do without this encoder: it decides the headline, or no other reads names."""
        others = [e for e in self.ws.text_encoders() if e.name != entry.name]
        return entry.name == self.ws.audit.deciding_encoder.name or not others

    def done(self, kind: str, sources: Sequence[str]) -> bool:
        """Whether every encoder has embedded the images that the sources name now."""
        images = self._images(sources)
        for model in _models(kind, sources):
            if len(self.ws.encoders(model)) < len(self.ws.audit.encoders):
                return False
        for entry in self.ws.audit.encoders:
            tables = self._tables(kind, entry, images)
            if any(self.ws.warehouse.inputs(where) != inputs for _, where, inputs in tables):
                return False
            register(self.ws.audit, resolve_encoder_entry(self.ws.audit, entry))
        return True

    def labels(self) -> dict[str, pd.DataFrame]:
        """Embeddings per encoder of the labels of every prompted subject and every artist with real works, and of the default labels."""
        rows = self.label_rows()

        def made(entry: EncoderEntry) -> pd.DataFrame:
            where, inputs = self._label_table(entry, rows)
            return self.ws.warehouse.kept(where, inputs, lambda: embed_labels(self._encoder(entry), rows))

        found = {}
        for entry in (e for e in self.ws.audit.encoders if e.kind == "image_text"):
            try:
                found[entry.name] = made(entry)
                self._register(entry)
                take_back(self.ws.warehouse, f"labels/{entry.name}")
            except Unwritable:
                raise
            except Exception as error:  # whatever one encoder raises stops this encoder alone
                if self._is_needed(entry):
                    raise _needed(entry, error) from error
                part = LeftOut(ENCODER, said(error), "embedding of labels", encoder=entry.name)
                leave_out(self.ws.warehouse, f"labels/{entry.name}", [part], self.ws.audit.base)
        notes = [note for name, table in found.items() for note in unread_labels(name, table)]
        if notes or self.ws.warehouse.made(notes_on(LABELS)):
            keep_notes(self.ws.warehouse, LABELS, notes, self.ws.audit.base)
        return found

    def labels_done(self) -> bool:
        """Whether every encoder that reads text has embedded the labels as they are now."""
        entries = self.ws.text_encoders()
        if len(entries) < sum(e.kind == "image_text" for e in self.ws.audit.encoders):
            return False
        rows, notes = self.label_rows(), []
        for entry in entries:
            where, inputs = self._label_table(entry, rows)
            if self.ws.warehouse.inputs(where) != inputs:
                return False
            table = self.ws.warehouse.read(where)
            check_unit(vectors(table["embedding"]), table["text"].tolist())
            notes += unread_labels(entry.name, table)
            register(self.ws.audit, resolve_encoder_entry(self.ws.audit, entry))
        if notes or self.ws.warehouse.made(notes_on(LABELS)):
            return are_kept(self.ws.warehouse, LABELS, notes, self.ws.audit.base)
        return True

    def label_words(self) -> tuple[dict[str, pd.DataFrame], list[str]]:
        """Before any label is embedded: per encoder with a text side the text of every label and the words of it that the encoder does
        not read (columns as in `label_rows`, and lost), then one note per encoder whose tokenizer does not load or loses words.

        Only the code of a plug-in knows what the plug-in reads, so a plug-in is missing until it has embedded the labels. InputError if the
        audit cannot do without an encoder whose tokenizer does not load.
        """
        rows, found, notes = self.label_rows(), {}, []
        for entry in (e for e in self.ws.audit.encoders if e.kind == "image_text"):
            try:
                resolved = resolve_encoder_entry(self.ws.audit, entry)
                where, inputs = self._label_table(entry, rows)
                if self.ws.warehouse.inputs(where) == inputs:
                    found[entry.name] = self.ws.warehouse.read(where, [*rows.columns, "lost"])
                elif resolved.code is None:
                    found[entry.name] = _words_not_read(resolved, rows)
            except Exception as error:  # each library raises exceptions of its own
                if self._is_needed(entry):
                    raise _needed(entry, error) from error
                notes.append(f"encoder {entry.name!r}: {said(error)}")
        return found, notes + [note for name, table in found.items() for note in unread_labels(name, table)]

    def _label_table(self, entry: EncoderEntry, rows: pd.DataFrame) -> tuple[str, str]:
        """The table of an encoder's labels, and the hash of what it is made from."""
        files_sha256 = resolve_encoder_entry(self.ws.audit, entry).files_sha256
        return f"label_embeddings/{entry.name}", digest([files_sha256, rows.to_json(), LABELS_VERSION])

    def label_rows(self) -> pd.DataFrame:
        """The text of every label: columns label, template, text."""
        own = self.ws.subjects()
        named = own[(own["kind"] != "background") | own["subject"].isin(self.ws.referenced())]
        return label_rows(self.ws.protocol, list(zip(named["subject"], named["name"], strict=True)))

    def sigmoid_encoders(self, model: str = "") -> list[EncoderEntry]:
        """The encoders trained with a sigmoid loss, which are those with a bias."""
        return [e for e in self.ws.text_encoders(model) if self.ws.logit(e)[1] is not None]

    def sigmoid_scores(self, model: str) -> pd.DataFrame:
        """Table sigmoid_scores: the scores of encoders trained with a sigmoid loss for each image and its own label. It may be empty."""
        images, inputs = self._sigmoid_inputs(model)
        return self.ws.warehouse.kept(f"sigmoid_scores/{model}", inputs, lambda: self._scored(model, images))

    def sigmoid_done(self, model: str) -> bool:
        """Whether the table sigmoid_scores was made from the embeddings as they are now."""
        return self.ws.warehouse.is_made_from(f"sigmoid_scores/{model}", self._sigmoid_inputs(model)[1])

    def _sigmoid_inputs(self, model: str) -> tuple[dict[str, list[str]], str]:
        """The tables of images of each encoder with a sigmoid loss, and the hash of what their scores are made from."""
        ws = self.ws
        images = {
            e.name: [f"imitation_embeddings/{e.name}/{model}/{s}" for s in ws.prompted()]
            for e in self.sigmoid_encoders(model)
        }
        sources = [[f"label_embeddings/{encoder}", *tables] for encoder, tables in images.items()]
        return images, digest([[ws.warehouse.all_inputs(ts) for ts in sources], ws.protocol.name, VERSION])

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

    def _images(self, sources: Sequence[str]) -> dict[str, str]:
        """The hash of the images that each table names, and of their keys."""
        return {s: self.ws.warehouse.rows_digest(s, _KEYS, "image_sha256") for s in sources}

    def _tables(self, kind: str, entry: EncoderEntry, images: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
        """For each table of images: its name, the table of its embeddings, and the hash of their inputs."""
        files_sha256 = resolve_encoder_entry(self.ws.audit, entry).files_sha256
        for source, named in images.items():
            where = f"{kind}_embeddings/{entry.name}/{source.split('/', 1)[1]}"
            yield source, where, _inputs(files_sha256, named)

    def _encoder(self, entry: EncoderEntry) -> Encoder:
        return load(resolve_encoder_entry(self.ws.audit, entry))

    def _register(self, entry: EncoderEntry) -> None:
        """Keep the hashes of an encoder's files once it has embedded something. A broken one may be repaired under the same name."""
        if entry.name not in self._registered:
            register(self.ws.audit, resolve_encoder_entry(self.ws.audit, entry))
            self._registered.add(entry.name)


def _inputs(files_sha256: str, images: str | list[str]) -> str:
    """The hash of what a table of embeddings is made from."""
    return digest([files_sha256, images, VERSION])


def _models(kind: str, sources: Sequence[str]) -> list[str]:
    """The model versions whose images the sources name, in order; one empty name for real works."""
    return list(dict.fromkeys(s.split("/")[1] for s in sources)) if kind == "imitation" else [""]


def _record(entry: EncoderEntry, model: str) -> str:
    """Where it is recorded that an encoder failed at the images of a model version, or at real works."""
    return f"encoding/{entry.name}/{model}" if model else f"encoding/{entry.name}"


def _left_out_everywhere(
    entry: EncoderEntry, left: Mapping[str, list[LeftOut]], stages: Sequence[str]
) -> LeftOut | None:
    """The record of one of these earlier stages that an encoder is left out of the whole audit: it is not tried again here."""
    parts = [p for where in stages for p in left.get(f"{FOLDER}/{where}", ())]
    return next((p for p in parts if p.part == ENCODER and p.encoder == entry.name), None)


def _needed(entry: EncoderEntry, error: Exception) -> InputError:
    """The error of an encoder that the audit cannot do without."""
    return InputError(
        f"encoder {entry.name!r}: {said(error)} The audit cannot do without it, since it decides the headline or alone reads "
        "names; repair it, or name another as `primary`."
    )


def _words_not_read(resolved: ResolvedEncoder, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with a further column `lost`, by the tokenizer alone."""
    with loading(resolved.path, "the encoder's tokenizer"):
        tokenizer = LabelTokenizer(resolved.path, lower_case=resolved.lower_case)
        return rows.assign(lost=[" ".join(tokenizer.lost_words(text)) for text in rows["text"]])


def _embeds(encoder: Encoder) -> bool:
    """Whether the encoder can embed any picture at all."""
    try:
        check_unit(encoder.embed_images([_PICTURE]), ["a test picture"])
    except Exception:  # each library raises exceptions of its own
        return False
    return True


def unread_labels(encoder: str, labels: pd.DataFrame) -> list[str]:
    """One sentence on the labels of which an encoder does not read every word; none if it reads all. `labels` has text and lost."""
    lost = labels[labels["lost"] != ""]
    if lost.empty:
        return []
    shown = [f"{row.text!r} without {row.lost!r}" for row in lost[:_MOST_LABELS].itertuples()]
    more = f" and {len(lost) - len(shown)} more" if len(lost) > len(shown) else ""
    return [
        f"encoder {encoder!r} does not read every word of {len(lost)} of {len(labels)} labels: {', '.join(shown)}{more}. It cannot tell "
        "a name by words that it does not read. Remedy: give these names in letters that it knows, shorten them or the template, or add "
        "an encoder that reads them."
    ]
