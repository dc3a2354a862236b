"""Evidence that holds is said to hold; whatever does not is named with its file, however it was changed."""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.evidence.again import report as report_made_again
from audit_assets.evidence.again import roster as roster_made_again
from audit_assets.evidence.archive_file import Archive, archive_root, archive_text
from audit_assets.evidence.manifest import make_manifest
from audit_assets.evidence.redrawn import comparable
from audit_assets.evidence.rows import chain, database_rows, named_tables
from audit_assets.evidence.verify import verify
from audit_assets.generation.stage import ImitationStage
from audit_assets.publication.sealed import sealed_file
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.matching import MATCHING
from audit_assets.results.stage import ResultStage
from audit_assets.roster.caption_files import Reading, Shard
from audit_assets_tests.drive import drive
from audit_assets_tests.evidence.forging import (
    FILES,
    MODEL,
    files_checked,
    findings,
    flipped,
    forge_manifest,
    read,
    workspace_of,
)


@pytest.fixture(scope="module")
def whole(audited: Path, miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished audit with inputs of its own; tests change a file and put it back."""
    folder = tmp_path_factory.mktemp("whole") / "audit"
    shutil.copytree(audited.parent, folder)
    config = folder / "audit.yaml"
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    for kind, name in (("models", "miniature-1"), ("encoders", "clip"), ("encoders", "vision")):
        shutil.copytree(miniature / kind / name, folder / kind / name)
    content["models"][0]["path"] = "models/miniature-1"
    for entry, name in zip(content["encoders"], ("clip", "vision"), strict=True):
        entry["path"] = f"encoders/{name}"
    shutil.copytree(miniature / "generated" / "captions", folder / "captions")
    content["captions"]["path"] = "captions/*.parquet"
    config.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return config


@pytest.mark.long
def test_an_untouched_audit_holds_to_the_last_image(whole: Path) -> None:
    checks = list(verify(workspace_of(whole), MODEL, replay=1, sample=20, root=read(whole).root))
    assert [c.title for c in checks][: len(FILES)] == list(FILES)
    assert len(checks) == len(FILES) + 8
    assert findings(checks) == []
    (said,) = [line for c in checks for line in c.unchecked]
    assert "neither the root nor a signature covers this" in said
    assert all(c.seen for c in checks)


@cache
def evidence_of(config: Path) -> dict[str, list[Path]]:
    """Every file that the evidence rests on, by kind."""
    manifest, root = read(config), workspace_of(config).warehouse.root
    folder = config.parent
    kinds: dict[str, list[Path]] = {}
    for table in manifest.tables:
        kinds.setdefault(table.path.split("/")[0].removesuffix(".parquet"), []).append(root / table.path)
    kinds["imitation image"] = [root / image.path for _, image in manifest.imitations()]
    kinds["real work"] = [root / work.path for _, work in manifest.works()]
    kinds["report"] = [root / file.path for file in manifest.report]
    kinds["database"] = [root / "audit.duckdb"]
    kinds["caption file"] = sorted((folder / "captions").glob("*.parquet"))
    kinds["model"] = [folder / "models" / "miniature-1" / f.file for f in manifest.model.files]
    kinds["encoder"] = [
        folder / "encoders" / str(e.row["encoder"]).removeprefix("miniature-") / f.file
        for e in manifest.encoders
        for f in e.files
    ]
    return kinds


def test_every_kind_of_file_is_among_the_evidence(whole: Path) -> None:
    assert {
        "imitations", "imitation_embeddings", "reference_embeddings", "label_embeddings", "identification_trials",
        "identification_summary", "matching_by_subject", "verdicts", "subjects", "artist_roster", "mention_rows",
        "audit_report", "model_comparison", "imitation image", "real work", "report", "database", "caption file",
        "model", "encoder",
    } <= evidence_of(whole).keys()  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        "imitation image",
        "imitation_embeddings",
        "identification_trials",
        "verdicts",
        "database",
        "report",
        "model",
        "encoder",
    ],
)
@pytest.mark.parametrize("where", [0.5, -1])  # among the pages, and the last byte of a footer
def test_a_flipped_bit_is_found_and_its_file_named(whole: Path, kind: str, where: float) -> None:
    files = evidence_of(whole)[kind]
    file = max(files, key=lambda f: f.stat().st_size)
    size = file.stat().st_size
    with flipped(file, size - 1 if where < 0 else int(where * size)):
        found = findings(files_checked(whole))
    assert len(found) >= 1
    assert all(str(file) in line for line in found)


def test_without_a_flip_nothing_is_found(whole: Path) -> None:
    assert findings(files_checked(whole)) == []


@pytest.mark.long
@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_of_any_file_counts(whole: Path, data: st.DataObject) -> None:
    kinds = evidence_of(whole)
    file = data.draw(st.sampled_from(kinds[data.draw(st.sampled_from(sorted(kinds)))]))
    byte = data.draw(st.integers(0, file.stat().st_size - 1))
    with flipped(file, byte, data.draw(st.integers(0, 7))):
        found = findings(files_checked(whole))
    assert any(str(file) in line for line in found)


@pytest.mark.parametrize("kind", ["imitation image", "real work", "imitations", "database", "report", "encoder"])
def test_a_file_that_is_gone_or_cut_short_is_named(whole: Path, kind: str) -> None:
    file = evidence_of(whole)[kind][0]
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-1])
        assert any(str(file) in line for line in findings(files_checked(whole)))
        file.unlink()
        assert any(str(file) in line for line in findings(files_checked(whole)))
    finally:
        file.write_bytes(content)


def test_an_altered_image_is_named_with_its_row(whole: Path) -> None:
    subject, image = next(iter(read(whole).imitations()))
    with flipped(workspace_of(whole).warehouse.root / image.path, 60):
        (line,) = findings(files_checked(whole))
    assert f"({subject}, template {image.template}, trial {image.trial})" in line


def test_a_file_that_loading_would_read_and_nobody_audited_is_named(whole: Path) -> None:
    more = whole.parent / "models" / "miniature-1" / "tokenizer" / "chat_template.jinja"
    more.write_text("{{ messages }}", encoding="utf-8")
    try:
        assert findings(files_checked(whole)) == [f"{more}: is not among the files that were audited"]
    finally:
        more.unlink()


def test_the_manifest_itself_is_not_believed(whole: Path) -> None:
    path = workspace_of(whole).warehouse.root / "manifests" / f"{MODEL}.json"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("Artwork from Nils Oduya", "Artwork from Nobody"), encoding="utf-8")
        (check,) = verify(workspace_of(whole), MODEL)
        assert "was altered, it is not what its root hash" in check.findings[0]
        path.unlink()
        (check,) = verify(workspace_of(whole), MODEL)
        assert "there is no manifest" in check.findings[0]
    finally:
        path.write_text(text, encoding="utf-8")
    first = next(iter(verify(workspace_of(whole), MODEL, root="0" * 64)))
    assert "it is another manifest" in first.findings[0]


# ---- everything written anew so that it agrees
def computed(config: Path, *, replay: int = 0, sample: int = 0) -> list[str]:
    """What is found though every file is what the manifest says."""
    checks = list(verify(workspace_of(config), MODEL, replay=replay, sample=sample))
    assert findings(checks[: len(FILES)]) == []
    return findings(checks)


def forge_table(config: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    warehouse = workspace_of(config).warehouse
    warehouse.write(table, change(warehouse.read(table)), warehouse.inputs(table) or "")
    forge_manifest(config)


FORGED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "identification_summary": lambda t: t.assign(image_accuracy=t["image_accuracy"] / 2),
    "identification_trials": lambda t: t.assign(rank_of_subject=t["rank_of_subject"] + 1),
    "matching_by_subject": lambda t: t.assign(auc=1 - t["auc"]),
    "verdicts": lambda t: t.assign(verdict="not shown to be imitated"),
    "template_matrix": lambda t: t.assign(images=t["images"] + 1),
    "auditability": lambda t: t.assign(gap=t["gap"] + 0.1),
}


@pytest.mark.long
def test_forged_results_are_computed_again_and_each_table_is_named(copied: Path) -> None:
    for table, change in FORGED.items():
        forge_table(copied, table if table == "auditability" else f"{table}/{MODEL}", change)
    found = computed(copied)
    for table in FORGED:
        assert any(table in line and "duckdb" not in line for line in found), table
        assert any(f"audit.duckdb, table {table}: has a row that" in line for line in found), table


@pytest.mark.long
def test_a_row_of_the_database_alone_is_named_with_its_table(copied: Path) -> None:
    with duckdb.connect(str(workspace_of(copied).database)) as connection:
        connection.execute("UPDATE verdicts SET verdict = 'a crime' WHERE subject = 'nils-oduya'")
    forge_manifest(copied)
    found = computed(copied)
    assert len(found) == 1
    assert "audit.duckdb, table verdicts" in found[0]
    assert "nils-oduya" in found[0]


@pytest.mark.long
def test_a_library_that_the_database_names_is_compared_with_the_manifest(copied: Path) -> None:
    same = database_rows(workspace_of(copied), read(copied))
    assert (same.findings, same.unchecked) == ([], [])
    with duckdb.connect(str(workspace_of(copied).database)) as connection:
        connection.execute("UPDATE software SET version = '0.0' WHERE package = 'torch'")
        connection.execute("DELETE FROM software WHERE package = 'python'")
    forge_manifest(copied)
    forged = database_rows(workspace_of(copied), read(copied))
    assert forged.findings == []  # another machine may have published
    python, torch = forged.unchecked
    assert "audit.duckdb, table software: names python in no version, and the manifest 3." in python
    assert "table software: names torch 0.0, and the manifest" in torch


def test_a_forged_seed_or_prompt_is_not_the_protocols(copied: Path) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[1, "seed"], rows.loc[2, "prompt"] = 7, "A cat"
        return rows

    def also(content: dict[str, Any]) -> None:
        subject = next(s for s in content["subjects"] if s["subject"] == "nils-oduya")
        subject["images"][1]["seed"], subject["images"][2]["prompt"] = "7", "A cat"

    table = f"imitations/{MODEL}/nils-oduya"
    forge_table(copied, table, change)
    forge_manifest(copied, also)
    checks = verify(workspace_of(copied), MODEL)
    chain = next(check for check in checks if check.title.startswith("roster row"))
    assert [line.removeprefix(f"{table}.parquet: ") for line in chain.findings] == [
        "nils-oduya: the seed of (template, trial) (0, 1) is not the protocol's",
        "template 0, trial 2 was asked with 'A cat', not with the protocol's prompt",
    ]


UNLISTED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a subject": (lambda c: c["subjects"].pop(), "leaves out 1 of the subjects that the audit has"),
    "all subjects": (lambda c: c["subjects"].clear(), r"leaves out \d\d of the subjects that the audit has"),
    "a subject twice": (lambda c: c["subjects"].append(c["subjects"][0]), "names 1 of the subjects twice"),
    "an encoder of a subject": (
        lambda c: c["subjects"][0]["embeddings"].popitem(),
        "names other tables for 1 of the subjects",
    ),
    "images of another table": (
        lambda c: c["subjects"][0].update(imitations=c["subjects"][1]["imitations"]),
        "names other tables for 1 of the subjects",
    ),
    "an artist's works": (lambda c: c["references"].pop(), "leaves out 1 of the artists with real works"),
    "an encoder of works": (
        lambda c: c["references"][0]["embeddings"].popitem(),
        "names other tables for 1 of the artists with real works",
    ),
    "a table": (
        lambda c: c["tables"].remove(next(t for t in c["tables"] if t["path"] == f"verdicts/{MODEL}.parquet")),
        rf"leaves out 1 of the tables that the audit has \(first: verdicts/{MODEL}",
    ),
    "a table as one of a scan": (
        lambda c: next(t for t in c["tables"] if t["path"] == "subjects.parquet").update(published_as=None),
        r"names other tables for 1 of the tables \(first: subjects.parquet",
    ),
    "any file as a table": (
        lambda c: c["tables"].append({**c["tables"][0], **stored_page(c)}),
        "names 1 tables that the audit does not have",
    ),
    "an arm": (
        lambda c: c.update(arms=[{**in_an_arm(c["subjects"][0]), "arm": "no-arm"}]),
        "names 1 subjects in arms that the audit does not have",
    ),
}


def stored_page(content: dict[str, Any]) -> dict[str, Any]:
    return dict(content["report"][0])


def in_an_arm(subject: dict[str, Any]) -> dict[str, Any]:
    own = {key: subject[key] for key in ("subject", "kind", "images", "embeddings")}
    return {**own, "arm_images": subject["imitations"]}


_OF_TEST = ("a subject", "any file as a table")
"""The fast tests forge one part that is left out, and one that is listed besides; the long tests forge all."""


@pytest.mark.parametrize("what", [w if w in _OF_TEST else pytest.param(w, marks=pytest.mark.long) for w in UNLISTED])
def test_what_a_manifest_does_not_list_as_the_audit_has_it_is_found(copied: Path, what: str) -> None:
    """Nothing else would look at it."""
    change, said = UNLISTED[what]
    forge_manifest(copied, change)
    ws, manifest = workspace_of(copied), read(copied)
    found = [*chain(ws, manifest).findings, *named_tables(ws, manifest).findings]
    assert any(re.search(rf"manifests/{MODEL}\.json: {said}", line) for line in found), found


def test_tables_of_single_caption_files_may_be_left_out_of_an_archive(copied: Path) -> None:
    ws, manifest = workspace_of(copied), read(copied)
    for table in manifest.tables:
        if table.of_a_scan:
            (ws.warehouse.root / table.path).unlink()
    assert named_tables(workspace_of(copied), manifest).findings == []


@pytest.mark.long
def test_a_forged_embedding_is_found_by_embedding_again(copied: Path) -> None:
    """Every image of the audit, so that it cannot be missed; in a sample it is found as often as it is drawn."""
    table = f"imitation_embeddings/miniature-vision/{MODEL}/nils-oduya"

    def turn(rows: pd.DataFrame) -> pd.DataFrame:
        rows["embedding"] = [np.roll(v, 1) for v in rows["embedding"]]
        return rows

    forge_table(copied, table, turn)
    found = computed(copied, sample=1000)
    assert any(f"{table}.parquet, image" in line and "made again" in line for line in found)


@pytest.mark.long
def test_a_forged_image_is_found_by_drawing_it_again_and_another_machine_does_not_explain_it(copied: Path) -> None:
    """One image in the place of another, with its embedding and every table and hash after it."""
    steps = workspace_of(copied)
    other = steps.warehouse.read(f"imitations/{MODEL}/clara-oduya")["image_sha256"].iloc[0]
    size = steps.images.path(other).stat().st_size

    def swap(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[0, "image_sha256"] = other
        return rows

    def also(content: dict[str, Any]) -> None:
        subject = next(s for s in content["subjects"] if s["subject"] == "nils-oduya")
        subject["images"][0].update(image_sha256=other, bytes=size)

    forge_table(copied, f"imitations/{MODEL}/nils-oduya", swap)
    for encoder in ("miniature-clip", "miniature-vision"):
        forge_table(copied, f"imitation_embeddings/{encoder}/{MODEL}/nils-oduya", swap)
    forge_manifest(copied, also)
    drawn = len(ImitationStage(steps).drawn(MODEL))
    found = [line for line in computed(copied, replay=drawn) if "drawn again" in line]
    assert len(found) == 1
    assert f"imitations/{MODEL}/nils-oduya.parquet, template 0, trial 0: drawn again, it differs by up to" in found[0]

    def elsewhere(content: dict[str, Any]) -> None:
        content["machine"]["torch"] = "1.0"

    forge_manifest(copied, elsewhere)
    *_, last = verify(workspace_of(copied), MODEL, replay=drawn, sample=0)
    (said,) = last.findings
    assert "not the same circumstances: torch 1.0 there" in said
    assert said.endswith("which explain up to 8 grey levels in 2%")
    assert "torch 1.0 there" in last.unchecked[-1]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (
            '{"device": "cpu", "dtype": "float32", "threads": 1}',
            '{"device": "cpu", "dtype": "float32", "threads": 2}',
            True,
        ),
        ('{"device": "cuda", "dtype": "float16"}', '{"device": "cuda", "dtype": "float16"}', False),
        ('{"device": "cuda", "dtype": "float32"}', '{"device": "cpu", "dtype": "float32"}', False),
        ("no JSON", '{"device": "cpu", "dtype": "float32"}', False),
        (None, None, False),
    ],
)
def test_only_images_of_one_device_in_float32_are_told_from_forged_ones(one: str, other: str, told: bool) -> None:
    assert comparable(one, other) == told


@pytest.mark.long
def test_a_report_that_says_something_else_is_found_by_making_it_again(copied: Path) -> None:
    """Its hash, the table of its files and the manifest agree with it."""
    ws = workspace_of(copied)
    page = ws.warehouse.root / "reports" / MODEL / "report.html"
    page.write_text(page.read_text().replace("</body>", "<p>No artist can be imitated.</p></body>"))
    table = f"audit_report/{MODEL}"
    rows = ws.warehouse.read(table)
    rows.loc[rows["file"] == "report.html", "sha256"] = sealed_file(page)[1]
    ws.warehouse.write(table, rows, ws.warehouse.inputs(table) or "")

    def also(content: dict[str, Any]) -> None:
        content["machine"]["pillow"] = "1.0"

    forge_manifest(copied, also)
    check = report_made_again(workspace_of(copied), read(copied), set(), ["pillow"])
    assert any("report.html: says something else than the tables" in line for line in check.findings)


def test_a_forged_roster_is_found_by_choosing_it_again(copied: Path) -> None:
    forge_table(copied, "artist_roster", lambda t: t.assign(mentions=t["mentions"] + 1000))
    check = roster_made_again(workspace_of(copied), set())
    assert any("artist_roster.parquet: has other rows" in line for line in check.findings)


@pytest.mark.long
def test_a_forged_count_of_a_caption_file_is_found_by_counting_it_again(copied: Path) -> None:
    """One file is drawn at random: here of each the counts were forged."""
    warehouse = workspace_of(copied).warehouse
    for path in sorted((warehouse.root / "artist_mentions").glob("*.parquet")):
        table = f"artist_mentions/{path.stem}"
        rows = warehouse.read(table)
        attributes = dict(rows.attrs)
        rows["mentions"] += 1
        rows.attrs = attributes
        warehouse.write(table, rows, warehouse.inputs(table) or "")
    forge_manifest(copied)
    check = next(c for c in verify(workspace_of(copied), MODEL) if c.title.startswith("roster, controls"))
    assert any("artist_mentions/" in line and "has other rows" in line for line in check.findings)


def test_without_a_root_the_output_says_that_nothing_outside_vouches_for_it(copied: Path) -> None:
    root = read(copied).root
    without = next(iter(verify(workspace_of(copied), MODEL)))
    assert "nothing outside this folder vouches" in without.unchecked[0]
    assert next(iter(verify(workspace_of(copied), MODEL, root=root))).unchecked == []


def test_parts_that_are_declared_left_out_are_not_vouched_for_by_the_root_alone(copied: Path) -> None:
    """`archive.json` lies beside the audit file, where whoever can write there can declare anything left out."""
    root = read(copied).root
    archive = Archive(model_version=MODEL, root=root, left_out=["report", "scan tables"])
    (copied.parent / "archive.json").write_text(archive_text(archive))
    first = next(iter(verify(workspace_of(copied), MODEL, root=root)))
    assert "only the root of the archive" in first.unchecked[0]
    report = workspace_of(copied).warehouse.root / "reports" / MODEL / "report.html"
    report.write_text(report.read_text() + " ")
    assert any("report.html: was altered" in line for line in findings(files_checked(copied)))  # it is here after all
    whole = next(iter(verify(workspace_of(copied), MODEL, root=archive_root(archive))))
    assert (whole.findings, whole.unchecked) == ([], [])
    assert next(iter(verify(workspace_of(copied), MODEL, root="0" * 64))).findings


# ---- what is no fault, and what is only late
def test_captions_in_a_store_are_read_again_only_if_the_audit_was_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = []

    def refuse(pattern: str, base: Path, reading: Reading) -> list[Shard]:
        listed.append(pattern)
        raise InputError("the store is closed")

    monkeypatch.setattr("audit_assets.roster.mentions.caption_shards", refuse)
    (tmp_path / "artists.csv").write_text("name\nAda Brandvold\n")
    (tmp_path / "audit.yaml").write_text(
        "roster: {artists: artists.csv}\n"
        "captions: {path: 's3://bucket/*.parquet'}\n"
        "models: [{name: m, source: diffusers, path: m}]\n"
        "encoders: [{name: e, kind: image_text, path: e}]\n"
    )
    ws = workspace_of(tmp_path / "audit.yaml")
    assert roster_made_again(ws, set()).unchecked == ["the store is closed"]
    assert listed == ["s3://bucket/*.parquet"]
    (tmp_path / "archive.json").write_text(archive_text(Archive(model_version="m", root="0" * 64, left_out=[])))
    assert roster_made_again(ws, set()).unchecked == ["the captions lie in a store, and are not read again"]
    assert len(listed) == 1


@pytest.mark.long
def test_what_is_not_on_this_machine_is_said_and_is_no_finding(copied: Path) -> None:
    content = yaml.safe_load(copied.read_text(encoding="utf-8"))
    content["models"][0]["path"] = "gone/model"
    content["encoders"][0]["path"] = "/gone/encoder"
    content["references"] = "/gone/references"
    content["captions"]["path"] = "/gone/*.parquet"
    copied.write_text(yaml.safe_dump(content), encoding="utf-8")
    checks = list(verify(workspace_of(copied), MODEL, replay=1, sample=5))
    said = [line for c in checks for line in c.unchecked]
    assert findings(checks) == []
    assert any("miniature-clip: its files are not on this machine" in line for line in said)
    assert any("matches no file" in line for line in said)
    assert any("no image is drawn again" in line for line in said)


def test_a_change_of_the_audit_file_is_told_from_a_fault(copied: Path) -> None:
    content = yaml.safe_load(copied.read_text(encoding="utf-8"))
    content["models"][1]["approved"] = True  # of another version: nothing of this one changed
    copied.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert findings(files_checked(copied)) == []
    content["models"][0]["settings"]["steps"] = 9
    content["roster"]["criteria"] = 7
    copied.write_text(yaml.safe_dump(content), encoding="utf-8")
    found = findings(files_checked(copied))
    assert [("roster: is not" in line, "model 'miniature-1': is not" in line) for line in found] == [
        (True, False),
        (False, True),
    ]
    assert all("makes the manifest of what was made again" in line for line in found)


@pytest.mark.long
def test_results_that_are_newer_than_the_manifest_are_said_to_be_and_an_audit_makes_it_anew(copied: Path) -> None:
    """A re-audit under a changed protocol: first its results alone, then all of it."""
    protocol = copied.parent / "protocol.yaml"
    protocol.write_text("name: other\ntemplates: ['Artwork from {name}']\ntrials: 4\nseed: 5\n")
    before = read(copied)
    text = copied.read_text().replace("protocol: paper_2023_small", "protocol: protocol.yaml")
    copied.write_text(text)
    steps = workspace_of(copied)
    ResultStage(steps).make(AUDITABILITY)
    ResultStage(steps).make(IDENTIFICATION, MODEL)
    ResultStage(steps).make(MATCHING, MODEL)
    found = findings(files_checked(copied))
    trials = steps.warehouse.path(f"identification_trials/{MODEL}")
    assert any(f"{trials}: is another than the manifest's" in line and "made again" in line for line in found)
    assert any("protocol: is not the manifest's" in line for line in found)
    drive(copied)
    assert read(copied).root != before.root
    assert findings(list(verify(workspace_of(copied), MODEL, replay=0, sample=5))) == []
    assert make_manifest(workspace_of(copied), MODEL) == read(copied)
