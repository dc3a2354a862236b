"""An audit with three templates and prompts that do not name the artist: what enters which figure."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from audit_assets.config import INDIRECT, PROTOCOLS
from audit_assets.generation.stage import ImitationStage
from audit_assets.publication.queries import database as read
from audit_assets.publication.stage import PublicationStage
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.matching import MATCHING
from audit_assets.results.stage import ResultStage
from audit_assets.results.verdicts import VERDICTS
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive

TRIALS = 2
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def robust(small_audit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("robust")
    protocol = yaml.safe_load((PROTOCOLS / "robust.yaml").read_text(encoding="utf-8"))
    (folder / "protocol.yaml").write_text(yaml.safe_dump({**protocol, "trials": TRIALS}), encoding="utf-8")
    controls = {"random_names": 4, "recombined_names": 4, "nonsense": 3, "locale": "en_US", "seed": 7}
    return drive(small_audit(folder, protocol="protocol.yaml", controls=controls))


def table(ws: Workspace, name: str) -> pd.DataFrame:
    with read.opened(ws.database) as connection:
        return connection.table(name).df()


def test_artists_are_also_asked_for_without_their_names(robust: Workspace) -> None:
    images = table(robust, "imitations")
    subjects = robust.subjects().set_index("subject")
    indirect = images[images["template"] == INDIRECT]
    described = subjects[subjects["indirect_prompt"].fillna("") != ""]
    assert set(indirect["subject"]) == set(described.index) - set(described[described["kind"] == "background"].index)
    assert len(indirect) == TRIALS * indirect["subject"].nunique()
    for row in indirect.to_dict("records"):
        assert row["prompt"] == described.at[row["subject"], "indirect_prompt"]
        assert described.at[row["subject"], "name"] not in row["prompt"]
    assert indirect["seed"].is_unique


def test_nonsense_names_are_prompted_labelled_and_reported(robust: Workspace) -> None:
    subjects = robust.subjects()
    nonsense = set(subjects.loc[subjects["kind"] == "nonsense", "subject"])
    assert len(nonsense) == 3
    images = table(robust, "imitations")
    assert images[images["subject"].isin(nonsense)].groupby("subject").size().to_dict() == dict.fromkeys(
        sorted(nonsense), 3 * TRIALS
    )
    summary = table(robust, "identification_summary")
    row = summary[(summary["kind"] == "nonsense") & (summary["label_set"] == "joint")].iloc[0]
    assert (row["subjects"], row["images"]) == (3, 9 * TRIALS)
    trials = table(robust, "identification_trials")
    own = trials[trials["subject"].isin(nonsense) & (trials["template"] == trials["label_template"])]
    assert row["image_accuracy"] == pytest.approx(own[own["label_set"] == "joint"]["correct"].mean())
    contrasts = table(robust, "identification_contrasts")
    assert "nonsense" in set(contrasts["control_kind"])
    report, _ = PublicationStage(robust).report("miniature-1")
    assert "nonsense tokens" in report.read_text(encoding="utf-8")


def test_progress_counts_the_images_of_prompts_that_do_not_name_the_artist(robust: Workspace) -> None:
    images = table(robust, "imitations")
    assert ImitationStage(robust).asked() == images.groupby("subject").size().to_dict()


def test_the_headline_counts_named_prompts_labelled_with_their_own_words_only(robust: Workspace) -> None:
    by_subject = table(robust, "identification_by_subject")
    assert set(by_subject["images"]) == {3 * TRIALS}
    tests = table(robust, "matching_by_subject")
    assert set(tests.loc[tests["subject"].notna(), "images"]) == {3 * TRIALS}
    own_cell = tests[tests["test"] == "own_cell"]
    assert set(own_cell["references_used"]) == {10}  # all works


def test_every_template_is_labelled_with_every_other_and_the_indirect_prompt_with_each(robust: Workspace) -> None:
    matrix = table(robust, "template_matrix")
    artists = matrix[(matrix["label_set"] == "criteria") & (matrix["kind"] == "artist")]
    assert sorted(zip(artists["template"], artists["label_template"], strict=True)) == [
        (t, label) for t in (INDIRECT, 0, 1, 2) for label in (0, 1, 2)
    ]
    settings = set(table(robust, "score_correlations")["setting"])
    assert any(f"template {INDIRECT} labelled 0" in setting for setting in settings)


def test_the_checks_hold_for_it_too(robust: Workspace) -> None:
    measurement = ResultStage(robust)
    assert measurement.searched(IDENTIFICATION, "miniature-1") == []
    assert measurement.searched(MATCHING, "miniature-1") == []
    assert measurement.searched(VERDICTS, "miniature-1") == []
