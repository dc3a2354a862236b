"""Works that count once, and works of two artists, are named before the works are read and after."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from audit_assets.references.stage import ReferenceStage
from audit_assets.runs.driver import driver
from audit_assets.runs.remarks import repeated_works, works_left_out


def in_another_format(work: Path, folder: Path) -> Path:
    copy = folder / "zz_copy.bmp"
    Image.open(work).convert("RGB").save(copy)
    return copy


@pytest.mark.long
def test_a_picture_in_another_format_is_named_whoever_has_it(
    small_audit: Callable[..., Path], miniature: Path, tmp_path: Path
) -> None:
    references = shutil.copytree(miniature / "generated" / "references", tmp_path / "references")
    config = small_audit(tmp_path / "audit", references=str(references))
    with driver(config) as d:
        for step in d.roster_steps():
            d.run(step)
        ws = d.ws
    one, other = sorted(ws.referenced()[:2])
    names = ws.names()
    stage = ReferenceStage(ws)
    list(stage.make(ws.referenced()))
    assert (works_left_out(ws), repeated_works(ws)) == ([], [])

    works = ws.works().files
    again = in_another_format(works[one][1], works[one][0].parent)
    theirs = in_another_format(works[one][0], works[other][0].parent)
    blank = works[other][0].parent / "blank.png"
    Image.new("RGB", (32, 32), "white").save(blank)
    before = works_left_out(ws)
    assert [line for line in before if str(again) in line] == [
        f"not a work: {again}: is the same picture as {works[one][1].name!r}; copies count once."
    ]
    assert any(str(blank) in line and "is blank" in line for line in before)
    assert [line for line in before if "share" in line] == [
        f"{names[one][0]} and {names[other][0]} share 1 work; if one is an alias of the other, list it in `aliases` and keep one folder"
    ]
    assert not any(str(theirs) in line for line in before)

    list(stage.make(ws.referenced()))
    after = repeated_works(ws)
    assert after == [line for line in before if str(blank) not in line]  # the run lists it among what is left out
