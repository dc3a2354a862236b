"""What a plan promises is what the run delivers, and a plan for one artist speaks of one artist."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.measurement.design import (
    NAME_TEST,
    OWN_CELL,
    Design,
    Statement,
    Stratum,
    can_be_imitated,
    fewest_imitated,
    identification,
    matching,
    smallest_p,
    statements,
)
from audit_assets.measurement.multiplicity import benjamini_hochberg
from audit_assets.measurement.name_controls import UNREAD, beside_names
from audit_assets.measurement.near_copies import Copies
from audit_assets.measurement.own_cell import OwnCell, own_cell_in_strata, own_cells
from audit_assets.measurement.own_cell_companions import Ranks
from audit_assets.measurement.perfect_imitator import halves, perfect_imitator
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.worlds import World, draw
from audit_assets.results.matched import Matched, Works
from audit_assets.results.own_cells import names_in_strata
from audit_assets.results.stage import planned_strata
from audit_assets.results.verdicts import deciding


def one(works: int = 10, names: int = 199, **more: object) -> Design:
    given = {"strata": {"locale it_IT": Stratum((works,), names)}, "background": 20, **more}
    return Design(**given)  # type: ignore[arg-type]


def said(design: Design, words: str) -> Statement:
    return next(s for s in statements(design) if words in s.question)


def test_one_artist_with_works_names_and_background_can_be_answered() -> None:
    design = one()
    found = statements(design)
    assert [s.answer for s in found] == [YES] * 4
    assert smallest_p(design) == 1 / 4200
    assert not any(s.settle for s in found)


@pytest.mark.parametrize("design", [one(), one(0), one(3), one(names=5), one(background=0), one(has_text=False)])
def test_a_plan_for_one_artist_speaks_of_one_artist(design: Design) -> None:
    text = " ".join(s.question + " " + s.sentence + " " + s.settle for s in statements(design))
    for words in ("of 1 ", "1 artists", "each artist", "per artist", "roster", "An artist"):
        assert words not in text


@pytest.mark.parametrize(
    ("design", "question", "answer", "settle"),
    [
        (one(names=2), "steers", UNTESTED, "47 more control names of locale it_IT."),
        (one(names=0), "called imitated", NO, "49 more control names"),
        (one(names=30), "perfect imitator", UNTESTED, "19 more control names of locale it_IT."),
        (one(names=30, has_text=False), "perfect imitator", YES, ""),
        (one(images=3), "steers", UNTESTED, "2 more images per name."),
        (one(images=3), "resemble", UNTESTED, "2 more images per name."),
        (one(images=0), "resemble", UNTESTED, "5 more images per name."),
        (one(has_text=False), "steers", UNTESTED, "An encoder with a text side."),
        (one(has_text=False), "called imitated", YES, ""),
        (one(background=0), "resemble", YES, ""),
        (one(background=0), "called imitated", YES, ""),
        (one(background=0), "perfect imitator", NO, "Works of 5 more background artists."),
        (one(4, background=0), "perfect imitator", UNTESTED, "2 more works. Works of 5 more background artists."),
        (
            one(4, background=0, has_text=False),
            "perfect imitator",
            UNTESTED,
            "2 more works. Works of 5 more background artists.",
        ),
        (one(background=0, names=9, has_text=False), "resemble", UNTESTED, "1 more control names of locale it_IT"),
        (one(background=0, names=12, has_text=False), "resemble", UNTESTED, "7 more control names of locale it_IT."),
        (one(names=9, has_text=False), "resemble", UNTESTED, "1 more control names of locale it_IT."),
        (one(4), "perfect imitator", UNTESTED, "2 more works."),
        (one(5), "perfect imitator", UNTESTED, "1 more work."),
        (one(1, names=12), "perfect imitator", UNTESTED, "5 more works. 37 more control names of locale it_IT."),
        (one(background=3, has_text=False), "perfect imitator", UNTESTED, "Works of 2 more background artists."),
        (one(background=5, has_text=False), "perfect imitator", YES, ""),
        (one(4), "called imitated", YES, ""),
        (one(0), "resemble", UNTESTED, "Works of this artist."),
    ],
)
def test_what_one_artist_lacks_is_stated_with_its_remedy(
    design: Design, question: str, answer: str, settle: str
) -> None:
    found = said(design, question)
    assert found.answer == answer
    assert settle in found.settle


def test_all_that_lacks_is_asked_for_at_once_and_no_number_of_names_twice() -> None:
    """Without other artists, matching needs 19 names, and identification 49."""
    design = one(1, names=12, background=0)
    seen, verdict = (said(design, words) for words in ("perfect imitator", "called imitated"))
    assert seen.settle == "5 more works. 37 more control names of locale it_IT. Works of 5 more background artists."
    assert verdict.settle == "37 more control names of locale it_IT."
    assert said(one(0, background=0), "perfect imitator").settle == "6 more works."


@pytest.mark.parametrize("background", [0, 20])
def test_control_names_of_no_stratum_are_asked_for_without_one(background: int) -> None:
    for stratum, of in (("audit", ""), ("script Latin", " of script Latin")):
        found = statements(one(names=0, background=background, strata={stratum: Stratum((10,), 0)}))
        text = " ".join(f"{s.sentence} {s.settle}" for s in found)
        assert f"0 control names{of} are planned" in text
        assert f"49 more control names{of}." in text
        assert f"0 other names{of} have images" in text
        assert f"10 more control names{of}" in text
        assert "of audit" not in text


def test_works_are_asked_for_only_if_they_lack() -> None:
    enough, few = (said(one(works, names=12), "perfect imitator") for works in (10, 1))
    assert enough.settle == "37 more control names of locale it_IT."
    assert "positive control needs" not in enough.sentence
    assert few.sentence.startswith("The artist has 1 work; the positive control needs 6. A perfect imitator must")


def test_an_artist_without_background_is_matched_by_names_alone_and_the_plan_says_so() -> None:
    found = said(one(background=0), "resemble")
    assert found.sentence == (
        "0 other artists have works, fewer than 5, so the images are ranked among those of 199 control names alone, which cannot "
        "take out names whose images are near to all works; p can be as small as 5.0e-03."
    )


@pytest.mark.parametrize("names", [0, 48, 49, 98, 99, 199])
def test_the_plan_promises_identification_exactly_if_the_run_can_test_it(names: int) -> None:
    plan = said(one(names=names), "steers")
    subjects = pd.DataFrame(
        {"subject": ["a"], "shown": 10, "identified": 10, "stratum": "audit", "labels": 300, "label_kind": "joint"}
    )
    control = pd.DataFrame(
        {"shown": 10, "identified": [0] * names, "locale": None, "script": None, "labels": 300, "label_kind": "joint"}
    )
    run = beside_names(subjects, control).iloc[0]
    assert plan.answer == run["answer"]
    assert plan.settle.split(" ")[0] == str(run["settle"]).split(" ")[0]


def matched_in(world: World, *, fewest_images: int = 5) -> tuple[Matched, pd.DataFrame]:
    """The matrix of a drawn world as the results take it, and its table of subjects."""
    drawn = draw(world, np.random.default_rng([3, world.names]))
    artists = [f"artist {i}" for i in range(world.audited)]
    pool = [*artists, *(f"background {i}" for i in range(world.background))]
    names = [*artists, *(f"name {i}" for i in range(world.names))]
    subjects = pd.DataFrame(
        {"subject": [*artists, *names[world.audited :]], "kind": ["artist"] * world.audited + ["random_name"] * world.names}
    )  # fmt: skip
    cells = similarities(
        drawn.works, drawn.artist, drawn.images, drawn.name, pool=len(pool), names=len(names), fewest_images=fewest_images
    )  # fmt: skip
    rows = pd.DataFrame({"subject": [pool[i] for i in drawn.artist]})
    n = len(drawn.works)
    alone = Copies(np.arange(n), np.zeros((0, 2), np.int64), np.zeros(0))
    own = own_cells(cells, np.arange(world.audited), np.arange(world.audited))
    found = Matched(
        Works(rows, drawn.works, pool, drawn.artist), alone, np.full(n, -1), np.zeros(n), pd.DataFrame(), names, artists,
        ["artist"] * world.audited, cells, own, dict.fromkeys(names, "script Latin"), np.ones(n),
    )  # fmt: skip
    return found, subjects


def decided(found: Matched, subjects: pd.DataFrame) -> tuple[str, float, float]:
    """The test that decides about the first artist, its p and its smallest p, by the functions of the run."""
    cells = found.cells
    ranks: dict[str, OwnCell | Ranks] = {
        "own_cell": own_cell_in_strata(cells.similarity, cells.lengths(), found.own, found.column_strata),
        "name_test": names_in_strata(found, subjects),
    }
    tests = pd.DataFrame(
        [
            {"test": test, "control": "none", "subject": s, "p_value": r.p_value[i], "p_floor": r.p_floor[i], "auc": 0.5,
             "reason": r.reason[i]}
            for test, r in ranks.items()
            for i, s in enumerate(found.tested)
        ]
    )  # fmt: skip
    match = deciding(found, tests)
    return match.test[0], float(match.p[0]), float(match.floor[0])


SIZES = [*product([1, 3], [0, 2, 4, 5, 6], [0, 8, 9, 10, 12, 18, 19, 60]), (8, 0, 3), (8, 0, 2), (12, 0, 0)]


@pytest.mark.parametrize(("audited", "background", "names"), SIZES)
def test_the_plan_names_the_test_that_the_run_decides_by_and_its_smallest_p(
    audited: int, background: int, names: int
) -> None:
    world = World(audited=audited, background=background, names=names, works=6, images=5, dimension=12)
    plan = matching("script Latin", Stratum((6,) * audited, names), rows=audited + background, images=5, alpha=0.05)
    test, p, floor = decided(*matched_in(world))
    testable = not np.isnan(p) and floor <= 0.05
    assert plan.possible == testable
    if testable:
        assert plan.test == test
        assert plan.smallest_p == pytest.approx(floor)


@pytest.mark.parametrize("images", [4, 5])
def test_the_plan_asks_for_as_many_images_as_a_column_needs(images: int) -> None:
    found, subjects = matched_in(World(works=6, images=images, names=30, dimension=12))
    plan = matching("script Latin", Stratum((6,), 30), rows=21, images=images, alpha=0.05)
    missing = bool(found.own.missing[0])
    assert plan.possible == (not missing)
    assert missing == (images < 5)
    assert len(subjects) == 31


@pytest.mark.parametrize("works", [4, 5, 6, 7])
def test_the_plan_asks_for_as_many_works_as_a_perfect_imitator_needs(works: int) -> None:
    world = World(works=10, audited_works=works, names=30, images=5, dimension=12)
    found, _ = matched_in(world)
    split = halves(found.works.artist, [0], images=[5], seed=0)
    run = perfect_imitator(found.cells, found.own, found.works.embeddings, split, needed_p=0.05)
    assert (said(one(works), "perfect imitator").answer == YES) == (not run.reason[0])


def test_whoever_can_be_imitated_by_plan_needs_both_experiments() -> None:
    strata = {"locale ja_JP": Stratum((10, 10, 10), 20), "script Latin": Stratum((10, 10, 10, 0), 199)}
    design = Design(strata=strata, background=30)
    assert can_be_imitated(design) == {"locale ja_JP": False, "script Latin": True}
    assert can_be_imitated(Design(strata=strata, background=30, has_text=False)) == dict.fromkeys(strata, True)
    found = said(design, "each artist be called imitated")
    assert found.answer == NO
    assert found.sentence.startswith("4 of 7 artists cannot: 20 control names of locale ja_JP")
    assert said(design, "without works").answer == UNTESTED
    assert said(design, "perfect imitator").answer == NO
    assert identification("locale ja_JP", strata["locale ja_JP"], images=10)[1].startswith("29 more")


def test_matching_within_strata_is_as_fine_as_its_smallest_matrix() -> None:
    strata = {"locale ja_JP": Stratum((10,) * 3, 9), "script Latin": Stratum((10,) * 4, 199, 2, 1)}
    design = Design(strata=strata, background=30)
    assert smallest_p(design) == 1 / (37 * 12 - 3 + 1)
    latin = matching("script Latin", strata["script Latin"], rows=37, images=10, alpha=0.05)
    assert latin.smallest_p == 1 / (37 * 205 - 5 + 1)


def test_the_fewest_imitated_artists_are_those_that_benjamini_hochberg_lets_through() -> None:
    for artists, names, background, text in (
        (70, 70, 46, True),
        (70, 10, 0, False),
        (2500, 60, 0, False),
        (300, 12, 0, False),
        (4, 60, 0, True),
    ):
        strata = {"audit": Stratum((8,) * artists, names)}
        design = Design(strata=strata, background=background, has_text=text)
        fewest = fewest_imitated(design)
        assert fewest is not None
        for imitated, found in ((fewest, True), (fewest - 1, False)):
            p = np.ones(artists)
            p[:imitated] = smallest_p(design)
            assert bool((benjamini_hochberg(p)[:imitated] <= 0.05).any()) == found


def test_versions_of_a_declared_group_have_their_power_stated() -> None:
    many = Design(strata={"audit": Stratum((10,) * 70, 70)}, background=30, opted_out=10)
    found = said(many, "later version")
    assert (found.answer, "% of audits" in found.sentence) == (YES, True)
    few = said(Design(strata={"audit": Stratum((10,) * 5, 70)}, background=30, opted_out=1), "later version")
    assert (few.answer, few.settle) == (UNTESTED, "15 more artists who did not opt out.")
    halves = said(Design(strata={"audit": Stratum((10,) * 6, 70)}, background=30, opted_out=3), "later version")
    assert (halves.answer, halves.settle) == (UNTESTED, "1 more artist who did not opt out.")
    alone = said(Design(strata={"audit": Stratum((10,) * 20, 70)}, background=30, opted_out=1), "later version")
    assert alone.answer == YES


def test_artists_whose_names_are_not_read_count_in_no_group_of_versions() -> None:
    """The run cannot compare them: of three who opted out two are left, and of 20 others 19."""
    stratum = Stratum((10,) * 23, 70, unread=frozenset({0, 5}))
    found = said(Design({"audit": stratum}, background=30, opted_out=3, opted_out_unread=1), "later version")
    read = said(Design({"audit": Stratum((10,) * 21, 70)}, background=30, opted_out=2), "later version")
    assert found.sentence == f"{read.sentence} 2 artists whose names the encoder does not read cannot be compared."
    nobody = said(
        Design({"audit": Stratum((10,) * 23, 70, unread=frozenset({0}))}, opted_out=1, opted_out_unread=1),
        "later version",
    )
    assert (nobody.answer, nobody.settle) == (UNTESTED, UNREAD[1])
    assert UNREAD[0] in nobody.sentence
    with pytest.raises(ValueError, match="no more opt out"):
        Design({"audit": Stratum((10,) * 23, 70)}, opted_out=1, opted_out_unread=1)


def test_impossible_designs_are_refused() -> None:
    with pytest.raises(ValueError, match="No artist"):
        Design(strata={"audit": Stratum((), 3)})
    with pytest.raises(ValueError, match="0 or more"):
        one(background=-1)
    with pytest.raises(ValueError, match="alpha"):
        one(alpha=0)


def test_the_strata_of_a_plan_are_those_of_the_run() -> None:
    table = pd.DataFrame(
        [
            ("a", "Aiko Mori", "artist", "ja_JP", None), ("b", "Ada Lund", "artist", "", None),
            ("u", "Uma Lund", "untrained_artist", "", None), ("n1", "Ken Abe", "random_name", "ja_JP", False),
            ("n2", "Ole Berg", "random_name", "", False), ("n3", "Ada Mori", "random_name", "", True),
            ("n4", "Olga Petrova", "random_name", "ru_RU", False), ("x", "zqv", "nonsense", "", False),
            ("bg", "Bo Ek", "background", "", None),
        ],
        columns=["subject", "name", "kind", "locale", "shares_name_parts"],
    )  # fmt: skip
    table["rosters"] = pd.Series([["criteria"], ["criteria"], *([] for _ in range(7))])
    silent = planned_strata(
        table, {"a": 3, "u": 7, "bg": 5}, ["a", *table.loc[table["kind"] == "random_name", "subject"]]
    )
    assert [(s.unread, s.compared) for s in silent.values()] == [({0}, 0), (set(), 0)]
    named = planned_strata(table, {"a": 3, "u": 7, "bg": 5})
    assert [(s.names, s.nonsense, s.compared) for s in named.values()] == [(1, 0, 1), (3, 1, 2)]
    found = planned_strata(table, {"a": 3, "u": 7, "bg": 5})
    assert found == {
        "locale ja_JP": Stratum((3,), 1, labels=(1, 1)),
        "script Latin": Stratum((0,), 3, 1, 1, labels=(1, 2), nonsense=1),
    }


def unread(*positions: int, artists: int = 1, names: int = 0) -> Design:
    """Artists with ten works, of whom those at these positions have names that the encoder does not read."""
    stratum = Stratum((10,) * artists, 199, unread=frozenset(positions), unread_names=names)
    return Design({"locale it_IT": stratum}, background=20)


def test_one_artist_whose_name_is_not_read_can_be_matched_and_not_judged() -> None:
    design = unread(0)
    answers = {s.question: s.answer for s in statements(design)}
    assert list(answers.values()) == [UNTESTED, YES, UNTESTED, NO]
    for words in ("steers", "perfect imitator", "called imitated"):
        assert UNREAD[0] in said(design, words).sentence
        assert said(design, words).settle == UNREAD[1]


def test_of_several_artists_those_whose_names_are_not_read_are_counted_apart() -> None:
    design = unread(1, artists=4)
    both = [s for s in statements(design) if "steers" in s.question]
    assert [s.answer for s in both] == [YES, UNTESTED]
    assert "(1 artist whose names the encoder does not read)" in both[1].question
    assert "1 of 4 artists cannot: The encoder reads no word of this name" in said(design, "called imitated").sentence
    seen = said(design, "perfect imitator")
    assert (
        seen.answer,
        "1 of 4 artists have fewer than 6 works, cannot be matched, or cannot be identified" in seen.sentence,
    ) == (NO, True)
    assert said(unread(artists=4), "called imitated").answer == YES


@pytest.mark.parametrize(("works", "asks_for_works"), [(8, False), (4, True)])
def test_works_are_asked_for_only_if_an_artist_has_too_few(works: int, asks_for_works: bool) -> None:
    strata = {"locale it_IT": Stratum((works, 8), 99), "locale ja_JP": Stratum((8,), 20)}
    seen = said(Design(strata, background=20), "perfect imitator")
    assert ("works per artist" in seen.settle) == asks_for_works
    assert "29 more control names of locale ja_JP" in seen.settle


def test_control_names_that_are_not_read_count_for_matching_alone() -> None:
    enough, few = unread(names=150), unread(names=151)
    assert "no control name of 49" in said(enough, "steers").sentence
    assert said(few, "steers").answer == UNTESTED
    assert said(few, "steers").settle == "1 more control names of locale it_IT that the encoder reads."
    assert smallest_p(few) == smallest_p(unread())


def test_the_test_of_many_others_is_the_own_cell() -> None:
    assert matching("audit", Stratum((8,), 10), rows=6, images=5, alpha=0.05).test == OWN_CELL
    assert matching("audit", Stratum((8,), 60), rows=5, images=5, alpha=0.05).test == NAME_TEST
