"""Open everything that an audit names, before anything expensive starts: one row per part, with what was understood of it.

Each model draws one image, each encoder embeds one work and one name, each work is decoded, and the first rows of each
caption file are read. Nothing is written.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from audit_assets.config import Audit, EncoderEntry, ModelEntry, Protocol, load_audit, load_protocol
from audit_assets.encoders.embed import Encoder, check_unit
from audit_assets.errors import InputError, said
from audit_assets.generation.imitate import Source
from audit_assets.generation.makers import AskedModel, maker
from audit_assets.generation.seeds import image_seed
from audit_assets.generation.words import check_words
from audit_assets.models.pipelines import ResolvedModel
from audit_assets.models.registry import resolve_encoder_entry, resolve_model
from audit_assets.models.served import server_of
from audit_assets.roster.artists import artists_of
from audit_assets.roster.captions import caption_batches
from audit_assets.roster.homes import homes, unread_works, works_of
from audit_assets.roster.mentions import MentionScan
from audit_assets.roster.pictures import different, left_out, open_work, repeated
from audit_assets.roster.prompt_names import spoken
from audit_assets.roster.scan import caption_at
from audit_assets.roster.slugs import slug
from audit_assets.untrusted.folders import artist_folders, folder_problems
from audit_assets.warehouse import layout
from audit_assets.warehouse.images import ImageStore, is_blank
from audit_assets.warehouse.store import Warehouse

_SHOWN = 8
"""Names that a row lists at most."""


@dataclass
class Row:
    """One part of the audit. `problems` say what is wrong, each with its remedy. `needed`: the audit cannot run without the part."""

    part: str
    name: str
    understood: str = ""
    problems: list[str] = field(default_factory=list)
    needed: bool = False

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass
class _Known:
    """What the parts of an audit need of each other. It fills as the rows are made."""

    audit: Audit
    protocol: Protocol
    artists: pd.DataFrame
    work: Image.Image | None = None
    """A picture to embed: a real work, else an image that a model drew."""
    with_works: set[str] = field(default_factory=set)
    """The slugs of the artists of whom real works exist."""

    def names(self) -> dict[str, list[str]]:
        """The name and the aliases of each artist, by slug."""
        rows = zip(self.artists["name"], self.artists["aliases"], strict=True)
        return {slug(str(name)): [str(name), *aliases] for name, aliases in rows}

    def labelled(self) -> list[str]:
        """The names that encoders read as labels. Of background artists, these are the ones with real works."""
        names, kinds = self.artists["name"].map(str), self.artists["kind"]
        return [n for n, kind in zip(names, kinds, strict=True) if kind != "background" or slug(n) in self.with_works]

    def cut_short(self, source: Source | Encoder, names: Sequence[str]) -> list[str]:
        """The names of which a tokenizer loses words in a prompt of any template."""
        prompts = {name: self.protocol.wordings(name).values() for name in names}
        return [name for name, own in prompts.items() if any(source.lost_words(prompt) for prompt, _ in own)]


def check(config: Path) -> Iterator[Row]:
    """The rows, each as soon as it is known. InputError if the audit file, its warehouse, its protocol or its table of artists is wrong."""
    audit = load_audit(config)
    layout.refuse_another(audit.local(audit.warehouse), audit.file)
    protocol = load_protocol(audit)
    artists = artists_of(audit)
    templates = f"{len(protocol.templates)} template" + ("s" if len(protocol.templates) > 1 else "")
    yield Row("protocol", protocol.name, f"{templates}, {protocol.trials} images per template and name")
    kinds = ", ".join(f"{n} {kind}" for kind, n in artists["kind"].value_counts().items())
    yield Row("artists", audit.roster.artists or str(artists["name"].iloc[0]), kinds)
    if audit.captions is not None:
        yield from _captions(audit)
    known = _Known(audit, protocol, artists)
    yield from _references(known)
    for entry in audit.models:
        if entry.approved and not entry.retired:
            yield _opened(Row("model", entry.name), lambda row, entry=entry: _model(row, entry, known))  # type: ignore[misc]
        else:
            yield Row("model", entry.name, "not audited: " + ("retired" if entry.retired else "not approved"))
    for encoder in audit.encoders:
        row = Row("encoder", encoder.name, needed=encoder.name == audit.deciding_encoder.name)
        yield _opened(row, lambda row, entry=encoder: _encoder(row, entry, known))  # type: ignore[misc]


def _opened(row: Row, look: Callable[[Row], None]) -> Row:
    """The row of a part. Whatever the part raises is its problem alone."""
    try:
        look(row)
    except Exception as error:
        row.problems.append(said(error))
    return row


def _first_work(files: Sequence[Path]) -> Image.Image | None:
    for file in files:
        with suppress(InputError):  # it is listed as left out
            return open_work(file)
    return None


def _captions(audit: Audit) -> Iterator[Row]:
    """The first rows of each file, read as the scan reads them: with the columns, the encoding and the filters of the audit file."""
    assert audit.captions is not None
    scan = MentionScan(audit, Warehouse(Path("unused")))
    try:
        shards = scan.shards.values()
    except InputError as error:
        yield Row("captions", audit.captions.path, problems=[str(error)], needed=True)
        return
    row = Row("captions", audit.captions.path, needed=True)
    first = None
    for shard in shards:
        try:
            batch = next(iter(caption_batches(shard, scan.filters)), None)
            if first is None and batch is not None:
                first = _first_caption(batch)
        except Exception as error:
            row.problems.append(said(error))
    shown = "no caption among the first rows counts" if first is None else f"the first caption is {first[:60]!r}"
    row.understood = f"{_counted(len(shards), 'file')}; {shown}"
    yield row


def _first_caption(batch: pa.RecordBatch) -> str | None:
    """The first caption that counts: it is there, and the filters keep it."""
    place = pc.index(batch.column("kept"), True).as_py()
    return None if place < 0 else caption_at(batch, place)


def _references(known: _Known) -> Iterator[Row]:
    audit = known.audit
    row = Row("real works", audit.references, needed=True)
    if not audit.local(audit.references).is_dir():
        row.problems.append(
            f"{audit.local(audit.references)}: does not exist; make it, with one folder of works per artist."
        )
        yield row
        return
    names = known.names()
    found = works_of(audit, names)
    row.problems += found.refused.values()
    works, without, matched = 0, [], 0
    for subject, (name, *_) in names.items():
        files = found.files.get(subject, [])
        row.problems += left_out({subject: files})
        works += (own := different(files))
        matched += bool(own)
        known.with_works |= {subject} if own else set()
        if own and known.work is None:
            known.work = _first_work(files)
        if not files and subject not in found.refused:
            without.append(name)
    row.needed = False
    row.understood = f"{_counted(works, 'work')} of {_counted(matched, 'artist')}"
    if without:
        row.understood += f"; no works of {_listed(without)}"
    row.understood += "".join(f"; not read: {unread.sentence()}" for unread in unread_works(found))
    row.understood += "".join(f"; {copy}" for copy in repeated(found.files))
    if not works and not row.problems:
        row.problems.append(
            "no artist has works here, so no verdict is possible; name each folder as its artist is named in the audit file."
        )
    if row.problems and not works:
        row.needed = True
    yield row


def _model(row: Row, entry: ModelEntry, known: _Known) -> None:
    found = resolve_model(known.audit, entry)
    notes = [*found.notes(), *check_words(known.audit, known.protocol, found, known.artists)]
    if found.source == "image_folder":
        folders = artist_folders(found.path)
        row.understood = f"{_counted(len(folders), 'folder')} of images"
        row.problems += folder_problems(found.path)
        strange = homes(found.path, known.names()).strays
        if strange:
            row.understood += f"; {len(strange)} of them belong to no artist of the table, and count only if they belong to a control name"
        return
    if found.source == "api":
        server_of(entry.asked)
        row.understood = (
            f"served as {entry.model!r}; address and key are set; not asked, because each answer may be paid"
        )
        return
    row.understood = f"{found.pipeline_class}; {_settings(found)}"
    if found.lora:
        row.understood += f"; {_counted(len(found.lora), 'adapter')}"
    if found.embeddings:
        row.understood += f"; {_counted(len(found.embeddings), 'embedding')}"
    asked = spoken(known.audit, entry, known.artists[known.artists["kind"] != "background"])
    if not asked:
        row.understood += "; not asked, because no artist is audited"
        return
    unused = Path("unused")
    with maker(
        found, known.protocol, ImageStore(unused), known.audit.batch_size, known.names, Warehouse(unused)
    ) as made:
        assert isinstance(made, AskedModel)
        source = made.source
        cut = known.cut_short(source, [words for _, words in asked])
        if cut:
            row.problems.append(
                f"its tokenizer does not read the whole names {_listed(cut)}; shorten them or the template, or give `prompt_name`."
            )
        name, words = asked[0]
        prompt, text = known.protocol.wordings(words)[0]
        (image,) = source.generate([prompt], [image_seed(slug(name), text, 0)], batch_size=1)
    row.understood += f"; drew {image.width} x {image.height} pixels from {prompt!r}"
    row.understood += "".join(f"; {note}" for note in notes)
    known.work = known.work or image
    if is_blank(image):
        row.problems.append(
            "the image that it drew is blank: a safety checker blanks images, or weights or an adapter are not finite; look at "
            "the model outside the audit."
        )


def _settings(found: ResolvedModel) -> str:
    shown = {k: v for k, v in found.settings.items() if v is not None and k in ("steps", "guidance", "size", "dtype")}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def _encoder(row: Row, entry: EncoderEntry, known: _Known) -> None:
    from audit_assets.encoders.load import load

    found = resolve_encoder_entry(known.audit, entry)
    row.understood = f"{found.family}, {found.dimension} values"
    encoder = load(found)
    picture = known.work or Image.linear_gradient("L").convert("RGB")
    embedded: Any = encoder.embed_images([picture])
    check_unit(embedded, ["the first real work" if known.work else "a test picture"])
    if embedded.shape[1] != found.dimension:
        row.problems.append(
            f"it gives {embedded.shape[1]} values per image, and its files say {found.dimension}; save the encoder again."
        )
    if entry.kind == "image_text":
        name = known.protocol.prompt(0, str(known.artists["name"].iloc[0]))
        check_unit(encoder.embed_texts([name]), [name])
        cut = known.cut_short(encoder, known.labelled())
        row.understood += "; reads images and names"
        if cut:
            row.understood += (
                f", but does not read the whole names {_listed(cut)}; shorten them or the template, give them in letters that it knows, or add "
                "an encoder that reads them"
            )
    else:
        row.understood += "; reads images"


def _counted(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(n) for n in names[:_SHOWN]) + more
