"""Damaged files, one fault at a time, in a copy of a finished audit: it is noticed or harms nothing, and is repaired.

"Finished" is what was made before the fault; "wrong" is a published table that differs from the undisturbed one.
"""

import random
import re
import shutil
from pathlib import Path

import pytest

from audit_assets.errors import InputError
from audit_assets_tests.drive import drive
from audit_assets_tests.faults.conftest import Ledger
from audit_assets_tests.faults.damage import RESULTS, Kind, copy_of, damage, drawn, problems, remove, run_and_repair
from audit_assets_tests.processes import differences, kept, published, wrong_results

KINDS: tuple[Kind, ...] = ("bit", "bit", "bit", "cut", "zeros", "empty")
UPSTREAM = ("imitation_embeddings/*/*/*", "reference_embeddings/*/*", "label_embeddings/*", "imitations/*/*",
            "reference_works/*", "subjects", "mention_rows/*", "artist_mentions/*", "controls", "artist_roster",
            "registered/*/*", "encoders")  # fmt: skip
DOWNSTREAM = ("identification_trials/*", "identification_by_subject/*", "identification_summary/*",
              "matching_by_subject/*", "verdicts/*", "auditability", "calibration", "verified/*/*", "model_trends",
              "published")  # fmt: skip


def check(config: Path, undisturbed: Path, ledger: Ledger, kind: str, before: dict[str, str]) -> None:
    """Run and repair, and compare: whatever was whole before is there, and what is published is what was."""
    said = run_and_repair(config, undisturbed)
    after = kept(config)
    lost = [path for path, sha256 in before.items() if after.get(path) != sha256]
    wrong = wrong_results(config, undisturbed)
    ledger.lost += lost
    ledger.wrong += wrong
    ledger.enter(kind, "told and repaired" if said else "mended by itself, or harmless")
    assert (lost, wrong) == ([], [])
    assert differences(config, undisturbed) == []


@pytest.mark.parametrize("number", range(4 * len(KINDS)))
@pytest.mark.parametrize("stage", ["measured", "not yet measured"])
def test_a_damaged_table_is_told_or_made_again(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, number: int, stage: str
) -> None:
    draws = random.Random(f"table {number} {stage}")
    config = copy_of(undisturbed, tmp_path / "audit")
    tables: tuple[str, ...] = UPSTREAM + DOWNSTREAM
    if stage == "not yet measured":
        remove(config, RESULTS)
        tables = UPSTREAM
    table = drawn(config, f"warehouse/{draws.choice(tables)}.parquet", draws)
    before = {p: sha256 for p, sha256 in kept(config).items() if not str(table).endswith(p)}
    damage(table, KINDS[number % len(KINDS)], draws)
    check(config, undisturbed, ledger, "damaged tables", before)


@pytest.mark.parametrize("number", range(2 * len(KINDS)))
def test_a_damaged_image_is_noticed_before_it_is_measured(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, number: int
) -> None:
    """A stored image is read when it is embedded, and when a report shows it; here its embeddings are not made yet."""
    draws = random.Random(f"image {number}")
    config = copy_of(undisturbed, tmp_path / "audit")
    image = drawn(config, "warehouse/images/*/*.png", draws)
    remove(config, [*RESULTS, "imitation_embeddings", "reference_embeddings"])
    before = {p: sha256 for p, sha256 in kept(config).items() if image.name not in p}
    damage(image, KINDS[number % len(KINDS)], draws)
    check(config, undisturbed, ledger, "damaged images", before)


@pytest.mark.parametrize("number", range(2 * len(KINDS)))
def test_a_damaged_database_is_published_again(undisturbed: Path, tmp_path: Path, ledger: Ledger, number: int) -> None:
    draws = random.Random(f"database {number}")
    config = copy_of(undisturbed, tmp_path / "audit")
    damage(config.parent / "warehouse" / "audit.duckdb", KINDS[number % len(KINDS)], draws)
    check(config, undisturbed, ledger, "damaged databases", kept(config))
    assert published(config).keys() == published(undisturbed).keys()


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("what", ["models/miniature-1/**/*.safetensors", "encoders/*/*.safetensors"])
def test_weights_that_changed_are_refused_and_nothing_is_made_with_them(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, what: str, number: int
) -> None:
    """A bit of a weight gives other images and no error of any library; half of these runs would have to make images."""
    draws = random.Random(f"weights {what} {number}")
    config = copy_of(undisturbed, tmp_path / "audit")
    if number % 2:
        remove(config, [*RESULTS, "imitations/*/nils-oduya.parquet", "imitation_embeddings/*/*/nils-oduya.parquet"])
    before = kept(config)
    file = drawn(config, what, draws)
    damage(file, KINDS[number % len(KINDS)], draws)
    # If the encoder decides nothing, it is left out, and the audit goes on: its results are made without it until it is repaired.
    told = problems(config)
    assert re.search(rf"{file.name}(: is not a safetensors|: has \d+ bytes| was changed since)", "\n".join(told)), told
    made = ("images/", "imitations/", "reference_works/", "imitation_embeddings/", "reference_embeddings/")
    assert {p: sha256 for p, sha256 in before.items() if p.startswith(made)}.items() <= kept(config).items()
    check(config, undisturbed, ledger, "damaged weights", before)


@pytest.mark.parametrize("kind", ["bit", "cut", "zeros", "empty"])
@pytest.mark.parametrize("file", ["history/runs.db", "history/runs/index.db"])
def test_a_damaged_log_of_events_says_where_it_is_and_loses_nothing_of_the_warehouse(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, file: str, kind: Kind
) -> None:
    config = copy_of(undisturbed, tmp_path / "audit")
    damage(config.parent / ".dagster" / "audit" / file, kind, random.Random(f"events {file} {kind}"))
    check(config, undisturbed, ledger, "damaged event logs", kept(config))


def test_a_table_in_the_place_of_another_is_made_again(undisturbed: Path, tmp_path: Path, ledger: Ledger) -> None:
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, RESULTS)
    for kind in ("imitations/miniature-1", "imitation_embeddings/miniature-clip/miniature-1"):
        folder = config.parent / "warehouse" / kind
        shutil.copyfile(folder / "nils-oduya.parquet", folder / "clara-oduya.parquet")
    before = {p: sha256 for p, sha256 in kept(config).items() if "clara-oduya" not in p}
    check(config, undisturbed, ledger, "exchanged tables", before)


def test_an_image_in_the_place_of_another_is_noticed(undisturbed: Path, tmp_path: Path, ledger: Ledger) -> None:
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, [*RESULTS, "imitation_embeddings", "reference_embeddings"])
    first, second = sorted(config.parent.glob("warehouse/images/*/*.png"))[:2]
    before = {p: sha256 for p, sha256 in kept(config).items() if first.name not in p}
    shutil.copyfile(second, first)
    check(config, undisturbed, ledger, "exchanged images", before)


def test_the_report_of_an_audit_does_not_show_an_image_that_changed(
    undisturbed: Path, tmp_path: Path, ledger: Ledger
) -> None:
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, ["reports", "audit_report"])
    for image in sorted(config.parent.glob("warehouse/images/*/*.png")):
        damage(image, "bit", random.Random(image.name))
    with pytest.raises(InputError, match=r"\.png: was altered"):
        drive(config)
    assert not list(config.parent.glob("warehouse/reports/*/report.html"))
    ledger.enter("damaged images", "told and repaired")
