"""The matrix of matching, from tables of works and images: which works count, which names have a column, and why one has none."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit_assets.config import INDIRECT, OTHER
from audit_assets.measurement.effect_sizes import auc_intervals
from audit_assets.measurement.matching import cosine_distances, rank_sums
from audit_assets.measurement.own_cell import own_cell_in_strata
from audit_assets.results.beside_names import _counted
from audit_assets.results.matched import Matched, Works, of_tables
from audit_assets.results.matching import _ARTISTS_AT_ONCE, _ranked, _supplied
from audit_assets.results.own_cells import reassignments
from audit_assets.results.specification import deciding_p
from audit_assets.roster.strata import strata_of

ARTISTS, NAMES, D = 8, 12, 24


def pictures(rng: np.random.Generator, n: int) -> list[bytes]:
    return [rng.integers(0, 255, 768, dtype=np.uint8).tobytes() for _ in range(n)]


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def people() -> pd.DataFrame:
    names = [f"Artist {i}" for i in range(ARTISTS)] + [f"Name {i}" for i in range(NAMES)] + ["Artist Name"]
    kinds = ["artist"] * 2 + ["background"] * (ARTISTS - 2) + ["random_name"] * (NAMES + 1)
    return pd.DataFrame(
        {
            "subject": [n.lower().replace(" ", "-") for n in names], "name": names, "kind": kinds, "locale": "", "peers": "",
            "shares_name_parts": [None] * ARTISTS + [False] * NAMES + [True],
        }
    )  # fmt: skip


@pytest.fixture
def tables() -> tuple[Works, pd.DataFrame, pd.DataFrame]:
    """Six works of each artist, six images of each prompted name; the first artist is imitated."""
    rng, subjects = np.random.default_rng(4), people()
    hands = rng.normal(size=(ARTISTS, D))
    artist = np.repeat(np.arange(ARTISTS), 6)
    rows = pd.DataFrame(
        {
            "subject": subjects["subject"][:ARTISTS].repeat(6).to_list(), "work": np.tile(np.arange(6), ARTISTS), "series": None,
            "image_sha256": [f"work {i}" for i in range(len(artist))], "picture": pictures(rng, len(artist)),
        }
    )  # fmt: skip
    works = Works(
        rows, unit(hands[artist] + rng.normal(size=(len(artist), D))), rows["subject"].unique().tolist(), artist
    )
    prompted = subjects.loc[subjects["kind"] != "background", "subject"].to_list()
    centres = rng.normal(size=(len(prompted), D))
    centres[0] = hands[0]
    name = np.repeat(np.arange(len(prompted)), 6)
    images = pd.DataFrame(
        {
            "subject": np.repeat(prompted, 6), "template": 0, "trial": np.tile(np.arange(6), len(prompted)), "status": "ok",
            "image_sha256": [f"image {i}" for i in range(len(name))], "picture": pictures(rng, len(name)),
            "embedding": list(unit(centres[name] + rng.normal(size=(len(name), D)))), "copy_of": None,
        }
    )  # fmt: skip
    return works, images, subjects


def cell(table: pd.DataFrame, row: int, column: str) -> Any:
    return table[column].tolist()[row]


def put(table: pd.DataFrame, row: int, column: str, value: Any) -> None:
    values: list[Any] = table[column].tolist()
    values[row] = value
    table[column] = values


def made_by_the_model(works: Works, work: int, images: pd.DataFrame, image: int) -> None:
    for column in ("image_sha256", "picture"):
        put(works.rows, work, column, cell(images, image, column))
    works.embeddings[work] = cell(images, image, "embedding")


def found(works: Works, images: pd.DataFrame, subjects: pd.DataFrame) -> Matched:
    matched = of_tables(works, images, subjects)
    assert matched is not None
    return matched


def test_every_artist_with_works_is_a_row_and_a_recombined_name_no_column(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame],
) -> None:
    one = found(*tables)
    assert one.cells.similarity.shape == (ARTISTS, 2 + NAMES)
    assert one.tested == ["artist-0", "artist-1"]
    assert "artist-name" not in one.names
    assert set(one.column_strata) == {"script Latin"}


def test_works_with_the_same_pixels_count_once_and_near_ones_by_embedding_alone_do_not(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame],
) -> None:
    works, images, subjects = tables
    works.embeddings[1] = works.embeddings[2] = works.embeddings[0]
    put(works.rows, 1, "picture", cell(works.rows, 0, "picture"))
    one = found(works, images, subjects)
    assert one.weights[:3].tolist() == [0.5, 0.5, 1.0]
    assert one.groups[0] == one.groups[1] != one.groups[2]


def test_works_of_one_series_are_one_group_and_keep_their_weight(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame],
) -> None:
    works, images, subjects = tables
    works.rows.loc[[0, 1, 6], "series"] = "views"
    one = found(works, images, subjects)
    assert one.groups[0] == one.groups[1] != one.groups[6]  # another artist's series of the same name is another
    assert set(one.weights) == {1.0}


def test_a_work_that_is_an_image_of_the_model_does_not_count(tables: tuple[Works, pd.DataFrame, pd.DataFrame]) -> None:
    works, images, subjects = tables
    made_by_the_model(works, 3, images, 2)
    one = found(works, images, subjects)
    assert one.weights[3] == 0
    assert one.model_output[3] == 2
    assert (one.weights > 0).sum() == len(one.weights) - 1
    for work in range(6):  # all of the artist's works are the model's
        made_by_the_model(works, work, images, work)
    assert found(works, images, subjects).own.missing[0] == "The artist has no works that count; add works."


def test_a_copy_of_a_work_that_is_an_image_of_the_model_does_not_count_either(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame],
) -> None:
    works, images, subjects = tables
    works.embeddings[1] = works.embeddings[
        0
    ]  # two photographs of one work; the model's image is near to the first alone
    put(works.rows, 1, "picture", cell(works.rows, 0, "picture"))
    assert found(works, images, subjects).weights[:2].tolist() == [0.5, 0.5]
    put(images, 0, "copy_of", "work 0")
    assert found(works, images, subjects).weights[:3].tolist() == [0.0, 0.0, 1.0]


def test_an_artist_whose_every_image_is_blank_has_no_own_cell_and_the_others_have(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame],
) -> None:
    works, images, subjects = tables
    images.loc[images["subject"] == "artist-0", "status"] = "blank"
    one = found(works, images, subjects)
    assert one.own.missing[0].startswith("The name has 0 shown images and needs 5")
    assert one.own.missing[1] == ""
    images["status"] = "blank"
    assert of_tables(works, images, subjects) is None


def test_if_no_work_counts_or_no_name_has_five_images_every_own_cell_says_why(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame],
) -> None:
    works, images, subjects = tables
    few = found(works, images[images["trial"] < 4].reset_index(drop=True), subjects)
    assert few.cells.similarity.shape == (ARTISTS, 0)
    assert all(why.startswith("The name has 4 shown images and needs 5") for why in few.own.missing)
    own = works.rows["subject"] == "artist-0"
    alone = Works(works.rows[own].reset_index(drop=True), works.embeddings[own], ["artist-0"], works.artist[own])
    for work in range(6):
        made_by_the_model(alone, work, images, work)
    none = found(alone, images, subjects[subjects["kind"] != "background"])
    assert none.own.missing == ("The artist has no works that count; add works.",)
    assert np.isnan(list(deciding_p(none, subjects, alpha=0.05).values())).all()


def test_a_stratum_is_the_declared_locale_or_else_the_script() -> None:
    subjects = people()
    subjects.loc[0, "locale"] = "no_NO"
    subjects.loc[[ARTISTS, ARTISTS + 1], "locale"] = ["no_NO", "en_US"]
    subjects.loc[1, "name"] = "Илья Репин"
    strata = strata_of(subjects)
    assert strata["artist-0"] == strata["name-0"] == "locale no_NO"
    assert strata["name-1"] == "script Latin"  # no artist declares en_US
    assert strata["artist-1"] == "script Cyrillic"


def test_images_of_other_prompts_are_neither_matched_nor_compared_with_names() -> None:
    images = pd.DataFrame({"status": "ok", "template": [0, INDIRECT, OTHER, 1]})
    assert _supplied(images)["template"].tolist() == [0, 1]
    trials = pd.DataFrame(
        {
            "label_set": "criteria", "subject": "ada", "template": [0, INDIRECT, OTHER, OTHER], "label_template": [0, 0, 0, OTHER],
            "predicted_label": "ada", "correct": True, "margin": 0.5,
        }
    )  # fmt: skip
    assert _counted(trials)["shown"].tolist() == [1]


def test_a_near_copy_has_no_part_in_the_matrix_and_the_work_that_it_copies_does_not_count(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame],
) -> None:
    works, images, subjects = tables
    plain = of_tables(works, images, subjects)
    images.loc[0, "copy_of"] = "work 3"  # of the same artist
    images.loc[6, "copy_of"] = "work 3"  # an image of the second artist's name
    copied = of_tables(works, images, subjects)
    assert plain is not None
    assert copied is not None
    assert (plain.cells.images[:2] == 6).all()
    assert (copied.cells.images[:2] == 5).all()
    assert copied.model_output[3] == 0
    assert copied.weights[3] == 0
    assert (copied.model_output[6:] == -1).all()


@pytest.mark.parametrize("audited", [False, True])
def test_an_artist_who_repeats_anothers_works_does_not_take_the_name_test_away(
    tables: tuple[Works, pd.DataFrame, pd.DataFrame], audited: bool
) -> None:
    """Five other artists are enough for the own cell. If two of them have the same works, four are left, and the name test decides.

    So it is if both are audited themselves, among names of another script.
    """
    works, images, subjects = tables
    if audited:
        for artist, control in ((4, ARTISTS), (5, ARTISTS + 1)):
            images["subject"] = images["subject"].replace(cell(subjects, control, "subject"), f"artist-{artist}")
            put(subjects, artist, "kind", "artist")
            put(subjects, artist, "name", f"Иван Петров {artist}")
        subjects = subjects.drop(index=[ARTISTS, ARTISTS + 1]).reset_index(drop=True)
    six = np.isin(works.artist, range(6))
    few = Works(works.rows[six].reset_index(drop=True), works.embeddings[six], works.pool[:6], works.artist[six])
    assert not np.isnan(own_cell_p(few, images, subjects))
    again = few.embeddings.copy()
    again[few.artist == 5] = again[few.artist == 4]
    repeated = Works(few.rows, again, few.pool, few.artist)
    assert np.isnan(own_cell_p(repeated, images, subjects))
    p = deciding_p(found(repeated, images, subjects), subjects, alpha=0.5)
    assert not np.isnan(p["artist-0"])


def own_cell_p(works: Works, images: pd.DataFrame, subjects: pd.DataFrame) -> float:
    of = found(works, images, subjects)
    return float(own_cell_in_strata(of.cells.similarity, of.cells.lengths(), of.own, of.column_strata).p_value[0])


def test_ranks_and_auc_of_a_few_artists_at_once_are_those_of_all_at_once() -> None:
    rng, artists = np.random.default_rng(6), 2 * _ARTISTS_AT_ONCE + 3
    artist = rng.permutation(np.r_[np.arange(artists), rng.integers(0, artists, 90)])
    works, made = unit(rng.normal(size=(len(artist), D))), unit(rng.normal(size=(5 * artists, D)))
    of_image = rng.permutation(np.r_[np.repeat(np.arange(artists), 4), np.full(artists, -1)])
    distances = cosine_distances(works, made)
    first = distances[[np.flatnonzero(artist == s)[0] for s in range(artists)]]
    mean = np.stack([distances[artist == s].mean(axis=0) for s in range(artists)])
    wanted = ((first, first, np.arange(artists)), (mean, distances, artist))
    for (ranked, found), (ordered, of_works, of_work) in zip(
        _ranked(works, artist, made, of_image), wanted, strict=True
    ):
        np.testing.assert_array_equal(ranked.sums, rank_sums(ordered, of_image, artists).sums)
        whole = auc_intervals(of_works, of_work, of_image, subjects=artists)
        for one, other in ((found.auc, whole.auc), (found.low, whole.low), (found.high, whole.high)):
            np.testing.assert_allclose(one, other, atol=1e-9)
        assert found.works.tolist() == whole.works.tolist()


def test_works_are_reassigned_until_enough_own_cells_are_tested() -> None:
    assert [reassignments(250 * 500, 250), reassignments(1_400 * 1_400, 700)] == [20, 20]
    assert [reassignments(1_000 * 2_000, 1_000), reassignments(2_500 * 5_000, 2_500)] == [3, 1]
    assert reassignments(5_000 * 5_000, 2) == 3  # thousands of artists with works, of whom two are audited
