"""Pages and headline of simulated audits: three answers, the statement on the roster, one artist, and artists who opted out."""

import re
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from audit_assets.publication.pages.artist import write_artist_page
from audit_assets.publication.pages.index import write_index
from audit_assets.publication.pages.report import write_report
from audit_assets.publication.words import argument, version_tables
from audit_assets.publication.words.headline import paper_comparison
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.test_report import parsed
from audit_assets_tests.publication.world import MODELS, World, picture, simulate


def read_as_text(path: Path) -> str:
    return " ".join(parsed(path.read_text()).text.split())


@pytest.fixture(scope="module")
def alone(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An audit of one artist beside background artists."""
    world = World(artists=1, untrained=0, background=12, works=10, names=("Ana Lima",), able=(1.2, 1.2))
    return simulate(tmp_path_factory.mktemp("alone"), miniature, world)


def test_an_artist_whose_script_has_no_control_names_is_told_what_would_settle_it(
    simulated: Workspace, tmp_path: Path
) -> None:
    text = read_as_text(write_artist_page(simulated.database, "artist-6", picture, tmp_path))
    assert "could not be tested" in text
    assert "No control name of script Han exists." in text
    assert "49 more control names of script Han" in text
    assert "This is not a finding in either direction" in text


def test_the_report_and_the_index_state_how_many_artists_are_imitated_at_least(
    simulated: Workspace, tmp_path: Path
) -> None:
    with duckdb.connect(str(simulated.database), read_only=True) as connection:
        ((at_least, subjects),) = connection.execute(
            "SELECT at_least, subjects FROM roster_findings WHERE kind = 'artist' AND encoder = 'sim-clip' AND model_version = $1",
            [MODELS[0]],
        ).fetchall()
    assert at_least > 10
    said = f"At least {at_least} of {subjects} artists are imitated, with 95 % confidence."
    assert said in read_as_text(write_report(simulated.database, MODELS[0], picture, tmp_path))
    assert said in read_as_text(write_index(simulated.database, tmp_path))


def test_artists_who_opted_out_are_compared_with_the_others_and_no_cause_is_claimed(
    simulated: Workspace, tmp_path: Path
) -> None:
    text = read_as_text(write_index(simulated.database, tmp_path))
    assert re.search(
        r"of the 3 artists who opted out fell by \d+\.\d points compared with that of the 17 artists who did not", text
    )
    assert "moved differently from the others by both measures" in text
    assert "does not prove that opting out is the cause" in text


def test_a_group_that_could_not_be_tested_says_why() -> None:
    row = {
        "model_version": "a", "later_version": "b", "encoder": "clip", "declared_group": "opted_out", "artists": 1, "others": 3,
        "difference": None, "low": None, "high": None, "p_value": None, "moved": None, "reason": "Too few artists.", "settle": "More artists.",
            "not_compared": 0, "others_not_compared": 0,
    }  # fmt: skip
    (said,) = version_tables.groups(pd.DataFrame([{**row, "measure": m} for m in ("share", "log_odds")]))
    assert "it could not be tested whether the artists who opted out moved further" in said
    assert said.endswith("Too few artists. More artists.")


def test_a_trend_that_was_not_tested_says_why() -> None:
    row = {
        "encoder": "clip",
        "kind": "artist",
        "measure": "accuracy",
        "versions": 3,
        "slope": 0.1,
        "p_value": None,
        "reason": "Three versions.",
    }
    assert version_tables.trends(pd.DataFrame([row])).rows[0][-2:] == ("could not be tested", "Three versions.")


def test_an_artist_is_imitated_on_the_page_although_the_gate_says_no(simulated: Workspace, tmp_path: Path) -> None:
    database = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    because = "The name steers the model, towards this artist's works. The positive control matters for negatives only."
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "UPDATE verdicts SET seen = 'no', because = $1 WHERE subject = 'artist-9' AND encoder = 'sim-clip'",
            [because],
        )
        connection.execute(
            "UPDATE answers SET answer = 'no', number = 0.2, reason = 'Two of nine splits.' WHERE question = 'seen' AND subject = 'artist-9'"
        )
    text = read_as_text(write_artist_page(database, "artist-9", picture, tmp_path))
    assert (
        f"{MODELS[0]}: imitated. By this audit, the model {MODELS[0]} imitates Artist 9 when it is asked for Artist 9."
        in text
    )
    assert because in text
    assert "It called the artist imitated in 20 % of these trials, no more than half of them." in text
    assert "found in 20 % of the trials on real works" in text
    assert "Two of nine splits." in text


@pytest.mark.long
def test_confusable_artists_and_copies_stand_on_page_and_report(simulated: Workspace, tmp_path: Path) -> None:
    database = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "INSERT INTO confusable_artists VALUES ('paper_2023', 'sim-clip', 'artist-9', 'artist-10', 0.01, -0.02)"
        )
        connection.execute(
            "INSERT INTO near_copies VALUES ('paper_2023', $1, 'sim-clip', 'works of two artists', 'artist-10', 'ab', 'artist-9', 'cd', 0.99)",
            [MODELS[0]],
        )
    page = read_as_text(write_artist_page(database, "artist-9", picture, tmp_path))
    assert "this artist or Artist 10" in page
    assert "Works of Artist 9 and of Artist 10 are near-identical: 1 pair." in page
    report = read_as_text(write_report(database, MODELS[0], picture, tmp_path))
    assert "Confusable artists" in report
    assert "Near-identical images" in report


def test_an_audit_of_one_artist_speaks_of_the_artist_by_name_and_of_no_roster(alone: Workspace, tmp_path: Path) -> None:
    pages = [
        write_report(alone.database, MODELS[0], picture, tmp_path / "report"),
        write_index(alone.database, tmp_path),
        write_artist_page(alone.database, "Ana Lima", picture, tmp_path / "artists"),
    ]
    texts = [read_as_text(page) for page in pages]
    for text in texts:
        assert not re.search(r"\b1 of 1\b|\bof 1 artist|\b1 / 1\b|\b1 artists\b|these artists|At least \d", text)
    assert "Ana Lima is imitated by name under this protocol." in texts[0]
    assert "Can these models imitate Ana Lima by name?" in texts[1]
    assert f"Ana Lima is imitated by {MODELS[0]} under this protocol" in texts[2]


def test_the_command_lines_table_of_one_artist_has_three_answers_and_counts_no_artists(alone: Workspace) -> None:
    found = paper_comparison(alone.database, MODELS[0]).set_index("measure")["this_audit"]
    assert found["verdict on Ana Lima"] == "imitated"
    assert found["Does the name steer the model?"].startswith("yes (100 %")
    assert found["Could this audit have seen an imitation?"].startswith("yes (found in")
    assert not found.str.contains("1 / 1|of 1").any()


def test_every_figure_about_one_artist_is_among_every_prompted_name(alone: Workspace, tmp_path: Path) -> None:
    with duckdb.connect(str(alone.database), read_only=True) as connection:
        labels, chance, share = connection.execute(
            "SELECT labels, chance, image_accuracy FROM identification_summary WHERE label_set = 'joint' AND kind = 'artist' "
            "AND encoder = 'sim-clip' AND model_version = $1",
            [MODELS[0]],
        ).fetchall()[0]
        works, correct = connection.execute(
            "SELECT count(*), count(*) FILTER (correct) FROM reference_trials WHERE label_set = 'joint' AND subject = 'artist-0' "
            "AND encoder = 'sim-clip'"
        ).fetchall()[0]
    assert labels > 30
    found = paper_comparison(alone.database, MODELS[0]).set_index("measure")["this_audit"]
    assert found["images that chance alone identifies"] == f"{100 * chance:.1f} %"
    assert found["real works of Ana Lima identified"] == f"{correct} / {works} = {100 * correct / works:.1f} %"
    page = write_report(alone.database, MODELS[0], picture, tmp_path).read_text(encoding="utf-8")
    (bars,) = re.findall(r"Bars of images identified: ([^<\"]*)", page)
    assert bars.startswith(f"artist {100 * share:.1f} %; ")
    assert f"; chance {100 * chance:.1f} %. " in bars
    assert "chance: 25" not in page
    assert "evenly spaced from the best" not in page


@pytest.mark.long
def test_one_artist_without_other_artists_is_told_to_add_them(miniature: Path, tmp_path: Path) -> None:
    world = World(artists=1, untrained=0, background=0, works=10, names=("Ana Lima",), able=(1.2, 1.2))
    ws = simulate(tmp_path, miniature, world)
    tests = ws.warehouse.read(f"matching_by_subject/{MODELS[0]}")
    own = tests[(tests["test"] == "own_cell") & (tests["control"] == "none") & (tests["subject"] == "artist-0")]
    assert own["reason"].str.startswith("0 other artists have works; the test needs 5.").all()
    page = read_as_text(write_artist_page(ws.database, "Ana Lima", picture, tmp_path / "artists"))
    assert "add works that differ from theirs" not in page
    assert "images of other artists" not in page
    assert "Right: the most similar" not in page


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("name_test", "than images of other names do."),
        ("own_cell", "than images of other names lie to works of other artists."),
    ],
)
def test_without_other_artists_no_sentence_speaks_of_their_works(test: str, words: str) -> None:
    row = {"p_value": 0.01, "q_value": None, "test": test}
    for answer, start in (("yes", "The images lie nearer"), ("no", "The images do not lie clearly nearer")):
        said = argument._towards({"answer": answer, "number": 0.01}, row, "Ana Lima", 0.05)
        assert said.startswith(f"{start} to the works of Ana Lima {words}")


@pytest.mark.parametrize(
    ("test", "words"),
    [("name_test", "recognised the artist in 89 %"), ("own_cell", "called the artist imitated in 89 %")],
)
def test_without_other_artists_a_perfect_imitator_is_recognised_and_no_more(test: str, words: str) -> None:
    said = argument.could_see({"answer": "yes", "number": 8 / 9}, {"test": test}, "Ana Lima", 0.05)
    assert words in said
    assert ("too few other artists have works" in said) == (test == "name_test")
    assert (argument.MORE_THAN_THE_HAND in said) == (test == "own_cell")
    of_many = argument.counted_answers(["seen"], ["yes"], by_names_alone=test == "name_test")
    assert words.removesuffix(" in 89 %") in of_many[0][2]


@pytest.mark.parametrize(("identified", "said"), [(0, False), (3, True)])
def test_a_label_that_took_no_image_is_not_compared(identified: int, said: bool) -> None:
    row = {"names": 99, "names_reaching": 4.0, "label_reaching": 99.0, "identified": identified, "name_p": 1.0}
    assert ("were taken for this name as often" in argument.beside_names(row)) == said
    assert ("each did at least as well" in argument.beside_names(row)) != said
    assert ("4 were recognised at least as well" in argument.beside_names(row)) == said
