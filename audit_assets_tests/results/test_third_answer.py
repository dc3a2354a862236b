"""Could this audit have seen an imitation? If it cannot be tested, the answer asks for all that lacks, and for nothing else."""

from pathlib import Path

import numpy as np
import pytest

from audit_assets.measurement.answers import UNTESTED
from audit_assets.measurement.design import statements
from audit_assets.publication.pages.artist import write_artist_page
from audit_assets.publication.pages.report import write_report
from audit_assets.results.stage import ResultStage
from audit_assets_tests.publication.test_answers_on_pages import read_as_text
from audit_assets_tests.publication.world import MODELS, World, picture, simulate


@pytest.mark.long
@pytest.mark.parametrize(
    ("works", "names", "others", "lacking"),
    [
        (1, 12, 12, ["5 more works", "37 more control names"]),
        (10, 12, 12, ["37 more control names"]),
        (10, 4, 12, ["45 more control names"]),  # too few to match by, too: one number
        (10, 30, 0, ["19 more control names", "5 more background artists"]),
    ],
)
def test_too_few_works_and_names_are_both_said_by_plan_and_verdict(
    miniature: Path, tmp_path: Path, works: int, names: int, others: int, lacking: list[str]
) -> None:
    world = World(
        artists=1, untrained=0, background=others, works=works, controls=names, recombined=0, images=10, able=(1.2, 1.2)
    )
    ws = simulate(tmp_path, miniature, world)
    design = ResultStage(ws).design((), {"artist-0": works, **dict.fromkeys(ws.referenced(), works)})
    assert design is not None
    planned = next(one for one in statements(design) if "perfect imitator" in one.question)
    rows = ws.warehouse.read(f"answers/{MODELS[0]}").query("subject == 'artist-0' and question == 'seen'")
    decided = rows.set_index("encoder").loc[ws.audit.deciding_encoder.name]
    assert (planned.answer, decided["answer"]) == (UNTESTED, UNTESTED)
    for settle in (planned.settle, str(decided["settle"])):
        assert settle.count(" more ") == len(lacking), settle
        assert all(one in settle for one in lacking), settle
        assert "would settle it" not in settle  # none of several does so alone


@pytest.mark.long
@pytest.mark.parametrize(("shown", "steers"), [(1.2, "yes"), (0.0, "no")])
def test_without_other_artists_plan_verdict_and_pages_speak_of_identification_alone(
    miniature: Path, tmp_path: Path, shown: float, steers: str
) -> None:
    world = World(
        artists=1,
        untrained=0,
        background=0,
        works=10,
        controls=99,
        recombined=0,
        images=10,
        able=(shown, shown),
        names=("Ana Lima",),
    )
    ws = simulate(tmp_path, miniature, world)
    design = ResultStage(ws).design((), {"artist-0": 10})
    assert design is not None
    planned = next(one for one in statements(design) if "perfect imitator" in one.question)
    assert (planned.answer, planned.settle) == ("no", "Works of 5 more background artists.")
    name = ws.audit.deciding_encoder.name
    row, control = (
        ws.warehouse.read(f"{table}/{MODELS[0]}").query("subject == 'artist-0'").set_index("encoder").loc[name]
        for table in ("verdicts", "positive_control")
    )
    answers = ws.warehouse.read(f"answers/{MODELS[0]}").query("subject == 'artist-0' and encoder == @name")
    settle = answers.set_index("question")["settle"]["seen"]
    assert (row["test"], row["steers"]) == ("name_test", steers)
    assert np.isnan(control["p_value"])
    assert (row["seen"], row["verdict"]) == (
        (UNTESTED, "imitated") if steers == "yes" else ("yes", "not shown to be imitated")
    )
    assert ("5 more background artists" in str(settle)) == (steers == "yes")
    for page in (
        write_report(ws.database, MODELS[0], picture, tmp_path / "report"),
        write_artist_page(ws.database, "Ana Lima", picture, tmp_path / "artists"),
    ):
        text = read_as_text(page)
        assert "seen a perfect imitator" not in text
        assert ("would have identified a perfect imitator" in text) == (steers == "no")
