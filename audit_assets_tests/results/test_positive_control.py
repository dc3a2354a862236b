"""The perfect imitator of an artist, from tables of works and images: it must pass what the artist must pass, and show what it is said to show."""

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES, Answer, Answers, Finding, from_matching, judge
from audit_assets.measurement.discoveries import filtered_bh
from audit_assets.measurement.own_cell_companions import name_test_alone
from audit_assets.measurement.perfect_imitator import halves
from audit_assets.measurement.worlds import World, draw
from audit_assets.results.matched import Matched, Works, of_tables
from audit_assets.results.own_cells import names_in_strata
from audit_assets.results.positive_control import Needed, by_identification, control_rows, imitated_perfectly
from audit_assets.results.verdicts import Matching, _needed, _seen, _seen_without_artists

NAMES, D = 12, 24
FEW_ARTISTS = "0 other artists have works; the test needs 5. 5 more background artists would settle it."


def unit(rows: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=axis, keepdims=True), dtype=np.float32)


def pictures(rng: np.random.Generator, number: int) -> list[bytes]:
    return [rng.integers(0, 255, 768, dtype=np.uint8).tobytes() for _ in range(number)]


def in_copies(copies: int) -> Matched:
    """One artist without others: six works of one hand, the first two in so many copies each. Every name has six images."""
    rng = np.random.default_rng(2)
    members = np.repeat(np.arange(6), [copies, copies, 1, 1, 1, 1])
    hand = rng.normal(size=D)
    six = unit(3 * hand + rng.normal(size=(6, D)))
    images = unit(rng.normal(size=(1 + NAMES, 1, D)) + rng.normal(size=(1 + NAMES, 6, D)), axis=2)
    return one_artist(six, members, images, rng)[0]


def one_artist(
    works: np.ndarray, members: np.ndarray, images: np.ndarray, rng: np.random.Generator
) -> tuple[Matched, pd.DataFrame]:
    """One artist without others, and the table of subjects. ``works`` (w, d), of which ``members`` are given; ``images`` (names, per name, d)."""
    drawn = pictures(rng, len(works))
    rows = pd.DataFrame(
        {
            "subject": "artist", "work": np.arange(len(members)), "series": None,
            "image_sha256": [f"work {i}" for i in members], "picture": [drawn[i] for i in members],
        }
    )  # fmt: skip
    controls, each = len(images) - 1, images.shape[1]
    names = ["artist", *(f"name {i}" for i in range(controls))]
    subjects = pd.DataFrame(
        {
            "subject": names, "name": names, "kind": ["artist"] + ["random_name"] * controls, "locale": "", "peers": "",
            "shares_name_parts": [None] + [False] * controls,
        }
    )  # fmt: skip
    number = len(names) * each
    shown = pd.DataFrame(
        {
            "subject": np.repeat(names, each), "template": 0, "trial": np.tile(np.arange(each), len(names)), "status": "ok", "copy_of": None,
            "image_sha256": [f"image {i}" for i in range(number)], "picture": pictures(rng, number),
            "embedding": list(images.reshape(number, -1).astype(np.float32)),
        }
    )  # fmt: skip
    given = Works(rows, works[members].astype(np.float32), ["artist"], np.zeros(len(members), dtype=np.int64))
    found = of_tables(given, shown, subjects)
    assert found is not None
    return found, subjects


def test_copies_count_once_if_the_name_test_decides_without_other_artists() -> None:
    """Two of six works are identified, in twenty copies each: three of the six stand in, so two of three are identified at most."""
    found = in_copies(20)
    known = np.asarray(found.works.rows["image_sha256"].isin(["work 0", "work 1"]), dtype=np.bool_)
    needed = Needed(np.ones(1), np.full((1, 1), 0.8), known[None], np.full(1, 6), np.ones(1, dtype=np.bool_))
    result = imitated_perfectly(found, needed, seed=1)
    assert (result.independent[0], result.stand_ins[0], result.reason[0]) == (6, 3, FEW_ARTISTS)
    assert result.identified[0, 0] == pytest.approx([1 / 3, 2 / 3][int(result.identified[0, 0] > 0.5)])
    assert result.called[0] == 0


@pytest.mark.parametrize(("fell", "answer", "short"), [(0, "no", (0.0, 0.4)), (6, "yes", (1.0, 0.4))])
def test_an_imitator_must_pass_the_rank_of_the_label_as_the_artist_must(
    fell: int, answer: str, short: tuple[float, float]
) -> None:
    """Every work is identified in the artist's own label set, of which 2 of 10 suffice; in `joint`, 4 of 10 must fall to the label."""
    found = in_copies(1)
    named = pd.DataFrame(
        {"label_set": "criteria", "shown": 10, "needed": 4, "needed_share": 2, "needed_label": 4}, index=["artist"]
    )
    works = pd.DataFrame(
        {
            "label_set": ["criteria"] * 6 + ["joint"] * 6, "subject": "artist", "work": [*range(6), *range(6)],
            "correct": [True] * 6 + [work < fell for work in range(6)],
        }
    )  # fmt: skip
    p = np.full(1, 0.1)
    match = Matching(["name_test"], p, np.zeros(1), p, [""], [FEW_ARTISTS])
    families = {"artist": ([0], filtered_bh(p, np.ones(1, dtype=np.bool_), alpha=0.5))}
    needed = _needed(found, match, families, named, works, pd.DataFrame())
    assert needed.share.tolist() == [[0.2], [0.4]]
    result = imitated_perfectly(found, needed, seed=1)
    said = _seen(result, needed, 0)
    assert said.answer == answer
    assert f"(100 % of the works identified, 20 % needed; {100 * short[0]:.0f} % of them fall to" in said.reason
    row = control_rows(found, needed, result).iloc[0]
    assert (row["identified"], row["needed_share"]) == pytest.approx(short)


def without_others(world: World, seed: int) -> tuple[Matched, pd.DataFrame]:
    """The only artist of a drawn world, who has no others beside."""
    rng = np.random.default_rng([3, seed])
    drawn = draw(world, rng)
    images = drawn.images.reshape(1 + world.names, world.images, -1)
    return one_artist(drawn.works, np.arange(len(drawn.works)), images, rng)


GAP = World(background=0, names=59, work_alike=0.0, gap=0.6)
"""Works share no hand, only what makes them no images of the model: paper, scan, photograph."""


def test_in_a_world_with_a_gap_real_works_match_each_other_although_no_hand_is_seen() -> None:
    """So matching tried on real works says nothing without other artists. It is the world in which that control should fail."""
    called = dict.fromkeys((0.0, 0.6), 0)
    for gap in called:
        for seed in range(10):
            found, _ = without_others(World(background=0, names=59, work_alike=0.0, gap=gap), seed)
            split = halves(found.works.artist, [0], images=[10], seed=1)
            sides = (np.asarray(side @ found.works.embeddings) for side in (split.works, split.images))
            p = [name_test_alone(w, m, found.cells.mean_images[1:]).p_value for w, m in zip(*sides, strict=True)]
            called[gap] += int(np.median(p) <= 0.05)
    assert called[0.6] == 10
    assert called[0.0] <= 2


@pytest.mark.parametrize(
    ("steers", "known", "seen", "word"),
    [
        (YES, 2, UNTESTED, "not auditable"),
        (NO, 2, YES, "not shown to be imitated"),
        (NO, 100, NO, "not auditable"),
        (UNTESTED, 2, UNTESTED, "not auditable"),
        (None, 2, UNTESTED, "not auditable"),
    ],
)
def test_without_other_artists_the_third_answer_is_of_identification_alone(
    steers: Answer | None, known: int, seen: Answer, word: str
) -> None:
    """Every second work is identified, or one in a hundred. Matching of the artist is "no" in this draw."""
    found, subjects = without_others(GAP, seed=0)
    test = names_in_strata(found, subjects)
    towards = from_matching(p=test.p_value[0], q=None, smallest_p=test.p_floor[0])
    assert towards.answer == NO
    identified = np.stack([np.arange(len(found.works.rows)) % known == 1] * 2)
    needed = Needed(
        np.full(1, 0.05),
        np.full((2, 1), 0.1),
        identified if steers else None,
        np.full(1, 10),
        np.ones(1, dtype=np.bool_),
    )
    result = imitated_perfectly(found, needed, seed=1)
    finds = by_identification(control_rows(found, needed, result)).get("artist")
    assert finds == (None if steers is None else known == 2)
    first = (
        None
        if steers is None
        else Finding(steers, "r.", **({"settle": "s."} if steers == UNTESTED else {"number": 0.5}))
    )
    third = _seen_without_artists(first, _seen(result, needed, 0), FEW_ARTISTS, finds)
    judged = judge(Answers(first, towards, third, identified_only=finds is not None))
    assert (third.answer, judged.verdict) == (seen, word)
    assert (
        "5 more background artists" in third.settle
        if seen == UNTESTED
        else "identified as the decision needs" in third.reason
    )
    assert "seen a perfect imitator" not in judged.because
    if steers == NO:
        assert "identified" in judged.because.rpartition("this audit")[2]
