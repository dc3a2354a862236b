"""A flat download is sorted into artists' folders: what is certain is copied, everything else stays and is named."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.generation.prompt_sheet import file_name
from audit_assets.generation.sorting import copy_all, named, sorted_into
from audit_assets_tests.roster.test_homes import NAMES, audit_of


def save(path: Path, prompt: str | None = None, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    if prompt is not None:
        text.add_text("parameters", f"{prompt}\nSteps: 20, Seed: 7")
    Image.new("RGB", (8, 8), colour).save(path, pnginfo=text)
    return path


@pytest.fixture
def download(tmp_path: Path) -> Path:
    flat = tmp_path / "download"
    save(flat / "1.png", "Artwork from Ada Example")
    save(flat / "2.png", "Artwork from A. Zee")  # an alias
    save(flat / "ben_Artwork_from_Bjorn_Example_0123abcd-0123-4567-89ab-0123456789ab.png")
    save(flat / "ben-sample-04.png")
    save(flat / "5.png", "Ada Example meets Ben Sample")
    save(flat / "6.png", "an elf")
    save(flat / "ada-example.png", "an elf")  # the prompt counts, not the name
    (flat / "notes.txt").write_text("x")
    (flat / ".DS_Store").write_bytes(b"x")
    return flat


def test_each_file_goes_to_the_artist_that_it_names_and_the_others_stay(download: Path, tmp_path: Path) -> None:
    into = tmp_path / "images"
    save(into / "Sample, Ben" / "0.png")
    placed = {one.file.name: one for one in sorted_into(download, into, NAMES)}
    assert placed["1.png"].target == into / "ada-example" / "1.png"
    assert placed["2.png"].target == into / "ada-example" / "2.png"
    assert placed["ben-sample-04.png"].target == into / "Sample, Ben" / "ben-sample-04.png"
    assert next(one for name, one in placed.items() if name.startswith("ben_")).target is not None
    stays = {name: one.why for name, one in placed.items() if one.target is None}
    assert set(stays) == {"5.png", "6.png", "ada-example.png", "notes.txt"}
    assert stays["5.png"] == "names 'Ada Example' and 'Ben Sample' (parameters (web UI))"
    assert stays["6.png"] == "names no subject (parameters (web UI))"
    assert not (into / "ada-example").exists()


def test_copying_overwrites_nothing_and_leaves_the_download(download: Path, tmp_path: Path) -> None:
    into = tmp_path / "images"
    assert copy_all(sorted_into(download, into, NAMES)) == 4
    assert (download / "1.png").exists()
    again = sorted_into(download, into, NAMES)
    assert copy_all(again) == 0
    assert "is there already as" in next(one.why for one in again if one.file.name == "1.png")
    save(into / "ada-example" / "2.png", colour="blue")
    assert "is another file" in next(one.why for one in sorted_into(download, into, NAMES) if one.file.name == "2.png")


def test_a_folder_that_does_not_exist_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        sorted_into(tmp_path / "none", tmp_path, NAMES)


def test_a_name_within_a_longer_name_does_not_count() -> None:
    names = {"ada": ["Ada Example"], "junior": ["Ada Example Junior"]}
    assert named("Artwork from Ada Example Junior", names) == ["junior"]
    assert named("Artwork from Ada Example", names) == ["ada"]
    assert named("Adamant Examples", names) == []


def test_the_names_that_the_prompt_sheet_gives_say_whose_images_these_are(tmp_path: Path) -> None:
    prompts = {"ada-example": ["art by Ada Example", "fjords"], "ben-sample": ["art by Ben Sample", "fjords"]}
    download, into = tmp_path / "download", tmp_path / "images"
    ben, both, unknown = (file_name(0, 0, words) for words in ("art by Ben Sample", "fjords", "art by Ada Other"))
    for name in (f"{ben} (1)", f"ada-example-{ben}", both, f"ada-example-{unknown}"):
        save(download / f"{name}.png")
    save(download / f"{ben}.png", "Artwork from Ada Example")  # the prompt in the file counts, not the name
    placed = {one.file.stem: one for one in sorted_into(download, into, NAMES, prompts)}
    assert placed[f"{ben} (1)"].target == into / "ben-sample" / f"{ben} (1).png"
    assert placed[f"ada-example-{ben}"].target == into / "ben-sample" / f"ada-example-{ben}.png"
    assert placed[f"{ben} (1)"].why == "names 'Ben Sample' (file name of the prompt sheet)"
    assert placed[ben].target == into / "ada-example" / f"{ben}.png"
    stays = {name: one.why for name, one in placed.items() if one.target is None}
    assert stays == {
        both: "names 'Ada Example' and 'Ben Sample' (file name of the prompt sheet)",
        f"ada-example-{unknown}": "names no subject (file name of the prompt sheet)",
    }


def test_a_download_that_follows_the_sheet_is_sorted_as_the_sheet_says(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config, into = small_audit(tmp_path / "audit"), tmp_path / "images"
    asked = CliRunner().invoke(app, ["prompts", "--into", str(tmp_path / "sheet"), "--config", str(config)])
    assert asked.exit_code == 0, asked.output
    sheet = pd.read_csv(tmp_path / "sheet/prompts.csv").drop_duplicates("folder")
    for file in sheet["file"]:
        save(tmp_path / "download" / f"{file}.png")
    command = ["sort", str(tmp_path / "download"), "--into", str(into), "--config", str(config), "--apply"]
    done = CliRunner().invoke(app, command)
    assert f"{len(sheet)} of {len(sheet)} files were copied" in done.output
    assert "…" not in done.output
    assert {(p.parent.name, p.stem) for p in into.rglob("*.png")} == set(
        zip(sheet["folder"], sheet["file"], strict=True)
    )


@given(st.text(max_size=80))
def test_any_text_names_subjects_or_none(text: str) -> None:
    assert set(named(text, NAMES)) <= set(NAMES)


def test_the_command_shows_what_it_would_do_and_copies_only_when_asked(download: Path, tmp_path: Path) -> None:
    (tmp_path / "artists.csv").write_text(
        "name,aliases\nAda Example,A. Zee\nBjörn Example,\nBen Sample,\n", encoding="utf-8"
    )
    config = audit_of(tmp_path, "roster: {artists: artists.csv}\n")
    into = tmp_path / "images"
    command = ["sort", str(download), "--into", str(into), "--config", str(config)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "4 of 8 files would be copied" in shown.output
    assert not into.exists()
    done = CliRunner().invoke(app, [*command, "--apply"])
    assert "4 of 8 files were copied" in done.output
    assert len(list(into.rglob("*.png"))) == 4
