"""The page on reliability states the rates of the nearest simulated design, and of this audit's own controls; it leaves law to the lawyer."""

from pathlib import Path

import pandas as pd
import pytest

from audit_assets.publication.pages.reliability import write_reliability
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.design import Design, Range, design
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words import reliability as words
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.test_report import parsed
from audit_assets_tests.publication.world import MODELS

DOCS = Path(__file__).parents[2] / "docs"


def one(**changes: object) -> Design:
    given = {
        "artists": 10, "names": Range(99, 99, 99), "level": 0.01, "images": Range(10, 10, 10), "works": Range(8, 9, 12), "others": 22,
        "by_own_cell": 10, "by_name_test": 0, "seen": 9, "seen_tested": 10, "reassigned": 0.05, "alpha": 0.05,
    }  # fmt: skip
    return Design(**{**given, **changes})  # type: ignore[arg-type]


def test_the_rates_are_those_that_the_documents_have() -> None:
    pd.testing.assert_frame_equal(
        words.simulated(), pd.read_csv(DOCS / "simulation.csv", dtype={"case": str, "test": str})
    )


def test_each_row_is_the_simulated_design_nearest_to_the_audit() -> None:
    assert words.nearest(["10 works", "20 works", "40 works"], 14) == "10 works"
    assert words.nearest(["10 works", "20 works"], 15) == "10 works"
    rows = {row[0]: row for row in words.missed(one()).rows}
    assert rows["other artists with works"][1:3] == ("22", "20")
    assert rows["works of the artist"][1:3] == ("9", "10 works")
    assert rows["control names"][2] in ("70 names", "199 names")
    found = words.simulated()
    row = found[(found["study"] == "one artist") & (found["case"] == "20") & (found["test"] == "0.5")].iloc[0]
    assert rows["other artists with works"][4] == f"{100 * row['value']:.1f} ± {100 * row['error']:.1f} %"


def test_a_name_passes_by_mistake_as_often_as_its_place_among_the_names_allows() -> None:
    steers = words.wrongly_found(one()).rows[0]
    assert steers[2] == "at most 1.0 %"
    assert words.wrongly_found(one(names=Range(49, 49, 49), level=0.02)).rows[0][2] == "at most 2.0 %"


def test_a_design_that_was_not_simulated_and_a_test_that_did_not_run_say_so() -> None:
    assert words.wrongly_found(one(alpha=0.2)).rows[1][2] == "not simulated"
    few = words.wrongly_found(one(others=4)).rows[1]
    assert "5 other artists" in few[3]
    nothing = one(names=None, level=None, by_own_cell=0, reassigned=None, works=None, images=None)
    assert words.wrongly_found(nothing).rows == []
    assert words.missed(nothing).rows == []
    alone = words.wrongly_found(one(by_own_cell=0, by_name_test=1)).rows
    assert any("name test" in row[0] for row in alone)


def test_the_largest_level_of_any_artist_stands_beside_the_step_and_this_audits_own_numbers_beside_the_simulated() -> (
    None
):
    several = one(names=Range(60, 199, 199), level=1 / 61, others=2, by_own_cell=0, by_name_test=10)
    assert words.wrongly_found(several).rows[0][2] == "at most 1.6 %"
    assert words.missed(several).rows[0][:3] == ("other artists with works", "2", "0")


def test_the_power_of_one_artist_is_not_promised_to_a_list() -> None:
    assert "adjusted over all artists" in words.missed(one(artists=10)).caption
    assert "adjusted over all artists" not in words.missed(one(artists=1)).caption


def test_mistakes_among_the_found_are_told_for_the_worst_worlds_too() -> None:
    """By Bayes' rule. If unknown names that pass also match, many of the found are false, and the page must not keep it to itself."""
    found = words.simulated()
    both = found[(found["study"] == "both") & (found["case"] == words.NEAR) & (found["figure"] == "pass and match")]
    near = float(both["value"].iloc[0])
    assert near > 2 * words.NAME_LEVEL * words.ALPHA
    for share, independent, labels_near, every in words.false_among_found(found):
        power = (1 - share) * words.NAME_LEVEL * words.ALPHA * (1 / independent - 1) / share
        assert 0 < power <= 1
        assert labels_near == pytest.approx((1 - share) * near / ((1 - share) * near + share * power))
        assert independent < labels_near
        assert independent < every
    assert [len(row) for row in words.base_rates().rows] == [4] * 5


@pytest.mark.parametrize("encoder", ["sim-clip", "sim-vision"])
def test_the_page_has_the_facts_of_the_audit(simulated: Workspace, tmp_path: Path, encoder: str) -> None:
    with read.opened(simulated.database) as connection:
        results = ModelResults(connection, "paper_2023", MODELS[0], encoder)
        found = design(connection, "paper_2023", MODELS[0], encoder)
        page = write_reliability(results, tmp_path)
    text = " ".join(parsed(page.read_text()).text.split())
    assert found.artists == 20
    assert found.others == 23
    assert (found.names is None) == (encoder == "sim-vision")
    assert f"would have called {found.seen} of {found.seen_tested} artists imitated" in text
    assert "It is no legal advice." in text
    assert simulated.protocol.measurement_hash in text
    order = [
        "Can the method be tested",
        "known rate of error",
        "standards and controls",
        "literature say",
        "Draft certification",
    ]
    places = [text.rindex(words_of) for words_of in order]
    assert places == sorted(places)
