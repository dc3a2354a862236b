"""What counts as a real work is counted before the run as the run counts it, and what does not count is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.references.works import reference_works
from audit_assets.roster.pictures import different, left_out, open_work
from audit_assets.warehouse.images import ImageStore


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8))


def sound(folder: Path) -> int:
    for n in range(3):
        picture(n).save(folder / f"{n}.png")
    return 3


def one_picture_in_three_formats(folder: Path) -> int:
    for suffix in ("png", "bmp", "tif"):
        picture(0).save(folder / f"0.{suffix}")
    return 1


def cut_short(folder: Path) -> int:
    sound(folder)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:200])
    return 0


def transparent(folder: Path) -> int:
    """Different files, all of which show nothing once they lie on white."""
    for n in range(4):
        Image.new("RGBA", (64 + n, 64), (n * 30, 0, 0, 0)).save(folder / f"{n}.png")
    return 0


def one_blank_among_sound_ones(folder: Path) -> int:
    Image.new("L", (64, 64), 0).save(folder / "black.png")
    return sound(folder)


@pytest.mark.parametrize(
    "make", [sound, one_picture_in_three_formats, cut_short, transparent, one_blank_among_sound_ones]
)
def test_plan_counts_the_works_that_the_run_has_and_names_the_others(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    own = tmp_path / "ada"
    own.mkdir()
    works = make(own)
    files, refused = sorted(own.iterdir()), dict[str, str]()
    rows = reference_works(files, "ada", ImageStore(tmp_path / "images"), refused)
    assert different(files) == len(rows) == works
    assert sorted(left_out({"ada": files})) == sorted(refused.values())


def test_a_blank_work_is_refused_by_name_and_a_plain_colour_is_not_blank(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "white").save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is blank"):
        open_work(tmp_path / "a.png")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "b.png")
    assert open_work(tmp_path / "b.png").size == (8, 8)


def test_a_file_that_changed_is_counted_anew(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "a.png")
    assert different([tmp_path / "a.png"]) == 1
    Image.new("RGB", (70, 70)).save(tmp_path / "a.png")
    assert different([tmp_path / "a.png"]) == 0
