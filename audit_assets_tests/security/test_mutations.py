"""Files that others wrote, with bytes changed at random: each is read, or is bad input that is named, and nothing else.

No file takes more than a bounded amount of memory and time. Hypothesis draws the seeds of the changes, and shrinks to one.
"""

import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from audit_assets.config import PROTOCOLS, load_audit, load_protocol
from audit_assets.encoders.embed import check_unit
from audit_assets.encoders.load import load
from audit_assets.errors import InputError
from audit_assets.evidence.archive_file import Archive, archive_text, imported
from audit_assets.evidence.manifest import read_manifest as read_evidence
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.roster.artists import read_artists
from audit_assets.roster.captions import Shard, caption_batches, declared, sample_batches
from audit_assets.untrusted.folders import folder_problems, read_manifest
from audit_assets.untrusted.images import check_header, open_image
from audit_assets.untrusted.weights import check_safetensors, licence, read_json
from audit_assets.warehouse import layout
from audit_assets.warehouse.contract import reading
from audit_assets.warehouse.store import Warehouse
from audit_assets_tests.encoders import tiny_encoders
from audit_assets_tests.evidence.forging import MODEL
from audit_assets_tests.generation.tiny_pipelines import save as save_pipeline
from audit_assets_tests.security.mutations import absurd, bounded, mutated

SECONDS = 20
"""One file, on a busy machine. The slowest take a second."""
SEEDS = st.integers(0, 2**32 - 1)
# The same seeds in every run: some damaged files end the process within Arrow itself, and would end the tests with it.
changes = settings(max_examples=150, deadline=timedelta(seconds=SECONDS), derandomize=True, print_blob=False,
                   suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """`name` is the file's in a folder of its own; `read` does with the folder what an audit does."""

    name: str
    content: Callable[[], bytes]
    read: Callable[[Path], object]


def picture(kind: str) -> bytes:
    pixels = (np.random.default_rng(0).random((40, 40, 3)) * 255).astype(np.uint8)
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    exif = image.getexif()
    exif[0x112] = 6  # turned
    image.save(buffer, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}))
    return buffer.getvalue()


def captions() -> pa.Table:
    rows = 300
    texts = [f"Artwork from Ada Brandvold, number {i}" if i % 7 else None for i in range(rows)]
    scores = np.linspace(3, 9, rows)
    return pa.table({"URL": [f"http://x/{i}" for i in range(rows)], "TEXT": texts, "aesthetic": scores})


def as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=100)
    return buffer.getvalue()


def as_csv(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    return buffer.getvalue()


def read_captions(file: Path, kind: str) -> None:
    shard = Shard("a", str(file), kind)
    declared(shard)
    sample_batches(shard)
    for batch in caption_batches(shard):
        batch.to_pandas()


def read_image(folder: Path) -> None:
    check_header(folder / "image")
    open_image(folder / "image")


def read_folder(folder: Path) -> None:
    own = folder / "images" / "ada"
    own.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "manifest.csv", own)
    for name in ("0.png", "1.png"):
        (own / name).write_bytes(picture("PNG"))
    read_manifest(folder, ("file", "source"), ("0.png", "1.png"))
    assert all("ada" in problem for problem in folder_problems(folder / "images"))


def read_protocol(folder: Path) -> None:
    audit = AUDIT.format(protocol="protocol.yaml")
    (folder / "other.yaml").write_text(audit)
    load_protocol(load_audit(folder / "other.yaml"))


def read_table(folder: Path) -> None:
    warehouse = Warehouse(folder)
    warehouse.inputs("table")
    warehouse.made("table")
    warehouse.read("table")


ROWS = pd.DataFrame({"subject": ["ada", "ben"], "n": pd.array([1, None], dtype="Int64"), "e": [[1.0], [2.0]]})
WEIGHTS: dict[str, np.ndarray] = {"a": np.zeros((4, 4), np.float32), "b": np.ones(3, np.float16)}
AUDIT = (
    "protocol: {protocol}\nartist: {{name: Ada Brandvold, aliases: [A. Brandvold]}}\nreferences: works/\n"
    "models:\n  - {{name: m, source: diffusers, path: models/m, approved: true, settings: {{steps: 4, size: 64}}}}\n"
    "encoders:\n  - {{name: e, kind: image_text, path: encoders/e}}\nbatch_size: 4\n"
)
MANIFEST = (
    'file,prompt,date,seed\n0.png,"Artwork, from Ada",2024-01-02,7\n1.png,x,2024-01-02T10:00:00,18446744073709551615\n'
)
ARTISTS = (
    "name,kind,aliases,born,died,instagram,sells_work,opted_out,locale,peers\n"
    'Ada Brandvold,artist,"A. Brandvold;Ada B.",1950,,@ada,yes,no,no_NO,a\nBen Oduya,,,1901.0,1950,,no,yes,,\n'
)
ARCHIVE = Archive(model_version="m", root="0" * 64, left_out=["report"])


def table_bytes(*, sealed: bool) -> bytes:
    if not sealed:
        buffer = io.BytesIO()
        ROWS.to_parquet(buffer)
        return buffer.getvalue()
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Warehouse(Path(folder)).write("table", ROWS, "inputs")
        return (Path(folder) / "table.parquet").read_bytes()


READERS: dict[str, Reader] = {
    "weights": Reader("a.safetensors", lambda: save(WEIGHTS, {"format": "pt"}), lambda f: check_safetensors(f / "a.safetensors")),
    "an object of JSON": Reader("a.json", lambda: b'{"a": {"b": [1, 2.5, null, "text"]}}', lambda f: read_json(f / "a.json")),
    "a model card": Reader("README.md", lambda: b"---\nlicense: apache-2.0\ntags: [a, b]\n---\ntext\n", licence),
    **{f"an image in {kind}": Reader("image", lambda kind=kind: picture(kind), read_image)  # type: ignore[misc]
       for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")},
    "captions in parquet": Reader("a.parquet", lambda: as_parquet(captions()), lambda f: read_captions(f / "a.parquet", "parquet")),
    "captions in CSV": Reader("a.csv", lambda: as_csv(captions()), lambda f: read_captions(f / "a.csv", "csv")),
    "artists.csv": Reader("artists.csv", ARTISTS.encode, lambda f: read_artists(f / "artists.csv")),
    "a manifest of images": Reader("manifest.csv", MANIFEST.encode, read_folder),
    "audit.yaml": Reader("audit.yaml", AUDIT.format(protocol="robust").encode, lambda f: load_audit(f / "audit.yaml")),
    "a protocol": Reader("protocol.yaml", (PROTOCOLS / "robust.yaml").read_bytes, read_protocol),
    "archive.json": Reader("archive.json", archive_text(ARCHIVE).encode, imported),
    "warehouse.json": Reader("warehouse.json", layout.text().encode, layout.opened),
    "a sealed table": Reader("table.parquet", lambda: table_bytes(sealed=True), read_table),
    "a table of an earlier version": Reader("table.parquet", lambda: table_bytes(sealed=False), read_table),
}  # fmt: skip


@contextmanager
def only_bad_input(folder: Path) -> Iterator[None]:
    """Nothing but an InputError may come out, with the name of something in the folder."""
    try:
        with bounded():
            yield
    except InputError as error:
        if not any(name in str(error) for name in {p.name for p in folder.rglob("*")} | {folder.name}):
            pytest.fail(f"no file is named: {error}")


def changed(content: bytes, seed: int, *, is_json: bool) -> bytes:
    draws = random.Random(seed)
    return absurd(content, draws) if is_json and seed % 2 else mutated(content, draws)


@pytest.mark.parametrize("what", sorted(READERS))
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(seed=SEEDS)
@changes
def test_a_file_with_changed_bytes_is_read_or_is_bad_input(tmp_path: Path, what: str, seed: int) -> None:
    reader = READERS[what]
    folder = tmp_path / "input"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    content = changed(reader.content(), seed, is_json=reader.name.endswith(".json"))
    (folder / reader.name).write_bytes(content)
    with only_bad_input(folder):
        reader.read(folder)


@pytest.mark.parametrize("what", sorted(READERS))
def test_each_of_these_files_is_read_as_it_is(tmp_path: Path, what: str) -> None:
    (tmp_path / READERS[what].name).write_bytes(READERS[what].content())
    READERS[what].read(tmp_path)


@pytest.mark.long
@given(seed=SEEDS)
@changes
def test_a_manifest_of_evidence_with_changed_bytes_is_read_or_is_bad_input(
    audited: Path, tmp_path: Path, seed: int
) -> None:
    content = (audited.parent / "warehouse" / "manifests" / f"{MODEL}.json").read_bytes()
    file = tmp_path / "manifest.json"
    file.write_bytes(changed(content, seed, is_json=True))
    with only_bad_input(tmp_path):
        read_evidence(file)


@pytest.mark.long
@given(seed=SEEDS)
@settings(changes, max_examples=40)
def test_a_database_with_changed_bytes_is_read_or_is_bad_input(audited: Path, tmp_path: Path, seed: int) -> None:
    content = (audited.parent / "warehouse" / "audit.duckdb").read_bytes()
    file = tmp_path / "audit.duckdb"
    file.write_bytes(changed(content, seed, is_json=False))
    with only_bad_input(tmp_path), reading(file):
        pass


@pytest.fixture(scope="module")
def whole_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "encoder"
    folder.mkdir()
    tiny_encoders.clip(folder)
    return folder


@pytest.fixture(scope="module")
def whole_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline("stable_diffusion", tmp_path_factory.mktemp("whole"))


def use_encoder(folder: Path) -> None:
    encoder = load(resolve_encoder("e", "image_text", str(folder)), "cpu")
    check_unit(encoder.embed_images([Image.fromarray(np.full((32, 32, 3), 99, np.uint8))]), [folder.name])
    check_unit(encoder.embed_texts(["artwork by ada", "x"]), [folder.name] * 2)
    encoder.lost_words("artwork " * 50)


def use_model(folder: Path) -> None:
    source = DiffusersSource(resolve_diffusers("m", str(folder), None, {"steps": 1, "size": 16}), "cpu")
    source.lost_words("artwork " * 50)
    list(source.generate(["artwork by ada"], [1], batch_size=1))


def spoil(folder: Path, seed: int, suffixes: set[str]) -> tuple[Path, bytes]:
    """One of the files of the folder, changed; and what it held."""
    draws = random.Random(seed)
    file = draws.choice(sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in suffixes))
    before = file.read_bytes()
    file.write_bytes(changed(before, seed, is_json=file.suffix == ".json"))
    return file, before


@pytest.mark.long
@pytest.mark.parametrize("what", ["encoder", "model"])
@given(seed=SEEDS)
@settings(changes, max_examples=120)
def test_a_model_with_a_changed_file_is_used_or_is_bad_input(
    whole_encoder: Path, whole_model: Path, what: str, seed: int
) -> None:
    """Configurations, indexes, tokenizers and weights, through loading to the first image and the first text."""
    folder, use = (whole_encoder, use_encoder) if what == "encoder" else (whole_model, use_model)
    file, before = spoil(folder, seed, {".json", ".txt", ".safetensors"})
    try:
        with only_bad_input(folder):
            use(folder)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize(
    ("field", "value"), [("model_max_length", 10**9), ("model_max_length", -1), ("model_max_length", [1])]
)
def test_a_tokenizer_that_pads_without_end_is_refused_before_it_is_used(
    whole_encoder: Path, tmp_path: Path, field: str, value: object
) -> None:
    folder = Path(shutil.copytree(whole_encoder, tmp_path / "encoder"))
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(InputError, match=rf"encoder: (the tokenizer's {field} is|the encoder cannot be loaded)"):
        use_encoder(folder)


def test_a_tokenizer_without_a_limit_is_read_as_far_as_its_encoder_reads(whole_encoder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole_encoder, tmp_path / "encoder"))
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_max_length": int(1e30)}))
    use_encoder(folder)
