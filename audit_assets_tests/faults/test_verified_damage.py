"""Damage to one file of a finished audit, which nothing reads again: `audit-assets verify` finds it and names the file, or the file is unchanged.

The file is put back after each fault, so that the faults share one copy of the audit.
"""

import random
from pathlib import Path

import pytest

from audit_assets_tests.evidence.forging import files_checked, findings
from audit_assets_tests.faults.conftest import Ledger
from audit_assets_tests.faults.damage import Kind, copy_of, damage, drawn
from audit_assets_tests.processes import kept

KINDS: tuple[Kind, ...] = ("bit", "bit", "cut", "zeros", "empty")
EVIDENCE = (
    "imitations/*/*.parquet",
    "imitation_embeddings/*/*/*.parquet",
    "reference_works/*.parquet",
    "reference_embeddings/*/*.parquet",
    "label_embeddings/*.parquet",
    "artist_mentions/*.parquet",
    "mention_rows/*.parquet",
    "subjects.parquet",
    "artist_roster.parquet",
    "controls.parquet",
    "encoders.parquet",
    "model_files.parquet",
    "auditability.parquet",
    "identification_trials/*.parquet",
    "identification_summary/*.parquet",
    "matching_by_subject/*.parquet",
    "verdicts/*.parquet",
    "images/*/*.png",
    "reports/*/*",
    "audit.duckdb",
    "manifests/*.json",
)


@pytest.fixture(scope="module")
def copy(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(undisturbed, tmp_path_factory.mktemp("verified") / "audit")


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("pattern", EVIDENCE)
def test_verify_finds_the_damaged_file_and_names_it(copy: Path, ledger: Ledger, pattern: str, number: int) -> None:
    draws = random.Random(f"verified {pattern} {number}")
    file = drawn(copy, f"warehouse/{pattern}", draws)
    before, content = kept(copy), file.read_bytes()
    damage(file, KINDS[number], draws)
    try:
        changed = file.read_bytes() != content
        found = findings(files_checked(copy))
    finally:
        file.write_bytes(content)
    if changed:
        assert any(file.name in line for line in found)
    else:
        assert found == []
    assert all("Traceback" not in line for line in found)
    after = kept(copy)
    lost = [path for path, sha256 in before.items() if after.get(path) != sha256]
    ledger.lost += lost
    ledger.enter("damaged evidence", "found by verify" if changed else "mended by itself, or harmless")
    assert lost == []
