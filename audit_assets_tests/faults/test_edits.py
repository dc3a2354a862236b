"""Files that a person edits while an audit runs: the run goes by them as they were at its start, says so, and the next run goes by them as they are."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from audit_assets.config import PROTOCOLS, load_audit
from audit_assets.errors import InputError
from audit_assets.runs.driver import Driver, run_audit
from audit_assets.runs.steps import Step
from audit_assets_tests.drive import drive
from audit_assets_tests.faults.conftest import Ledger
from audit_assets_tests.faults.damage import RESULTS, copy_of, remove
from audit_assets_tests.processes import published, wrong_results

UNDONE = [*RESULTS, "imitations/*/nils-oduya.parquet", "imitation_embeddings/*/*/nils-oduya.parquet"]
STEPS = ("imitations of miniature-1", "experiments on miniature-1", "database")


def change(config: Path, **fields: Any) -> None:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump({**content, **fields}, allow_unicode=True), encoding="utf-8")


def model_renamed(config: Path) -> Path:
    (model, *others) = yaml.safe_load(config.read_text(encoding="utf-8"))["models"]
    change(config, models=[{**model, "name": "renamed"}, *others])
    return config


def settings_changed(config: Path) -> Path:
    (model, *others) = yaml.safe_load(config.read_text(encoding="utf-8"))["models"]
    change(config, models=[{**model, "settings": {**model["settings"], "guidance": 1.0}}, *others])
    return config


def protocol_changed(config: Path) -> Path:
    file = config.parent / "protocol.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("Artwork from {name}", "A photograph without {name}"))
    return file


def made_invalid(config: Path) -> Path:
    config.write_text("models: [", encoding="utf-8")
    return config


def taken_away(config: Path) -> Path:
    config.unlink()
    return config


def artist_added(config: Path) -> Path:
    file = config.parent / "artists.csv"
    header = file.read_text(encoding="utf-8").partition("\n")[0].split(",")
    row = ["Zora Newcomer" if column == "name" else "" for column in header]
    file.write_text(file.read_text(encoding="utf-8").rstrip("\n") + "\n" + ",".join(row) + "\n", encoding="utf-8")
    return file


def work_replaced(config: Path) -> Path:
    work = sorted((config.parent / "works" / "nils-oduya").glob("*.png"))[0]
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(work)
    return work


EDITS = (model_renamed, settings_changed, protocol_changed, made_invalid, taken_away, artist_added, work_replaced)


@pytest.fixture(scope="module")
def begun(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit to which each file belongs, of which one artist's images and all results are missing."""
    config = copy_of(undisturbed, tmp_path_factory.mktemp("begun") / "audit")
    audit = load_audit(config)
    assert audit.roster.artists is not None
    shutil.copytree(audit.local(audit.references), config.parent / "works")
    shutil.copyfile(audit.local(audit.roster.artists), config.parent / "artists.csv")
    shutil.copyfile(PROTOCOLS / f"{audit.protocol}.yaml", config.parent / "protocol.yaml")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    roster = {**content["roster"], "artists": "artists.csv"}
    change(config, references="works/", protocol="protocol.yaml", roster=roster)
    remove(config, UNDONE)
    return config


def run_with(config: Path, edit: Callable[[Path], Path], at: str) -> tuple[Driver, Path]:
    edited = []

    @contextmanager
    def editing(step: Step) -> Iterator[None]:
        if step.title == at:
            edited.append(edit(config))
        yield

    return run_audit(config, editing), edited[0]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_during_a_run_is_said_and_mixes_nothing(
    begun: Path, undisturbed: Path, tmp_path: Path, ledger: Ledger, edit: Callable[[Path], Path]
) -> None:
    config = copy_of(begun, tmp_path / "audit")
    step = random.Random(edit.__name__).choice(STEPS)
    driver, file = run_with(config, edit, step)
    # The audit file names a table of artists of its own, and published_from is the hash of that too.
    wrong = [line for line in wrong_results(config, undisturbed) if not line.startswith("published_from")]
    ledger.wrong += wrong
    assert wrong == []
    said = [line for line in driver.problems() if "was edited during this run" in line]
    assert [line.split(":")[0] for line in said] == ([] if edit is work_replaced else [str(file)])
    ledger.enter("edits during a run", "went by the files as they were, and said so")


def test_the_run_after_an_edit_goes_by_the_files_as_they_are(begun: Path, undisturbed: Path, tmp_path: Path) -> None:
    config = copy_of(begun, tmp_path / "audit")
    run_with(config, protocol_changed, "experiments on miniature-1")
    before = published(config)["imitations"]
    assert before["prompt"].str.startswith("Artwork from").all()
    drive(config)
    after = published(config)["imitations"]
    assert after["prompt"].str.startswith("A photograph without").all()
    assert set(before["generation_hash"]).isdisjoint(after["generation_hash"])
    config.write_text("models: [", encoding="utf-8")
    with pytest.raises(InputError, match="not YAML"):
        drive(config)
