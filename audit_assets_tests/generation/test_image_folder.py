"""Folders of images that a person saved: what is taken, what is refused and by which name, and what is only said."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from audit_assets.config import OTHER, Protocol
from audit_assets.errors import InputError
from audit_assets.generation.image_folder import check_names, deviations, lacking, supplied_rows
from audit_assets.generation.makers import SuppliedImages
from audit_assets.generation.tables import COLUMNS
from audit_assets.models.pipelines import resolve_folder
from audit_assets.roster.homes import homes
from audit_assets.untrusted.folders import folder_problems
from audit_assets.untrusted.folders import supplied_files as files_in
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.store import Warehouse

PROTOCOL = Protocol(name="p", templates=("art by {name}", "a drawing by {name}"), trials=3)
SEED = 2**63 + 12345
SUBJECTS = pd.DataFrame(
    {"subject": ["ada", "bo", "zed", "rita"], "kind": ["artist", "artist", "artist", "random_name"]}
)


NAMES = {"ada": ["Ada"], "bo": ["Bo Dahl"]}


def supplied_files(folder: Path, subject: str, name: str) -> list[Path]:
    return files_in(homes(folder, {subject: [name]}).own.get(subject, []))


def maker_of(folder: Path, store: Path) -> SuppliedImages:
    return SuppliedImages(
        resolve_folder("closed", folder), PROTOCOL, ImageStore(store), lambda arm: homes(folder, NAMES)
    )


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ada has three images, Bo six."""
    root = tmp_path / "closed"
    for artist, names in (("ada", ("c.png", "a.JPG", "b.webp")), ("Bo Dahl", [f"{n}.png" for n in range(6)])):
        (root / artist).mkdir(parents=True)
        for n, name in enumerate(names):
            picture(n).save(root / artist / name)
    return root


def taken(folder: Path, store: Path, subject: str = "ada", name: str = "Ada") -> pd.DataFrame:
    files = supplied_files(folder, subject, name)
    return supplied_rows(
        files, PROTOCOL, model_version="closed", subject=subject, name=name, store=ImageStore(store / "images")
    )


def test_files_become_trials_in_order_of_name_and_what_is_missing_is_not_supplied(folder: Path, tmp_path: Path) -> None:
    rows = taken(folder, tmp_path)
    assert list(rows) == COLUMNS
    assert rows["file"].dropna().tolist() == ["ada/a.JPG", "ada/b.webp", "ada/c.png"]
    assert rows["status"].tolist() == ["ok"] * 3 + ["not_supplied"] * 3
    assert rows["template"].tolist() == [0] * 3 + [1] * 3
    assert rows["image_sha256"].isna().tolist() == [False] * 3 + [True] * 3
    assert rows[["prompt", "seed", "date"]].isna().all(axis=None)
    kept = ImageStore(tmp_path / "images").get(rows["image_sha256"][2])
    assert np.array_equal(np.asarray(kept), np.asarray(picture(0)))


def test_an_artist_without_a_folder_has_only_rows_that_say_so(folder: Path, tmp_path: Path) -> None:
    rows = taken(folder, tmp_path, "zed", "Zed")
    assert set(rows["status"]) == {"not_supplied"}
    assert len(rows) == 6
    assert rows["problem"].isna().all()


def test_more_images_than_the_protocol_asks_for_are_all_kept(folder: Path, tmp_path: Path) -> None:
    rows = taken(folder, tmp_path, "bo", "Bo Dahl")
    assert rows[rows["status"] == "ok"]["trial"].tolist() == list(range(6))


def test_a_manifest_gives_prompts_templates_dates_and_seeds_to_the_last_digit(folder: Path, tmp_path: Path) -> None:
    (folder / "ada" / "manifest.csv").write_text(
        f"file,prompt,date,seed\nc.png,a drawing by Ada,2026-10-31,{SEED}\na.JPG,something else,,7\n"
    )
    rows = taken(folder, tmp_path)
    drawing = rows[rows["template"] == 1]
    assert drawing["file"].tolist()[0] == "ada/c.png"
    assert drawing["date"].tolist()[0] == "2026-10-31"
    assert rows[rows["template"] == OTHER]["prompt"].tolist() == ["something else"]
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.write("imitations/closed/ada", rows, "x")
    warehouse.write("imitations/closed/zed", taken(folder, tmp_path, "zed", "Zed"), "x")
    kept = warehouse.read_all(["imitations/closed/ada", "imitations/closed/zed"])
    assert kept.loc[kept["file"] == "ada/c.png", "seed"].tolist() == [SEED]
    assert kept["seed"].isna().sum() == len(kept) - 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,seed\nb.webp,-1\n", r"manifest\.csv, row 2, seed: '-1' is no whole number"),
        (f"file,seed\nb.webp,{2**64}\n", "is no whole number below"),
        ("file,seed\nb.webp,²\n", "is no whole number"),
        ("file,date\nb.webp,31.10.2026\n", r"row 2, date: '31\.10\.2026' is no date"),
        ("file\nb.webp\nx.png\n", r"row 3, file: there is no image 'x\.png'"),
        ("file\nb.webp\nb.webp\n", r"row 3, file: 'b\.webp' is given twice"),
        ("name\nb.webp\n", "no column 'file'; the columns are file, prompt, date, seed"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_named_by_row_and_field(
    folder: Path, tmp_path: Path, text: str, problem: str
) -> None:
    (folder / "ada" / "manifest.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        taken(folder, tmp_path)
    (found,) = folder_problems(folder)  # known before any model runs
    assert re.search(problem, found)


def spoil(folder: Path, how: str) -> Path:
    """Spoil Ada's folder; returns the path that the refusal must name."""
    own = folder / "ada"
    file = own / "d.png"
    if how == "huge":
        Image.new("1", (10_000, 10_000)).save(file)
    elif how == "animated":
        picture(1).save(file, save_all=True, append_images=[picture(2)])
    elif how == "cmyk without a profile":
        file = own / "d.jpg"
        Image.new("CMYK", (8, 8)).save(file)
    elif how == "no image":
        file.write_text("<html>")
    elif how == "cut short":
        file = own / "d.jpg"
        buffer = io.BytesIO()
        picture(3).resize((64, 64)).save(buffer, "JPEG")
        file.write_bytes(buffer.getvalue()[:-300])
    elif how == "nested":
        file = own / "more"
        file.mkdir()
        picture(4).save(file / "x.png")
    elif how == "empty":
        for old in own.iterdir():
            old.unlink()
        file = own
    elif how == "link":
        picture(5).save(folder.parent / "elsewhere.png")
        file.symlink_to(folder.parent / "elsewhere.png")
    elif how == "linked folder":
        own.rename(folder.parent / "elsewhere")
        own.symlink_to(folder.parent / "elsewhere", target_is_directory=True)
        file = own
    return file


SPOILT = [
    "huge",
    "animated",
    "cmyk without a profile",
    "no image",
    "cut short",
    "nested",
    "empty",
    "link",
    "linked folder",
]


@pytest.mark.parametrize("how", SPOILT)
def test_what_cannot_be_taken_refuses_its_artist_by_name_and_the_others_go_on(
    folder: Path, tmp_path: Path, how: str
) -> None:
    file = spoil(folder, how)
    with maker_of(folder, tmp_path / "images") as maker:
        ada, bo = maker.make("ada", "Ada"), maker.make("bo", "Bo Dahl")
        before = maker.inputs("ada", "Ada")
    assert set(ada["status"]) == {"not_supplied"}
    assert len(set(ada["problem"])) == 1
    assert ada["problem"][0].startswith(f"{file}: ")
    assert (bo["status"] == "ok").sum() == 6
    found = folder_problems(folder)
    if how == "cut short":  # its header is whole
        assert found == []
    else:
        assert [f.split(": ")[0] for f in found] == [str(file)]
    repaired = folder / "ada"
    if repaired.is_symlink():
        repaired.unlink()
    elif file.is_dir() and file != repaired:
        (file / "x.png").unlink()
        file.rmdir()
    elif file != repaired:
        file.unlink()
    repaired.mkdir(exist_ok=True)
    picture(9).save(repaired / "a.png")
    with maker_of(folder, tmp_path / "images") as maker:
        assert maker.inputs("ada", "Ada") != before
        assert (maker.make("ada", "Ada")["status"] == "ok").any()


def test_another_artists_images_change_nothing_of_this_ones(folder: Path, tmp_path: Path) -> None:
    def inputs() -> str:
        maker = maker_of(folder, tmp_path)
        return maker.inputs("ada", "Ada")

    before = inputs()
    picture(8).save(folder / "Bo Dahl" / "9.png")
    assert inputs() == before
    picture(8).save(folder / "ada" / "9.png")
    assert inputs() != before


@pytest.mark.parametrize("name", ["..", "../closed/ada", "/etc", "a\0b"])
def test_a_hostile_name_is_not_supplied(folder: Path, name: str) -> None:
    assert supplied_files(folder, "nobody", name) == []


@pytest.mark.parametrize(
    ("name", "is_said"),
    [
        ("a foggy harbour at night in the style of ada 3", True),
        ("a_foggy_harbour_at_night_with_boats-ada", True),
        ("ada 0001 final", False),
        ("ada-2024-05-01-seed-42-steps-30-cfg-7.5-v2", False),
        ("3f2a9c1e77b04d5e", False),
        ("夜の港に浮かぶ霧の中の船と灯台", True),
    ],
)
def test_names_of_files_that_may_be_prompts_are_said(folder: Path, tmp_path: Path, name: str, is_said: bool) -> None:
    picture(30).save(folder / "ada" / f"{name}.png")
    said = deviations(taken(folder, tmp_path, "ada", "Ada"), PROTOCOL, SUBJECTS)
    titles = [line for line in said if "may be another prompt" in line]
    assert bool(titles) == is_said
    if is_said:
        assert titles[0].startswith(f"1 of 4 images have names that may be another prompt, such as 'ada/{name}.png'")


def test_what_differs_from_the_protocol_is_said_in_words(folder: Path, tmp_path: Path) -> None:
    tables = [
        taken(folder, tmp_path, s, n) for s, n in (("ada", "Ada"), ("bo", "Bo Dahl"), ("zed", "Z"), ("rita", "R"))
    ]
    said = deviations(pd.concat(tables, ignore_index=True), PROTOCOL, SUBJECTS)
    assert said == [
        "no control name was supplied: the audit cannot show what the model draws for a name that belongs to no artist",
        "2 of 4 subjects were not supplied",
        "ada: 3 images, not 6; not auditable",
        "images that are the same in the folders of ada and bo: 1; give each name the images that were asked for by that name",
        "9 of 9 images have no known seed",
        "9 of 9 images have no known prompt",
    ]


def test_a_folder_that_is_nobodys_is_named(folder: Path) -> None:
    names = {"ada": ["Ada"], "bo-dahl": ["Bo Dahl"], "zed": ["Zed"]}
    assert homes(folder, names).strays == []
    (folder / "Bo Dahl").rename(folder / "Bo Dhal")
    found = homes(folder, names)
    assert [(entry.name, why) for entry, why in found.strays] == [
        ("Bo Dhal", "this folder belongs to no subject; if it is 'Bo Dahl', rename it")
    ]
    check_names(found)
    with pytest.raises(InputError, match="none of its 2 folders, such as 'Bo Dhal', has the name of a subject"):
        check_names(homes(folder, {"zed": ["Zed"]}))


def test_images_as_the_protocol_asks_for_them_differ_in_nothing(folder: Path, tmp_path: Path) -> None:
    own = folder / "ada"
    rows = ["file,prompt,seed"]
    for n in range(6):
        picture(n).save(own / f"{n}.png")
        rows.append(f"{n}.png,{PROTOCOL.prompt(n // 3, 'Ada')},{n}")
    for old in ("a.JPG", "b.webp", "c.png"):
        (own / old).unlink()
    (own / "manifest.csv").write_text("\n".join(rows))
    assert deviations(taken(folder, tmp_path), PROTOCOL, SUBJECTS) == []


def test_a_blank_image_is_kept_and_flagged(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "ada" / "a.JPG")
    rows = taken(folder, tmp_path)
    assert rows["status"].tolist()[:2] == ["blank", "ok"]
    assert json.loads(rows.to_json(orient="records"))[0]["image_sha256"]


def test_images_of_other_prompts_are_counted_apart_and_said(folder: Path, tmp_path: Path) -> None:
    own = folder / "Bo Dahl"
    rows = [f'{n}.png,"portrait of an elf, by Alphonse Mucha",{n}' for n in range(5)]
    (own / "manifest.csv").write_text("\n".join(["file,prompt,seed", *rows, "5.png,art  by Bo Dahl,5"]) + "\n")
    table = taken(folder, tmp_path, "bo", "Bo Dahl")
    images = table[table["image_sha256"].notna()]
    assert images["template"].tolist() == [OTHER] * 5 + [0]
    (said,) = (s for s in deviations(table, PROTOCOL, SUBJECTS) if "prompt" in s)
    assert said.startswith(
        "bo: 5 of 6 images have another prompt than the protocol's (such as 'portrait of an elf, by Al"
    )
    assert "bo: 1 images, not 6; not auditable" in deviations(table, PROTOCOL, SUBJECTS)


def test_copies_of_an_image_count_once_and_are_said(folder: Path, tmp_path: Path) -> None:
    own = folder / "Bo Dahl"
    for n in range(6):
        Image.open(folder / "ada" / "c.png").save(own / f"{n}.png", compress_level=n)
    table = taken(folder, tmp_path, "bo", "Bo Dahl")
    assert (table["status"] == "ok").sum() == 1
    assert (table["status"] == "copy").sum() == 5
    assert table.loc[table["status"] == "copy", "image_sha256"].isna().all()
    assert not table.duplicated(["template", "trial"]).any()
    said = deviations(table, PROTOCOL, SUBJECTS)
    assert "bo: 6 images, 1 different; copies count once" in said
    assert "bo: 1 images, not 6; not auditable" in said


def test_images_that_lie_in_the_folders_of_two_names_are_said(folder: Path, tmp_path: Path) -> None:
    """Ada's three images are three of Bo's six, in other files. A blank image of both says nothing."""
    for name in ("ada", "Bo Dahl"):
        Image.new("RGB", (12, 16)).save(folder / name / "blank.png")
    Image.open(folder / "ada" / "c.png").save(folder / "Bo Dahl" / "again.png")
    picture(77).save(folder / "ada" / "a.JPG", "PNG")
    picture(1).save(folder / "ada" / "b.webp", "PNG")
    tables = [taken(folder, tmp_path, "ada", "Ada"), taken(folder, tmp_path, "bo", "Bo Dahl")]
    said = [s for s in deviations(pd.concat(tables, ignore_index=True), PROTOCOL, SUBJECTS) if "the same" in s]
    assert said == [
        "images that are the same in the folders of ada and bo: 2; give each name the images that were asked for by that name"
    ]
    assert not [s for t in tables for s in deviations(t, PROTOCOL, SUBJECTS) if "the same" in s]


def test_images_of_several_sizes_are_said(folder: Path, tmp_path: Path) -> None:
    def said() -> list[str]:
        return [s for s in deviations(taken(folder, tmp_path), PROTOCOL, SUBJECTS) if "sizes" in s]

    assert said() == []
    picture(9).resize((32, 24)).save(folder / "ada" / "d.png")
    assert said() == [
        "the images have 2 sizes, from 16 x 12 to 32 x 24 pixels; a difference between names may come from it"
    ]


def save(path: Path, seed: int, parameters: str) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", parameters)
    picture(seed).save(path, pnginfo=text)


def test_prompt_seed_and_model_are_read_from_the_files_and_their_origin_is_kept(folder: Path, tmp_path: Path) -> None:
    own = folder / "Bo Dahl"
    for n in range(6):
        asked = "art by Bo Dahl" if n < 3 else "a drawing by Bo Dahl" if n < 5 else "an elf"
        save(own / f"{n}.png", n, f"{asked}\nSteps: 20, Seed: {SEED + n}, Model: my-model")
    table = taken(folder, tmp_path, "bo", "Bo Dahl")
    images = table[table["image_sha256"].notna()]
    assert images["template"].tolist() == [OTHER, 0, 0, 0, 1, 1]
    assert images["seed"].tolist() == [SEED + n for n in (5, 0, 1, 2, 3, 4)]
    assert set(images["origin"]) == {"parameters (web UI)"}
    assert set(images["model"]) == {"my-model"}
    said = deviations(table, PROTOCOL, SUBJECTS)
    assert "6 of 6 images: prompt or seed come from parameters (web UI)" in said
    assert not any("no known" in sentence for sentence in said)


def test_an_image_that_was_made_from_another_image_is_counted_apart_and_said(folder: Path, tmp_path: Path) -> None:
    """It may begin with a work of the artist, so it shows nothing of what the model draws at the name."""
    own = folder / "Bo Dahl"
    for n in range(6):
        from_image = ", Denoising strength: 0.4" if n < 2 else ""
        save(own / f"{n}.png", n, f"art by Bo Dahl\nSteps: 20, Seed: {n}{from_image}, Model: my-model")
    (own / "manifest.csv").write_text("file,prompt,seed\n1.png,art by Bo Dahl,1\n")
    table = taken(folder, tmp_path, "bo", "Bo Dahl")
    images = table[table["image_sha256"].notna()].set_index("file")
    assert images["template"].to_dict() == {f"Bo Dahl/{n}.png": OTHER if n < 2 else 0 for n in range(6)}
    assert (
        images.loc["Bo Dahl/1.png", "origin"]
        == "manifest.csv; counted apart, because it was made also from another image"
    )
    said = deviations(table, PROTOCOL, SUBJECTS)
    assert (
        "bo: 2 of 6 images are counted apart, such as Bo Dahl/0.png: according to its file, it was made also from another image"
        in said
    )
    assert not any("another prompt" in sentence for sentence in said)


def test_words_that_are_not_known_to_be_the_prompt_are_counted_apart_and_said(folder: Path, tmp_path: Path) -> None:
    """A title may be a prompt. It counts if it has the protocol's words, and says nothing if it is the artist's name."""
    own = folder / "Bo Dahl"
    titles = ["art by Bo Dahl", "Dahl, Bo", "Bo Dahl 4", "art by Ada", "a lake", "art by  Bo Dahl\n"]
    for n, title in enumerate(titles):
        text = PngImagePlugin.PngInfo()
        text.add_text("Title", title)
        picture(n).save(own / f"{n}.png", pnginfo=text)
    images = taken(folder, tmp_path, "bo", "Bo Dahl").dropna(subset="image_sha256").set_index("file")
    templates = {f"Bo Dahl/{n}.png": OTHER if n in (3, 4) else 0 for n in range(6)}
    assert images["template"].to_dict() == templates
    assert images["prompt"].notna().to_dict() == {file: file[8] in "05" for file in templates}
    table = taken(folder, tmp_path, "bo", "Bo Dahl")
    said = [sentence for sentence in deviations(table, PROTOCOL, SUBJECTS) if "counted apart" in sentence]
    assert len(said) == 2
    assert said[1].startswith("bo: 1 of 6 images are counted apart, such as Bo Dahl/3.png")
    assert said[1].endswith("prompt: 'art by Ada'; if the prompt is known, name it in manifest.csv")
    (own / "manifest.csv").write_text("file,prompt\n3.png,art by Bo Dahl\n4.png,art by Bo Dahl\n")
    table = taken(folder, tmp_path, "bo", "Bo Dahl")
    assert set(table["template"][table["status"] == "ok"]) == {0}
    assert any("the file says 'a lake'" in sentence for sentence in deviations(table, PROTOCOL, SUBJECTS))


def test_an_artist_whose_images_are_all_counted_apart_was_supplied(folder: Path, tmp_path: Path) -> None:
    for n in range(6):
        save(folder / "Bo Dahl" / f"{n}.png", n, "art by Ada and Bo Dahl")
    said = deviations(taken(folder, tmp_path, "bo", "Bo Dahl"), PROTOCOL, SUBJECTS)
    assert "bo: 0 images, not 6; not auditable" in said
    assert not any("not supplied" in sentence for sentence in said)


def test_a_manifest_counts_and_a_file_that_contradicts_it_is_said(folder: Path, tmp_path: Path) -> None:
    own = folder / "ada"
    for name in ("a.JPG", "b.webp", "c.png"):
        (own / name).unlink()
    for n in range(3):
        save(own / f"{n}.png", n, f"art by Ada\nSteps: 20, Seed: {n}")
    (own / "manifest.csv").write_text(
        "file,prompt,seed\n0.png,art by Ada,0\n1.png,a drawing by Ada,1\n2.png,art by Ada,77\n"
    )
    table = taken(folder, tmp_path)
    images = table[table["image_sha256"].notna()].set_index("file")
    assert images.loc["ada/2.png", "seed"] == 77
    assert images.loc["ada/1.png", "template"] == 1
    assert images.loc["ada/0.png", "origin"] == "manifest.csv"
    said = [sentence for sentence in deviations(table, PROTOCOL, SUBJECTS) if "the file says" in sentence]
    assert [sentence.split(":")[0] for sentence in said] == ["ada/1.png", "ada/2.png"] or len(said) == 2
    assert "seed 2 (parameters (web UI))" in " ".join(said)
    assert "prompt 'art by Ada'" in " ".join(said)


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("ben_art_by_Bo_Dahl", 0),
        ("ben_the_great_a_drawing_by_Bo_Dahl", 1),
        ("ben_an_elf_by_someone", OTHER),
        ("ben_art_by_Bo_Dahl_and_an_elf", OTHER),
    ],
)
def test_a_name_of_midjourney_is_compared_by_its_words(folder: Path, tmp_path: Path, name: str, template: int) -> None:
    own = folder / "Bo Dahl"
    (own / "0.png").rename(own / f"{name}_0123abcd-0123-4567-89ab-0123456789ab.png")
    table = taken(folder, tmp_path, "bo", "Bo Dahl")
    row = table[table["origin"].notna()].iloc[0]
    assert row["template"] == template
    assert row["origin"] == "file name (Midjourney)"


def test_a_plan_is_told_how_much_of_what_is_asked_for_lies_in_the_folder(folder: Path) -> None:
    names = {"ada": ["Ada"], "bo": ["Bo"], "control": ["Some Name"]}
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    asked = {"ada": 2, "bo": 2, "control": 2}
    for subject, number in (("ada", 3), ("bo", 1)):
        (folder / subject).mkdir()
        for n in range(number):
            picture(n).save(folder / subject / f"{n}.png")
    said = lacking(homes(folder, names), asked, {"control"})
    assert "has 3 of 6 images so far: all images of 1 of 2 artists and of 0 of 1 control names" in said
    for subject, first in (("bo", 1), ("control", 0)):
        (folder / subject).mkdir(exist_ok=True)
        for n in range(first, 2):
            picture(n).save(folder / subject / f"{n}.png")
    assert lacking(homes(folder, names), asked, {"control"}) == ""
