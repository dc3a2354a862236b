"""An audit of one artist, end to end with the miniature's model: a name, a folder of works, a model, an encoder."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive

PROTOCOL = "name: one\ntemplates: ['Artwork from {name}']\ntrials: 5\n"
"""Five images are the fewest with which an artist can have another verdict than `not auditable`."""
TRAINED, UNTRAINED, INVENTED = "Mara Ulvang", "Olga Ulvang", "Somebody Else"


@pytest.fixture(scope="module")
def audit_of(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the audit of one artist: `works` of the slug are the artist's, `others` more artists are the background.

    The audits have the same control names. Each starts with the warehouse of the one before, and so draws its own artist alone.
    """
    audits: list[Path] = []

    def write(name: str, *, works: str, others: int = 0, **changes: object) -> Path:
        folder = tmp_path_factory.mktemp("one")
        if audits:
            shutil.copytree(audits[-1] / "warehouse", folder / "warehouse")
        audits.append(folder)
        references = miniature / "generated" / "references"
        shutil.copytree(references / works, folder / "works")
        content: dict[str, object] = {
            "protocol": "protocol.yaml",
            "artist": name,
            "references": "works/",
            "controls": {"random_names": 99, "recombined_names": 5},
            "models": [
                {
                    "name": "miniature-1", "source": "diffusers", "path": str(miniature / "models" / "miniature-1"),
                    "approved": True, "settings": {"steps": 15, "guidance": 3.0, "size": 32},
                }
            ],
            "encoders": [{"name": "clip", "kind": "image_text", "path": str(miniature / "encoders" / "clip")}],
        }  # fmt: skip
        if others:
            content["background"] = "others/"
            chosen = [p for p in sorted(references.iterdir()) if p.name != works][-others:]
            for own in chosen:
                shutil.copytree(own, folder / "others" / own.name)
        (folder / "protocol.yaml").write_text(PROTOCOL, encoding="utf-8")
        (folder / "audit.yaml").write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
        return folder / "audit.yaml"

    return write


def verdict(ws: Workspace) -> pd.Series:
    rows = ws.warehouse.read("verdicts/miniature-1")
    return rows[rows["kind"] == "artist"].iloc[0]


@pytest.mark.long
@pytest.mark.parametrize("others", [0, 12])
def test_an_artist_whom_the_model_imitates_is_found_alone(audit_of: Callable[..., Path], others: int) -> None:
    config = audit_of(TRAINED, works="mara-ulvang", others=others)
    planned = CliRunner().invoke(app, ["plan", "--config", str(config)])
    assert planned.exit_code == 0, planned.output
    assert not re.search(r"\bof 1\b", planned.output)
    found = verdict(drive(config))
    seen = "yes" if others else "could not be tested"
    assert (found["verdict"], found["steers"], found["towards"], found["seen"]) == ("imitated", "yes", "yes", seen)
    assert found["test"] == ("own_cell" if others else "name_test")
    assert found["label_set"] == "joint"


@pytest.mark.long
@pytest.mark.parametrize("name", [UNTRAINED, INVENTED])
def test_a_name_that_the_model_never_saw_is_not_imitated_whosever_works_it_is_given(
    audit_of: Callable[..., Path], name: str
) -> None:
    works = "olga-ulvang" if name == UNTRAINED else "mara-ulvang"
    found = verdict(drive(audit_of(name, works=works, others=12)))
    assert found["verdict"] != "imitated"
    assert found["steers"] == "no"


@pytest.mark.long
def test_one_work_and_few_names_are_said_and_settled(audit_of: Callable[..., Path]) -> None:
    config = audit_of(TRAINED, works="mara-ulvang", controls={"random_names": 12, "recombined_names": 0})
    for extra in sorted((config.parent / "works").iterdir())[1:]:
        extra.unlink()
    planned = CliRunner().invoke(app, ["plan", "--config", str(config)]).output
    ws = drive(config)
    answers = ws.warehouse.read("answers/miniature-1").query("kind == 'artist'").set_index("question")
    assert verdict(ws)["verdict"] == "not auditable"
    assert answers.loc["steers", "answer"] == "could not be tested"
    assert "37 more control names" in str(answers.loc["steers", "settle"])
    assert answers.loc["seen", "answer"] == "could not be tested"
    for lacking in ("5 more works", "37 more control names"):
        assert lacking in str(answers.loc["seen", "settle"])
        assert lacking in planned
