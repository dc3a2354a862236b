"""A collection by hand: what the sheet asks for, and how the folder that it leads to is read."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.config import Protocol
from audit_assets.errors import InputError
from audit_assets.generation.image_folder import deviations, supplied_rows
from audit_assets.generation.prompt_sheet import ORIGIN, answered, file_name, lines
from audit_assets.publication.pages.prompts import prompts_page
from audit_assets.warehouse.images import ImageStore
from audit_assets_tests.generation.images_server import pattern

PROTOCOL = Protocol(name="two", templates=("art by {name}", "a drawing by {name}"), trials=5, indirect=True)
PROMPTED = {
    "ada-brandvold": ("Ada Brandvold", "winter fjords"),
    "ola-name": ("Ola Name", ""),
    "uma-name": ("Uma Name", ""),
}

ADA = {"model_version": "closed", "subject": "ada-brandvold", "name": "Ada Brandvold", "indirect": "winter fjords"}


def test_every_image_of_the_protocol_is_asked_for_once_and_each_round_has_one_of_every_prompt() -> None:
    found = lines(PROMPTED, PROTOCOL)
    assert len(found) == len({(one.folder, one.file) for one in found}) == 5 * (3 + 2 + 2)
    assert [one.number for one in found] == list(range(1, 36))
    for start in range(0, 35, 7):
        assert Counter(one.prompt for one in found[start : start + 7]) == Counter(
            prompt for names in PROMPTED.values() for prompt, _ in PROTOCOL.wordings(*names).values()
        )
    assert len({tuple(one.prompt for one in found[start : start + 7]) for start in range(0, 35, 7)}) > 1
    assert found == lines(PROMPTED, PROTOCOL)


def saved(root: Path, subject: str, suffix: str = ".png") -> list[Path]:
    folder = root / subject
    folder.mkdir(parents=True)
    for one in lines(PROMPTED, PROTOCOL):
        if one.folder == subject:
            pattern(one.file).save(folder / f"{one.file}{suffix}")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".jpg", " (1).webp"])
def test_a_folder_that_follows_the_sheet_is_taken_as_it_is(suffix: str, tmp_path: Path) -> None:
    files = saved(tmp_path, "ada-brandvold", suffix)
    table = supplied_rows(files, PROTOCOL, store=ImageStore(tmp_path / "images"), **ADA)
    assert table["status"].tolist() == ["ok"] * 15
    assert table.groupby("template")["prompt"].unique().map(list).to_dict() == {
        t: [prompt] for t, (prompt, _) in PROTOCOL.wordings(*PROMPTED["ada-brandvold"]).items()
    }
    assert set(table["origin"]) == {ORIGIN}
    subjects = pd.DataFrame({"subject": ["ada-brandvold"], "kind": ["artist"]})
    assert any("file name of the prompt sheet" in said for said in deviations(table, PROTOCOL, subjects))
    assert not any("another prompt" in said for said in deviations(table, PROTOCOL, subjects))


def test_an_image_in_the_folder_of_another_artist_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path, "ada-brandvold")
    stray = saved(tmp_path, "ola-name")[0]
    files = [*sorted((tmp_path / "ada-brandvold").iterdir()), stray]
    with pytest.raises(InputError, match=rf"{stray.name}.*move it to its own folder"):
        supplied_rows(files, PROTOCOL, store=ImageStore(tmp_path / "images"), **ADA)


def test_a_known_prompt_counts_and_a_name_of_the_sheet_that_contradicts_it_is_said(tmp_path: Path) -> None:
    files = saved(tmp_path, "ada-brandvold")
    first, second = PROTOCOL.prompt(0, "Ada  Brandvold"), PROTOCOL.prompt(1, "Ada Brandvold")
    rows = [f"{file.name},{first}" for file in files if file.name.startswith("prompt-1-")]
    wrong = next(file.name for file in files if file.name.startswith("prompt-described-"))
    (tmp_path / "ada-brandvold/manifest.csv").write_text("\n".join(["file,prompt", *rows, f"{wrong},{second}"]))
    table = supplied_rows(files, PROTOCOL, store=ImageStore(tmp_path / "images"), **ADA).set_index("file")
    said = table["origin"].str.contains("the file says another prompt")
    assert table.index[said].tolist() == [f"ada-brandvold/{wrong}"]
    assert table.loc[f"ada-brandvold/{wrong}", "template"] == 1
    subjects = pd.DataFrame({"subject": ["ada-brandvold"], "kind": ["artist"]})
    (line,) = (s for s in deviations(table.reset_index(), PROTOCOL, subjects) if "the file says" in s)
    assert line.startswith(
        f"ada-brandvold/{wrong}: manifest.csv; the file says another prompt (file name of the prompt"
    )


@given(st.text(max_size=30))
def test_other_names_of_files_say_nothing(stem: str) -> None:
    assert answered(stem, ["art by Ada"]) is None


@given(st.text(max_size=50), st.integers(-1, 20), st.integers(0, 999))
def test_a_name_of_the_sheet_says_its_prompt(prompt: str, template: int, trial: int) -> None:
    prompt = prompt.encode("utf-8", "replace").decode()
    assert answered(file_name(template, trial, prompt), ["another", prompt]) == prompt


def test_the_page_escapes_what_it_prints() -> None:
    page = prompts_page(lines({"x": ("<script>alert(1)</script>", "")}, PROTOCOL), "two", "images")
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 10


@pytest.mark.long
def test_the_sheet_of_a_model_has_the_words_that_it_was_taught(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config = small_audit(tmp_path / "audit")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["models"][0]["prompt_name"] = "{name}, sks style"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")

    def prompts(*more: str) -> list[str]:
        asked = ["prompts", "--into", str(tmp_path / "sheet"), "--config", str(config), *more]
        assert CliRunner().invoke(app, asked).exit_code == 0
        return list(pd.read_csv(tmp_path / "sheet/prompts.csv")["prompt"])

    plain, taught = prompts(), prompts("--model", content["models"][0]["name"])
    assert plain
    assert not any("sks style" in prompt for prompt in plain)
    assert all("sks style" in prompt for prompt in taught)
    unknown = ["prompts", "--into", str(tmp_path / "other"), "--config", str(config), "--model", "gone"]
    assert CliRunner().invoke(app, unknown).exit_code != 0
    assert not (tmp_path / "other").exists()


@pytest.mark.long
def test_the_command_writes_both_sheets(small_audit: Callable[..., Path], tmp_path: Path) -> None:
    config = small_audit(tmp_path / "audit")
    found = CliRunner().invoke(app, ["prompts", "--into", str(tmp_path / "sheet"), "--config", str(config)])
    assert found.exit_code == 0, found.output
    table = pd.read_csv(tmp_path / "sheet/prompts.csv")
    assert list(table.columns) == ["number", "prompt", "folder", "file"]
    assert f"{len(table)} images to ask for" in found.output
    page = (tmp_path / "sheet/prompts.html").read_text(encoding="utf-8")
    assert all(f"<code>{file}</code>" in page for file in table["file"])
