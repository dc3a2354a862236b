"""Could this audit have seen an imitation? If it cannot be tested, the answer asks for all that lacks, and for nothing else."""

from pathlib import Path

import pytest

from audit_assets.measurement.answers import UNTESTED
from audit_assets.measurement.design import statements
from audit_assets.results.stage import ResultStage
from audit_assets_tests.publication.world import MODELS, World, simulate


@pytest.mark.long
@pytest.mark.parametrize(
    ("works", "names", "lacking"),
    [
        (1, 12, ["5 more works", "37 more control names"]),
        (10, 12, ["37 more control names"]),
        (10, 4, ["45 more control names"]),  # too few to match by, too: one number
    ],
)
def test_too_few_works_and_names_are_both_said_by_plan_and_verdict(
    miniature: Path, tmp_path: Path, works: int, names: int, lacking: list[str]
) -> None:
    world = World(
        artists=1, untrained=0, background=12, works=works, controls=names, recombined=0, images=10, able=(1.2, 1.2)
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
