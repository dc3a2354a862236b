"""Evidence that an older version made: it is checked as far as this version can, explained, and accused of nothing."""

import json
import os
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from audit_assets.config import load_audit, load_protocol
from audit_assets.errors import InputError
from audit_assets.evidence.archive import export, import_archive
from audit_assets.evidence.audit_file import as_now, follows, portable, protocol_as_now, protocol_of
from audit_assets.evidence.check import Check
from audit_assets.evidence.manifest import FORMAT, manifest_file, parse_manifest
from audit_assets.evidence.software import RESTS_ON, changed, explain, made_by_words, this_version
from audit_assets.evidence.verify import verify
from audit_assets_tests.drive import drive
from audit_assets_tests.evidence.forging import FILES, MODEL, findings, flipped, forge_manifest, read, workspace_of

ROOT = Path(__file__).parents[2]
RESULTS = "results computed again from the image-level rows and embeddings"


def as_format_1(content: dict[str, Any]) -> None:
    """What the manifest of the first version was: no versions, fields that are gone, and none of the newer fields."""
    content["format"] = 1
    content.pop("made_by", None)
    for field in ("artist", "background", "primary"):
        content["audit"].pop(field, None)
    for field in ("columns", "encoding", "failed_downloads"):
        content["audit"]["captions"].pop(field, None)
    content["protocol"]["definition"]["bootstraps"] = 10_000
    content["protocol"]["definition"]["matching"]["works"] = None
    content["protocol"]["measurement_hash"] = "0" * 64


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "audit_assets.cli", *arguments], capture_output=True, text=True)


def checked(config: Path, most: int = len(FILES) + 1, **options: Any) -> list[Check]:
    """The checks of files and of the chain of rows; `most` of them."""
    return list(islice(verify(workspace_of(config), MODEL, replay=0, sample=0, **options), most))


def results_checked(config: Path) -> Check:
    return next(check for check in verify(workspace_of(config), MODEL, replay=0, sample=0) if check.title == RESULTS)


def unchecked(checks: list[Check]) -> str:
    return "\n".join(line for check in checks for line in check.unchecked)


@pytest.fixture
def older(copied: Path) -> Path:
    forge_manifest(copied, as_format_1)
    return copied


def test_evidence_of_this_version_says_which_one_made_it(audited: Path) -> None:
    manifest = read(audited)
    assert (manifest.format, manifest.made_by) == (FORMAT, this_version())
    assert made_by_words(manifest.made_by) is None
    assert not any(check.by_another_version for check in checked(audited))


def test_older_evidence_holds_and_what_cannot_be_told_is_named(older: Path) -> None:
    checks = checked(older, root=read(older).root)
    assert findings(checks) == []
    said = unchecked(checks)
    assert "an older version made it (format 1)" in said
    assert "fields of the protocol that this version no longer has" in said


def test_the_same_fields_in_evidence_of_this_version_are_a_finding(copied: Path) -> None:
    """Only another version explains them."""

    def change(content: dict[str, Any]) -> None:
        made_by = content["made_by"]
        as_format_1(content)
        content["format"], content["made_by"] = 2, made_by

    forge_manifest(copied, change)
    assert any("protocol: is not the manifest's" in line for line in findings(checked(copied)))


def test_an_altered_file_of_older_evidence_is_still_a_finding(older: Path) -> None:
    with flipped(workspace_of(older).warehouse.path(f"verdicts/{MODEL}"), -1):
        found = findings(checked(older))
    assert any("verdicts" in line and "was altered" in line for line in found)


@pytest.mark.long
def test_results_that_this_version_computes_otherwise_are_a_finding_only_of_the_same_version(copied: Path) -> None:
    ws = workspace_of(copied)
    rows = ws.warehouse.read(f"verdicts/{MODEL}")
    ws.warehouse.write(
        f"verdicts/{MODEL}", rows.assign(verdict="imitated"), ws.warehouse.inputs(f"verdicts/{MODEL}") or ""
    )
    forge_manifest(copied)
    same = results_checked(copied)
    assert same.findings
    assert not same.by_another_version
    forge_manifest(copied, lambda content: content["made_by"].update(results="1"))
    other = results_checked(copied)
    assert (other.findings, other.by_another_version) == ([], True)
    assert "results 1 there" in other.unchecked[0]


def test_a_protocol_of_the_package_that_changed_is_a_reason_and_the_evidence_is_checked_by_its_own(
    copied: Path,
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["made_by"]["protocols"] = "another"
        content["protocol"]["definition"]["trials"] += 1

    assert load_audit(copied).protocol == load_protocol(load_audit(copied)).name  # one of the package
    forge_manifest(copied, change)
    checks = checked(copied)
    assert not any("protocol: is not" in line for line in findings(checks))
    trials = load_protocol(load_audit(copied)).trials
    assert f"trials was {trials + 1}, and is {trials}" in unchecked(checks)
    # Its own protocol asks for one image more per subject than there is: that is checked, and no reason for it is given.
    assert any("no image for (template, trial)" in line for line in findings(checks))


def test_a_protocol_of_the_user_that_changed_is_a_finding(copied: Path) -> None:
    definition = read(copied).protocol["definition"]
    (copied.parent / "mine.yaml").write_text(yaml.safe_dump({**definition, "trials": definition["trials"] + 1}))
    copied.write_text(yaml.safe_dump({**yaml.safe_load(copied.read_text()), "protocol": "mine.yaml"}))
    forge_manifest(copied, lambda content: content["made_by"].update(protocols="another"))
    assert any("protocol: is not the manifest's" in line for line in findings(checked(copied)))


@pytest.mark.long
def test_an_older_archive_is_imported_and_verified(older: Path, tmp_path: Path) -> None:
    export(workspace_of(older), MODEL, tmp_path / "evidence.zip")
    ended = command("import", str(tmp_path / "evidence.zip"), str(tmp_path / "received"))
    assert ended.returncode == 0, ended.stdout
    assert "an older version (format 1)" in ended.stdout
    config = tmp_path / "received" / "audit.yaml"
    assert read(config) == read(older)
    assert findings(checked(config, root=read(older).root)) == []
    assert load_protocol(load_audit(config)).trials == load_protocol(load_audit(older)).trials
    shown = command("report", "--config", str(config))
    assert shown.returncode == 0, shown.stdout
    assert "as the archive has it" in " ".join(shown.stdout.split())
    assert findings(checked(config)) == []  # nothing was made again by this version


def test_an_older_archive_has_no_paths_of_its_own_either(older: Path, tmp_path: Path) -> None:
    forge_manifest(older, lambda content: content["audit"].update(references="/somewhere/else"))
    export(workspace_of(older), MODEL, tmp_path / "evidence.zip")
    with pytest.raises(InputError, match="names paths that export never writes"):
        import_archive(tmp_path / "evidence.zip", tmp_path / "received")
    assert not (tmp_path / "received").exists()


@pytest.mark.long
def test_verify_needs_no_name_of_a_model_whose_results_an_older_version_made(older: Path) -> None:
    for table in (workspace_of(older).warehouse.root / "confusable_artists").glob("*.parquet"):
        table.unlink()
    workspace_of(older).warehouse.path(f"verdicts/{MODEL}").unlink()
    ended = command("verify", "--config", str(older), "--no-replay", "--sample", "0")
    assert ended.returncode == 1
    assert "is missing" in ended.stdout  # the manifest names the file
    manifest_file(workspace_of(older).warehouse, MODEL).unlink()
    said = " ".join(command("verify", "--config", str(older)).stdout.split())
    assert "no model version has all results of this version" in said
    assert "keeps finished images" in said


def test_a_manifest_of_a_newer_version_says_so(audited: Path) -> None:
    content = json.loads(manifest_file(workspace_of(audited).warehouse, MODEL).read_text())
    with pytest.raises(InputError, match=r"has format 9.*a newer version of audit_assets wrote it") as error:
        parse_manifest(json.dumps({**content, "format": 9, "later": 1}), "manifest.json")
    assert "restore" not in str(error.value)


def test_fields_that_did_not_exist_have_their_defaults_and_others_are_compared(audited: Path) -> None:
    audit = load_audit(audited)
    whole = portable(audit)
    kept = {key: value for key, value in whole.items() if key not in ("artist", "background", "primary")}
    assert as_now(kept) == whole
    assert follows(audit, kept)
    assert as_now({**kept, "batch_size": 3}) != whole
    assert not follows(audit, {**kept, "batch_size": 3})
    assert not follows(audit, {**kept, "warehouse": "../elsewhere"})
    assert as_now({**kept, "a_field_of_the_future": 1}) is None


def test_a_protocol_loses_the_fields_that_are_gone_and_no_others() -> None:
    now = {"name": "p", "templates": ["Artwork from {name}"], "matching": {"alpha": 0.1}}
    assert protocol_as_now({**now, "bootstraps": 1, "matching": {"alpha": 0.1, "works": None}}) == now
    assert protocol_of({**now, "bootstraps": 1}) == protocol_of(now) is not None
    assert protocol_of({**now, "unheard_of": 1}) is None
    assert protocol_of(None) is None


@pytest.mark.parametrize("title", RESTS_ON)
def test_a_difference_is_explained_by_the_version_of_the_part_that_makes_it(title: str) -> None:
    part = next(iter(RESTS_ON[title]))
    for differs, by_another in (
        ({part: "another version made it"}, True),
        ({"unrelated": "another"}, False),
        ({}, False),
    ):
        check = Check(title, "seen", ["a table: differs", "another table: differs"])
        explain(check, differs)
        assert (check.by_another_version, check.findings == []) == (by_another, by_another)
    nothing = Check(title, "seen")
    explain(nothing, {part: "another version made it"})
    assert (nothing.seen, nothing.unchecked, nothing.by_another_version) == ("seen", [], False)


def test_checks_of_hashes_are_explained_by_no_version() -> None:
    for title in ("tables", "imitations", "database file", "roster row to prompt, seed, image and embedding"):
        check = Check(title, "seen", ["was altered"])
        explain(check, changed(None))
        assert check.findings == ["was altered"]


OLDER = ("f19a4e4", "a9286fe", "8557bf8")
"""Versions of this package with another format of their evidence or their tables, from its history."""


@pytest.mark.long
@pytest.mark.parametrize("commit", OLDER)
def test_a_warehouse_that_old_code_made_is_explained_and_goes_on(commit: str, tmp_path: Path) -> None:
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True)
    if packed.returncode:
        pytest.skip(f"no history here ({packed.stderr.decode().strip()})")
    old, folder = tmp_path / "old", tmp_path / "old" / "data" / "miniature"
    old.mkdir()
    subprocess.run(["tar", "-x", "-C", str(old)], input=packed.stdout, check=True)
    content = yaml.safe_load((folder / "small.yaml").read_text())
    content["controls"]["random_names"] = 8
    for model in content["models"]:
        model["settings"]["steps"] = 2  # nothing here looks at what the images show
    (folder / "small.yaml").write_text(yaml.safe_dump(content))
    for module, *arguments in (
        ("audit_assets.miniature.draw", str(folder)),
        ("audit_assets.cli", "run", "--config", str(folder / "small.yaml")),
        ("audit_assets.cli", "export", "--config", str(folder / "small.yaml"), "--model", MODEL, "--out", str(tmp_path / "old.zip")),
    ):  # fmt: skip
        made = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=old, env={**os.environ, "PYTHONPATH": str(old), "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout[-2000:]
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    config = moved / "small.yaml"
    ended = command("verify", "--config", str(config))
    assert ended.returncode == 3, ended.stdout
    assert "DOES NOT HOLD" not in ended.stdout
    import_archive(tmp_path / "old.zip", tmp_path / "received")
    assert findings(checked(tmp_path / "received" / "audit.yaml")) == []
    assert (
        command(
            "sql", "--config", str(tmp_path / "received" / "audit.yaml"), "SELECT count(*) FROM verdicts"
        ).returncode
        == 0
    )
    drive(config)
    ended = command("verify", "--config", str(config), "--no-replay", "--sample", "0")
    assert ended.returncode == 0, ended.stdout


def test_a_database_of_an_older_contract_answers_queries(copied: Path) -> None:
    with duckdb.connect(str(workspace_of(copied).database)) as connection:
        connection.execute("UPDATE published_from SET schema_version = 1")
    ended = command("sql", "--config", str(copied), "SELECT count(*) AS known FROM verdicts")
    assert ended.returncode == 0, ended.stdout
    assert "known" in ended.stdout
    assert "keeps version 1" in " ".join(ended.stderr.split())
