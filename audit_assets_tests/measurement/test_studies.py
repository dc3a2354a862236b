"""The studies behind docs/statistics.md run small, and a broken promise is reported."""

from collections.abc import Iterator
from dataclasses import astuple, fields

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.worlds import World, draw
from benchmarks import further_studies, studies
from benchmarks.simulation import PROMISES, STUDIES, breaches
from benchmarks.studies import Row


def table_of(rows: Iterator[Row]) -> pd.DataFrame:
    return pd.DataFrame([astuple(row) for row in rows], columns=[field.name for field in fields(Row)])


@pytest.mark.parametrize(
    "study", [name for name in STUDIES if name not in {"level", "sizes", "one artist", "names", "both"}]
)
def test_a_study_draws_every_case_and_the_same_one_again(study: str) -> None:
    table = table_of(STUDIES[study](2, 1))
    assert not table.duplicated(["study", "case", "test", "figure"]).any()
    assert table["value"].dropna().between(0, 70).all()
    pd.testing.assert_frame_equal(table, table_of(STUDIES[study](2, 1)))


@pytest.mark.long
def test_the_larger_studies_draw_every_case() -> None:
    for study in ("level", "sizes", "one artist", "names", "both"):
        table = table_of(STUDIES[study](2, 1))
        assert table["value"].dropna().between(0, 1).all()


def promised(value: float, error: float) -> pd.DataFrame:
    rows = [(study, case or "any", test, figure, value, error, 600) for study, case, test, figure, _ in PROMISES]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Row)])


def test_a_rule_that_breaks_its_promise_is_reported() -> None:
    assert breaches(promised(0.0, 0.0)) == []
    assert breaches(promised(0.06, 0.02)) == []
    assert len(breaches(promised(0.06, 0.001))) == len(PROMISES)
    with pytest.raises(ValueError, match="no longer draw what is promised"):
        breaches(promised(0.0, 0.0).iloc[1:])


def test_the_rank_sum_is_drawn_beyond_its_level_and_the_own_cell_within_it() -> None:
    table = table_of(studies.paper(64, 3)).set_index(["case", "test", "figure"])["value"]
    assert table[("0.7", "rank sum", "significant")] > 0.15
    assert table["0.7", "own_cell", "p <= 0.05"] < 0.09


def test_an_artist_alone_is_ranked_among_control_names() -> None:
    p = [
        studies.found_alone(draw(World(background=0, imitated=1, effect=0.8), np.random.default_rng(i)))
        for i in range(8)
    ]
    assert np.mean(np.array(p) <= 0.05) >= 0.75
    assert min(p) >= 1 / 200


def test_an_encoder_that_recognises_works_could_have_seen_an_imitation() -> None:
    blind, sharp = (draw(World(audited=5, background=25, work_alike=a), np.random.default_rng(2)) for a in (0.0, 0.5))
    assert further_studies.recognised(blind) < 0.2
    assert further_studies.recognised(sharp) > 0.9
    assert further_studies.auditable(sharp) == (1.0, 1.0)
    assert further_studies.auditable(blind)[0] < 0.5


def test_the_interval_of_independent_images_is_too_narrow_if_images_are_alike() -> None:
    table = further_studies.coverage([0.5], [0.0, 0.7], subjects=40, images=10, audits=300, seed=1)
    assert table["icc"].tolist() == [0.0, 0.7]
    assert table["clustered"].min() > 0.9
    assert table["independent_images"].iloc[0] > 0.9
    assert table["independent_images"].iloc[1] < 0.7
