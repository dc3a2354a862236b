"""Arms of audits whose truth is known: an arm that works, one that does not, what cannot be told, and a house style."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.hashing import digest
from audit_assets.results.arms import ARMS
from audit_assets.results.comparison import COMPARISON, PER_MODEL
from audit_assets.results.recipe import recomputed
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.world import MODELS, World, simulate

pytestmark = pytest.mark.long

OTHER_WAYS = (
    {"name": "misspelt", "way": "misspelt", "templates": ["Artwork from {name}"], "controls": 60},
    {"name": "titled", "way": "titled", "templates": ["{title}, by {name}"], "controls": 60},
    {"name": "few", "way": "misspelt", "templates": ["Art of {name}"], "controls": 20},
    {"name": "transliterated", "way": "transliterated", "templates": ["Artwork from {name}"], "controls": 60},
    {
        "name": "described",
        "way": "described",
        "templates": ["{name}"],
        "control_words": [f"a view of lake {i}" for i in range(60)],
    },
    {"name": "unprompted", "way": "unprompted", "templates": ["Artwork"], "trials": 200},
)
STRENGTH = {"misspelt": 1.0, "few": 1.0, "described": 1.5}
WORLD = World(
    artists=8, untrained=2, controls=60, works=10, images=10, able=(1.0, 1.4), arms=OTHER_WAYS, strength=STRENGTH
)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory, miniature: Path) -> Workspace:
    return simulate(tmp_path_factory.mktemp("arms"), miniature, WORLD)


@pytest.fixture(scope="module")
def rows(audit: Workspace) -> Callable[..., pd.DataFrame]:
    def of(arm: str, kind: str = "artist", encoder: str = "sim-clip") -> pd.DataFrame:
        table = audit.warehouse.read(f"arm_results/{MODELS[0]}")
        return table[(table["arm"] == arm) & (table["kind"] == kind) & (table["encoder"] == encoder)].set_index(
            "subject"
        )

    return of


def test_the_images_of_an_arm_are_not_embedded_before_all_of_them_exist(audit: Workspace) -> None:
    """A retired version has none of an artist who came later, until a run records that."""
    path = audit.warehouse.path(audit.arm_tables(MODELS[0])[0])
    content = path.read_bytes()
    path.unlink()
    assert not EmbeddingStage(audit).arms_done(MODELS[0])
    path.write_bytes(content)


def test_an_arm_that_brings_the_artists_about_still_works(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("misspelt")
    assert (found["answer"] == "yes").all(), found["reason"].tolist()
    assert (found["share"] > found["control_share"] + 0.5).all()
    assert (found["works_p"] <= 0.05).all()
    assert set(rows("misspelt", "untrained_artist")["answer"]) <= {"no", "could not be tested"}


def test_an_arm_that_does_not_is_a_no_where_the_audit_could_have_seen_it(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("titled")
    assert (found["answer"] == "no").all(), found["reason"].tolist()
    assert found["headline_share"].mean() > 0.8
    assert found["share"].mean() < 0.2


def test_without_other_artists_an_arm_in_which_the_name_is_not_identified_is_a_no(
    tmp_path: Path, miniature: Path
) -> None:
    """The headline is imitated, so its third answer could not be tested: identification alone was tried, and explains a no of identification."""
    world = replace(WORLD, artists=1, untrained=0, recombined=0, arms=OTHER_WAYS[:2])
    ws = simulate(tmp_path, miniature, world)
    verdict = ws.warehouse.read(f"verdicts/{MODELS[0]}").query("encoder == 'sim-clip' and kind == 'artist'").iloc[0]
    assert (verdict["verdict"], verdict["seen"], verdict["test"]) == ("imitated", "could not be tested", "name_test")
    table = ws.warehouse.read(f"arm_results/{MODELS[0]}").query("kind == 'artist'")
    answers = table.set_index(["encoder", "arm"])["answer"].to_dict()
    assert (answers["sim-clip", "misspelt"], answers["sim-clip", "titled"]) == ("yes", "no")
    assert answers["sim-vision", "titled"] == "could not be tested"


def test_too_few_control_names_are_no_answer(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("few")
    assert (found["answer"] == "could not be tested").all()
    assert found["reason"].str.contains("20 control names").all()
    assert (found["settle"] != "").all()
    assert found["settle"].str.contains("29 more control names").all()


def test_a_name_in_ascii_has_no_answer_by_transliteration(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("transliterated")
    assert (found["answer"] == "could not be tested").all()
    assert (found["shown"] == 0).all()
    assert found["reason"].str.contains("nothing changes").all()


def test_a_description_is_compared_with_other_descriptions(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("described")
    asked = found.drop(index=["artist-1", "artist-2"])
    assert (asked["answer"] == "yes").all(), asked["reason"].tolist()
    assert (asked["controls"] >= 60).all()
    assert (asked["control_share"] < 0.1).all()
    assert "No description is given" in found["reason"].to_dict()["artist-1"]
    assert set(rows("described", "untrained_artist")["answer"]) == {"no"}


def test_refused_images_of_an_arm_are_no_evidence_that_it_does_not_work(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("described").loc["artist-2"]
    assert (found["asked"], found["withheld"], found["shown"]) == (5, 5, 0)
    assert found["answer"] == "could not be tested"
    assert "refused 5 of 5" in found["reason"]


def test_an_encoder_without_text_answers_by_the_works_alone(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("misspelt", encoder="sim-vision")
    assert found["identified"].isna().all()
    assert (found["answer"] == "yes").all()


def test_the_tables_of_the_headline_are_those_of_an_audit_without_arms(
    audit: Workspace, tmp_path: Path, miniature: Path
) -> None:
    plain = simulate(tmp_path, miniature, replace(WORLD, arms=(), strength={}))
    assert plain.protocol.generation_hash == audit.protocol.generation_hash
    assert plain.warehouse.read(f"arm_results/{MODELS[0]}").empty
    of_headline = [table for recipe in PER_MODEL if recipe is not ARMS for table in recipe.tables]
    assert {"verdicts", "identification_trials", "matching_by_subject", "image_copies"} <= set(of_headline)
    for model in MODELS:
        for table in of_headline:
            with_arms, without = (hash_of(ws.warehouse.read(f"{table}/{model}")) for ws in (audit, plain))
            assert with_arms == without, f"{table} of {model}"
    for table in COMPARISON.tables:
        assert hash_of(audit.warehouse.read(table)) == hash_of(plain.warehouse.read(table)), table


def hash_of(table: pd.DataFrame) -> str:
    return digest(table.to_json(orient="split", double_precision=15))


def test_figures_that_do_not_follow_are_found(audit: Workspace) -> None:
    model = MODELS[1]
    assert recomputed(audit, ARMS, model) == []
    where = f"arm_results/{model}"
    kept = audit.warehouse.read(where)
    audit.warehouse.write(where, kept.assign(answer="no"), audit.warehouse.inputs(where) or "")
    try:
        assert any(where in problem for problem in recomputed(audit, ARMS, model))
    finally:
        audit.warehouse.write(where, kept, audit.warehouse.inputs(where) or "")


# ---- unprompted leakage
def leaks(ws: Workspace, asked_for: str) -> pd.DataFrame:
    table = ws.warehouse.read(f"unprompted_leakage/{MODELS[0]}")
    return table[table["asked_for"] == asked_for].set_index("subject")


def test_no_artist_is_house_style_of_a_model_that_has_none(audit: Workspace) -> None:
    for asked_for in ("no name", "invented names"):
        found = leaks(audit, asked_for)
        assert "yes" not in set(found["answer"]), found["reason"].tolist()
        # An interval that holds the limit of 5 % is no answer; of ten artists, one may have such a one by chance.
        assert (found["answer"] == "no").sum() >= len(found) - 1, found["reason"].tolist()
        assert (found["images"] >= 200).all()


def test_the_artist_whom_every_prompt_yields_is_found(tmp_path: Path, miniature: Path) -> None:
    ws = simulate(
        tmp_path, miniature, World(artists=8, controls=60, works=10, images=10, house=1.0, arms=OTHER_WAYS[-1:])
    )
    for asked_for in ("no name", "invented names"):
        found = leaks(ws, asked_for)
        assert found.loc["artist-0", "answer"] == "yes", found.loc["artist-0", "reason"]
        assert found["share"].to_dict()["artist-0"] > 0.5 > found["expected"].to_dict()["artist-0"]
        assert not (found.drop(index="artist-0")["answer"] == "yes").any()


def test_without_enough_invented_names_or_an_arm_leakage_is_not_told(tmp_path: Path, miniature: Path) -> None:
    ws = simulate(tmp_path, miniature, World(artists=4, controls=20, works=6, images=5, house=1.0))
    few, none = leaks(ws, "invented names"), leaks(ws, "no name")
    assert (few["answer"] == "could not be tested").all()
    assert few["settle"].str.contains("29 more control names").all()
    assert (none["answer"] == "could not be tested").all()
    assert none["settle"].str.contains("unprompted").all()
