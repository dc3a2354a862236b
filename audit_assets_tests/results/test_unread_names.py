"""Names of which the text encoder reads no word: to it they are all one, so identification says nothing about them."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from audit_assets.encoders.embed import label_rows
from audit_assets.measurement.name_controls import UNREAD
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.label_sets import unread_names
from audit_assets.results.recipe import recomputed
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.world import MODELS, World, simulate

pytestmark = pytest.mark.long

ARM = {"name": "misspelt", "way": "misspelt", "templates": ["Artwork from {name}"], "controls": 80}
WORLD = World(artists=6, controls=80, works=8, images=6, able=(1.0, 1.4), arms=(ARM,), strength={"misspelt": 1.0})


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory, miniature: Path) -> Workspace:
    return simulate(tmp_path_factory.mktemp("read"), miniature, WORLD)


@pytest.fixture(scope="module")
def not_read(tmp_path_factory: pytest.TempPathFactory, miniature: Path) -> Workspace:
    """The same world, but the encoder reads neither the first artist's name nor twenty of the control names."""
    first = WORLD.artists + WORLD.untrained + WORLD.background
    names = [f"control-{first + i}" for i in range(20)]
    return simulate(tmp_path_factory.mktemp("unread"), miniature, replace(WORLD, unread=["artist-0", *names]))


def rows(ws: Workspace, table: str, encoder: str = "sim-clip") -> pd.DataFrame:
    found = ws.warehouse.read(f"{table}/{MODELS[0]}")
    return found[found["encoder"] == encoder].set_index("subject")


def test_an_artist_whose_name_is_not_read_could_not_be_tested_and_the_others_are(
    read: Workspace, not_read: Workspace
) -> None:
    before, after = rows(read, "name_controls"), rows(not_read, "name_controls")
    assert before.loc["artist-0", "answer"] == "yes"
    assert [after.loc["artist-0", c] for c in ("answer", "reason", "settle")] == ["could not be tested", *UNREAD]
    assert [after.loc[f"artist-{i}", "answer"] for i in range(1, 6)] == ["yes"] * 5


def test_control_names_that_are_not_read_are_no_controls(read: Workspace, not_read: Workspace) -> None:
    assert rows(read, "name_controls").loc["artist-1", "names"] == 80
    after = rows(not_read, "name_controls")
    assert after.loc["artist-1", "names"] == 60


def test_no_answer_of_identification_is_no_verdict(read: Workspace, not_read: Workspace) -> None:
    assert rows(read, "verdicts").loc["artist-0", "verdict"] == "imitated"
    verdict = rows(not_read, "verdicts").loc["artist-0"]
    assert (verdict["steers"], verdict["verdict"]) == ("could not be tested", "not auditable")
    # A perfect imitator must be identified too.
    assert (rows(read, "verdicts").loc["artist-0", "seen"], verdict["seen"]) == ("yes", "could not be tested")
    # Matching and an encoder without text do not ask for the name.
    assert verdict["towards"] == "yes"
    assert rows(not_read, "verdicts", "sim-vision").loc["artist-0", "verdict"] == "imitated"


def test_an_arm_that_asks_for_the_name_has_no_answer_by_the_name(read: Workspace, not_read: Workspace) -> None:
    assert rows(read, "arm_results").loc["artist-0", "answer"] == "yes"
    found = rows(not_read, "arm_results")
    assert found.loc["artist-0", "answer"] == "could not be tested"
    assert UNREAD[0] in str(found.loc["artist-0", "reason"])
    assert (found.loc["artist-1", "answer"], found.loc["artist-1", "controls"]) == ("yes", 60)


def test_house_style_is_not_told_of_a_name_that_is_not_read_nor_by_such_names(
    read: Workspace, not_read: Workspace
) -> None:
    for ws, controls in ((read, 80), (not_read, 60)):
        found = rows(ws, "unprompted_leakage")
        found = found[found["asked_for"] == "invented names"]
        assert set(found.loc["artist-1", ["controls"]]) == {controls}
        assert (found.loc["artist-0", "reason"] == UNREAD[0]) == (ws is not_read)
    assert found.loc["artist-0", "answer"] == "could not be tested"


def test_the_answer_is_found_again_from_the_tables(not_read: Workspace) -> None:
    assert recomputed(not_read, IDENTIFICATION, MODELS[0]) == []


def test_a_name_is_unread_if_no_place_of_it_in_a_label_is_read(read: Workspace) -> None:
    subjects = pd.DataFrame(
        {"subject": ["a", "b", "c"], "name": ["\u0416\u0430\u043d \u041e\u043a", "Zo\u00eb Ek", "Bo Ek"]}
    )
    protocol = read.protocol
    labels = label_rows(protocol, list(zip(subjects["subject"], subjects["name"], strict=True)))
    lost = {"a": "\u0436\u0430\u043d \u043e\u043a,", "b": "Zo\u00eb", "c": ""}
    assert unread_names(labels.assign(lost=labels["label"].map(lost).fillna("")), subjects) == {"a"}
    twice = pd.DataFrame({"label": ["c"], "text": ["Bo Ek, as Bo Ek paints"], "lost": ["Bo Ek paints"]})
    assert unread_names(twice, subjects) == frozenset()
    assert unread_names(twice.assign(lost="Bo Ek, as Bo Ek paints"), subjects) == {"c"}
