"""The manifest ties every figure to what it was made from, says the same for the same audit, and hides no alteration."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.evidence.audit_file import portable
from audit_assets.evidence.cover import stamp
from audit_assets.evidence.manifest import (
    Manifest,
    earlier_root_hash,
    make_manifest,
    manifest_file,
    manifest_text,
    parse_manifest,
    read_manifest,
    root_hash,
)
from audit_assets.generation.seeds import image_seed
from audit_assets.models.registry import resolve_encoder_entry
from audit_assets.publication.sealed import sealed_file
from audit_assets.publication.stage import PublicationStage
from audit_assets.roster.captions import caption_shards
from audit_assets.roster.stage import RosterStage
from audit_assets.warehouse.store import vectors
from audit_assets_tests.evidence.forging import MODEL, files_checked, findings, read, workspace_of


def test_from_a_figure_one_comes_to_the_caption_it_begins_with(audited: Path) -> None:
    """Image by image through prompt, seed, embedding and result row; and up to the roster and the captions."""
    steps, manifest = workspace_of(audited), read(audited)
    root = steps.warehouse.root

    def sha256(path: str) -> str:
        return hashlib.sha256((root / path).read_bytes()).hexdigest()

    assert all(sealed_file(root / file.path) == (file.bytes, file.sha256) for file in manifest.report)
    assert any(file.path.endswith("report.html") for file in manifest.report)
    assert any(file.path == "reports/artists/nils-oduya.html" for file in manifest.report)
    assert sha256("audit.duckdb") == manifest.database.sha256
    tables = {table.path: table for table in manifest.tables}
    subject = next(s for s in manifest.subjects if s.subject == "nils-oduya")
    image = subject.images[2]
    assert image.prompt == "Artwork from Nils Oduya"
    assert int(image.seed or 0) == image_seed("nils-oduya", steps.protocol.templates[0], image.trial)
    assert image.image_sha256 == sha256(image.path)
    embeddings = steps.warehouse.read(subject.embeddings["miniature-clip"].removesuffix(".parquet"))
    assert embeddings["image_sha256"].tolist()[2] == image.image_sha256
    for place in (subject.imitations, *subject.embeddings.values(), "identification_trials/miniature-1.parquet"):
        assert tables[place].sha256 == sha256(place)
    with duckdb.connect(str(steps.database), read_only=True) as connection:
        row = connection.execute(
            "SELECT seed, image_sha256, embedding FROM imitations JOIN imitation_embeddings_miniature_clip "
            "USING (model_version, subject, template, trial) WHERE subject = 'nils-oduya' AND trial = 2"
        ).fetchone()
        roster = connection.execute(
            "SELECT list_transform(samples, lambda s: {'shard': s.shard, 'row': s.\"row\"}) FROM artist_mentions WHERE name = 'Nils Oduya'"
        ).fetchone()
    assert row is not None
    assert (str(row[0]), row[1]) == (image.seed, image.image_sha256)
    assert vectors(embeddings["embedding"])[2].tolist() == list(row[2])
    assert roster is not None
    assert roster[0] == [c.model_dump() for c in subject.captions]
    scanned = {row["shard"]: row["sha256"] for row in manifest.captions}
    captions = audited.parent / load_captions(audited)
    for shard in {c.shard for c in subject.captions}:
        assert scanned[shard] == hashlib.sha256((captions.parent / shard).read_bytes()).hexdigest()
    assert {"criteria", "most_mentioned"} >= set(subject.rosters)


def load_captions(config: Path) -> str:
    captions = workspace_of(config).audit.captions
    assert captions is not None
    return captions.path


def test_it_names_models_encoders_libraries_and_protocol_and_no_path_of_this_machine(audited: Path) -> None:
    steps, manifest = workspace_of(audited), read(audited)
    assert {f.file for f in manifest.model.files} >= {"unet/diffusion_pytorch_model.safetensors", "model_index.json"}
    assert {e.row["encoder"]: len(e.files) for e in manifest.encoders}.keys() == {"miniature-clip", "miniature-vision"}
    assert {"torch", "diffusers", "transformers", "pyarrow", "system", "processor"} <= manifest.machine.keys()
    assert manifest.protocol["definition"]["templates"] == list(steps.protocol.templates)
    text = manifest_file(steps.warehouse, MODEL).read_text()
    assert str(audited.parent) not in text
    assert str(Path.home()) not in text
    assert str(Path(__file__).parents[2]) not in text


def test_the_same_audit_gives_the_same_manifest_and_what_is_there_is_kept(copied: Path) -> None:
    steps = workspace_of(copied)
    path = manifest_file(steps.warehouse, MODEL)
    before, written = path.read_bytes(), path.stat().st_mtime_ns
    make_manifest(steps, MODEL)
    assert path.stat().st_mtime_ns == written
    times = read(copied).dated
    path.unlink()
    make_manifest(steps, MODEL, times)
    assert path.read_bytes() == before


def test_a_manifest_is_written_with_the_fields_that_earlier_archives_have(audited: Path) -> None:
    """An archive is held to the bytes of its manifest, so a field that has nothing to say is not written."""
    content = json.loads(manifest_text(read(audited)))
    assert content["database"].keys() == {"path", "bytes", "sha256", "published_from"}
    assert "arms" not in content


@pytest.mark.long
def test_the_same_rows_in_another_database_file_have_the_same_root(copied: Path) -> None:
    before = read(copied)
    steps = workspace_of(copied)
    steps.database.unlink()
    PublicationStage(steps).publish()
    after = make_manifest(steps, MODEL)
    assert after.root == before.root
    assert after.database.sha256 != before.database.sha256  # DuckDB arranges blocks as it likes
    assert findings(files_checked(copied)) == []


def test_an_altered_table_is_not_hidden_by_a_new_manifest(copied: Path) -> None:
    steps = workspace_of(copied)
    path = manifest_file(steps.warehouse, MODEL)
    before = path.read_bytes()
    table = "imitation_embeddings/miniature-clip/miniature-1/nils-oduya"
    rows = steps.warehouse.read(table)
    steps.warehouse.write(table, rows.iloc[::-1], steps.warehouse.inputs(table) or "")
    copied.write_text(copied.read_text().replace("approved: false", "approved: true"))  # so that it is to be made anew
    steps = workspace_of(copied)
    with pytest.raises(InputError, match=r"nils-oduya\.parquet: has other bytes than in .*altered.*take .* away"):
        make_manifest(steps, MODEL)
    assert path.read_bytes() == before
    path.unlink()
    assert make_manifest(steps, MODEL) == read_manifest(path)


def leaves(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every value."""
    if isinstance(content, dict):
        return [leaf for key, value in content.items() for leaf in leaves(value, (*place, key))]
    if isinstance(content, list):
        return [leaf for i, value in enumerate(content) for leaf in leaves(value, (*place, i))]
    return [place]


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_manifest_with_any_value_changed_is_refused(audited: Path, data: st.DataObject) -> None:
    content = json.loads(manifest_file(workspace_of(audited).warehouse, MODEL).read_text())
    outside = (("database", "sha256"), ("database", "bytes"))
    places = [p for p in leaves(content) if p not in outside and p[0] != "dated"]
    *parents, last = data.draw(st.sampled_from(places))
    holder = content
    for key in parents:
        holder = holder[key]
    old = holder[last]
    holder[last] = (
        not old
        if isinstance(old, bool)
        else old + 1
        if isinstance(old, int | float)
        else ("0" if old[-1:] != "0" else "1").join([old[:-1], ""])
        if isinstance(old, str)
        else "x"
    )
    with pytest.raises(InputError, match=r"was altered|is no manifest"):
        parse_manifest(json.dumps(content), "here")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "[" * 100_000, '{"format": 2}'])
def test_what_is_no_manifest_is_said(text: str) -> None:
    with pytest.raises(InputError, match=r"here.*restore it"):
        parse_manifest(text, "here")


@pytest.mark.parametrize("twice", ['"subjects": []', '"model_version": "another"', '"root": "' + "0" * 64 + '"'])
def test_a_manifest_that_says_a_thing_twice_is_refused_by_verify_and_by_its_pages(copied: Path, twice: str) -> None:
    """A reader that takes the first of two would see another manifest than the one that was signed."""
    ws = workspace_of(copied)
    path = manifest_file(ws.warehouse, MODEL)
    path.write_text(path.read_text(encoding="utf-8").replace("{", f"{{{twice},", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"miniature-1\.json: is not JSON \(a key is there twice\); restore it"):
        read(copied)
    with pytest.raises(InputError, match="a key is there twice"):
        stamp(ws)


def test_caption_files_that_were_copied_restored_or_touched_change_neither_tables_nor_root(copied: Path) -> None:
    """As a backup and its restoration do: other times, other inodes, the same bytes."""
    content = yaml.safe_load(copied.read_text(encoding="utf-8"))
    found = caption_shards(content["captions"]["path"], copied.parent)
    (copied.parent / "captions").mkdir()
    for shard in found:
        os.utime(shutil.copy(shard.url, copied.parent / "captions"), (1, 1))
    content["captions"]["path"] = "captions/*.parquet"
    copied.write_text(yaml.safe_dump(content), encoding="utf-8")
    ws, before = workspace_of(copied), read(copied)
    RosterStage(ws.audit, ws.warehouse).make_roster()
    make_manifest(ws, MODEL)
    assert read(copied) == before
    assert findings(files_checked(copied)) == []


def test_an_encoder_that_was_renamed_is_refused_with_its_old_name(copied: Path) -> None:
    copied.write_text(copied.read_text(encoding="utf-8").replace("miniature-vision", "vision"), encoding="utf-8")
    audit = load_audit(copied)
    with pytest.raises(InputError, match="has results of under the name 'miniature-vision'; give it that name back"):
        resolve_encoder_entry(audit, audit.encoder("vision"))
    assert resolve_encoder_entry(audit, audit.encoder("miniature-clip")).name == "miniature-clip"


def test_the_portable_audit_file_is_the_same_wherever_the_folders_are(copied: Path) -> None:
    audit = load_audit(copied)
    entries = tuple(m.model_copy(update={"path": "models/gone"}) for m in audit.models)
    assert portable(audit.model_copy(update={"models": entries})) == portable(audit)


def test_a_manifest_under_the_root_of_an_earlier_version_is_not_accused(copied: Path) -> None:
    path = manifest_file(workspace_of(copied).warehouse, MODEL)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["root"] = earlier_root_hash(content)
    path.write_text(manifest_text(Manifest.model_validate(content)), encoding="utf-8")
    assert read(copied).root == content["root"] != root_hash(content)
    stamp(workspace_of(copied))
    assert findings(files_checked(copied)) == []
    assert make_manifest(workspace_of(copied), MODEL).root == content["root"]  # whoever kept it can still compare it
    content["machine"]["torch"] = "1.0"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="was altered"):
        read(copied)


def test_the_portable_audit_file_has_the_later_fields_only_if_they_are_used(copied: Path) -> None:
    later = {"config", "variant", "prompt_name", "embeddings"}
    assert not any(later & entry.keys() for entry in portable(load_audit(copied))["models"])
    content = yaml.safe_load(copied.read_text(encoding="utf-8"))
    content["models"][0] |= {
        "prompt_name": "{name}, sks",
        "embeddings": [{"path": "own/a.safetensors", "token": "<a>"}],
    }
    copied.write_text(yaml.safe_dump(content), encoding="utf-8")
    audit = load_audit(copied)
    first, *others = portable(audit)["models"]
    assert first["prompt_name"] == "{name}, sks"
    assert first["embeddings"] == [{"path": f"./lora/{first['name']}/a.safetensors", "revision": None, "token": "<a>"}]
    assert not any(later & entry.keys() for entry in others)
    imported = audit.model_copy(
        update={"models": tuple(m.model_copy(update={"path": f"./models/{m.name}"}) for m in audit.models)}
    )
    assert portable(imported) == portable(audit)
