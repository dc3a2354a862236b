"""The images of arms: of a folder that an operator supplied, and of a server; kept apart, and asked for once."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from audit_assets.generation.arms import ArmStage
from audit_assets.generation.makers import unread_in_arms
from audit_assets.generation.prompt_sheet import arm_lines
from audit_assets.generation.spending import Spending
from audit_assets.references.stage import ReferenceStage
from audit_assets.roster.spellings import misspelt
from audit_assets.workspace import Workspace
from audit_assets_tests.generation.images_server import KEY, Body, Reply, made, pattern, serving

ARMS = [
    {"name": "misspelt", "way": "misspelt", "templates": ["art by {name}"], "trials": 2, "controls": 1},
    {"name": "translated", "way": "translated", "templates": ["art by {name}"], "trials": 2, "controls": 0},
    {"name": "unprompted", "way": "unprompted", "templates": ["art"], "trials": 3},
]
ASKED = f"art by {misspelt('Ada Brandvold', seed=0)}"


UPLOADED = [
    {"name": "uploaded", "way": "reference_image", "templates": ["a picture like this"], "trials": 2, "works": 2}
]


def workspace(folder: Path, model: dict, arms: list[dict] = ARMS) -> Workspace:
    """An audit of one artist and one control name by one model, before its images."""
    protocol = {"name": "p", "templates": ["art by {name}"], "trials": 2, "arms": arms}
    (folder / "protocol.yaml").write_text(yaml.safe_dump(protocol), encoding="utf-8")
    audit = {
        "protocol": "protocol.yaml", "artist": "Ada Brandvold", "references": "works/", "warehouse": "warehouse/",
        "models": [{"name": "closed", "approved": True, **model}], "encoders": [{"name": "e", "kind": "image_text", "path": "e"}],
    }  # fmt: skip
    (folder / "audit.yaml").write_text(yaml.safe_dump(audit), encoding="utf-8")
    ws = Workspace.open(folder / "audit.yaml", new=True)
    subjects = pd.DataFrame(
        {
            "subject": ["ada-brandvold", "kari-nordmann"], "name": ["Ada Brandvold", "Kari Nordmann"], "kind": ["artist", "random_name"],
            "shares_name_parts": pd.array([None, False], dtype="boolean"), "rosters": [["criteria"], []], "mentions": pd.array([None, None], "Int64"),
            "opted_out": False, "retired": False, "indirect_prompt": "", "locale": "", "peers": "", "prompt_name": "",
            "indirect_prompts": [[], []], "translated": "", "titles": [[], []], "described_as": "",
        }
    )  # fmt: skip
    ws.warehouse.write("subjects", subjects, "test")
    return ws


def saved(folder: Path, number: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(number):
        Image.fromarray(np.random.default_rng(seed + n).integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{n}.png")


@pytest.fixture
def closed(tmp_path: Path) -> Workspace:
    saved(tmp_path / "images" / "Ada Brandvold", 2, 0)
    ws = workspace(tmp_path, {"source": "image_folder", "path": "images", "arms": "arms"})
    saved(tmp_path / "arms" / "misspelt" / "Ada Brandvold", 2, 10)
    saved(tmp_path / "arms" / "unprompted" / "prompt.001", 3, 20)
    saved(tmp_path / "arms" / "mispelled" / "Ada Brandvold", 1, 30)
    return ws


# ---- a folder
def test_the_images_of_an_arm_lie_in_its_own_folder(closed: Workspace) -> None:
    rows = ArmStage(closed).make("closed").groupby(["arm", "subject"])["status"].agg(list).to_dict()
    assert rows["misspelt", "ada-brandvold"] == ["ok", "ok"]
    assert rows["unprompted", "prompt.001"] == ["ok"] * 3
    assert closed.warehouse.inputs("imitations/closed/ada-brandvold") is None


def test_what_was_not_supplied_and_what_cannot_be_asked_say_so(closed: Workspace) -> None:
    stage = ArmStage(closed)
    rows = stage.make("closed").groupby(["arm", "subject"])["problem"].first()
    assert "no image of the arm misspelt was supplied" in rows.to_dict()["misspelt", "kari-nordmann"]
    assert "`translated`" in rows.to_dict()["translated", "ada-brandvold"]
    assert stage.failed("closed") == [
        "arm misspelt: kari-nordmann: no image of the arm misspelt was supplied; `audit-assets prompts` says what to ask and where to save it."
    ]
    assert any("ada-brandvold could not be asked" in line for line in stage.cost("closed"))


def test_images_that_are_added_later_are_taken_by_the_next_run(closed: Workspace, tmp_path: Path) -> None:
    stage = ArmStage(closed)
    stage.make("closed")
    assert stage.done("closed")
    saved(tmp_path / "arms" / "misspelt" / "Kari Nordmann", 2, 40)
    assert not ArmStage(closed).done("closed")
    rows = ArmStage(closed).make("closed")
    assert (rows.loc[rows["subject"] == "kari-nordmann", "status"] == "ok").all()


def test_a_folder_of_no_arm_is_named(closed: Workspace, tmp_path: Path) -> None:
    found = unread_in_arms(closed, "closed", tmp_path / "arms")
    assert [(one.file, one.why) for one in found] == [("arms/mispelled", "no arm of the protocol has this name")]


def test_the_sheet_says_where_each_image_of_an_arm_is_saved(closed: Workspace) -> None:
    found = arm_lines(closed.asked_in_arms("closed"), closed.protocol)
    assert len(found) == 2 + 2 + 3  # misspelt: the artist and one control name; nothing is translated; unprompted
    assert {line.folder for line in found} == {
        "misspelt/ada-brandvold",
        "misspelt/kari-nordmann",
        "unprompted/prompt.001",
    }
    assert {line.prompt for line in found if line.folder == "misspelt/ada-brandvold"} == {ASKED}


# ---- a server
@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    from audit_assets.generation import images_api

    monkeypatch.setattr(images_api, "FIRST_WAIT", 0.01)


def served(
    folder: Path, monkeypatch: pytest.MonkeyPatch, address: str, arms: list[dict] = ARMS, **api: object
) -> Workspace:
    monkeypatch.setenv("AUDIT_API_ADDRESS", address)
    monkeypatch.setenv("AUDIT_API_KEY", KEY)
    return workspace(folder, {"source": "api", "model": "tiny", "api": {"retries": 0, "timeout": 5, **api}}, arms)


def drawn(body: Body, number: int) -> Body:
    return made(pattern(f"{body['prompt']} {number}"))


@pytest.mark.usefixtures("_soon")
def test_a_server_is_asked_once_for_each_image_of_an_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(drawn) as server:
        ws = served(tmp_path, monkeypatch, server.address)
        rows = ArmStage(ws).make("closed")
        again = ArmStage(ws).make("closed")
    prompts = [body["prompt"] for body in server.asked]
    assert len(prompts) == 7
    assert prompts.count(ASKED) == 2
    assert prompts.count("art") == 3
    pd.testing.assert_frame_equal(rows, again)
    assert (
        len(list((tmp_path / "warehouse" / "api_kept" / "closed" / "ada-brandvold" / "misspelt").glob("*.parquet")))
        == 2
    )


@pytest.mark.usefixtures("_soon")
def test_a_cap_stops_the_arms_and_not_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(drawn) as server:
        ws = served(tmp_path, monkeypatch, server.address, maximum_images=3)
        rows = ArmStage(ws).make("closed")
        assert Spending(ws.warehouse, "closed", ws.audit.model("closed").asked).forecast(0)
    assert len(server.asked) == 3
    assert rows["problem"].dropna().str.contains("maximum_images|cap").any()
    assert ws.left_out() == {}
    assert not ArmStage(ws).done("closed")


# ---- a work of the artist, and no name
def with_works(ws: Workspace, folder: Path, number: int, read: bool = True) -> Workspace:
    saved(folder / "works", number, 70)
    if read:
        list(ReferenceStage(ws).make(["ada-brandvold"]))
    return ws


def test_before_the_works_are_read_the_number_of_images_is_known_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(drawn) as server:
        ws = with_works(served(tmp_path, monkeypatch, server.address, UPLOADED, edits=True), tmp_path, 5, read=False)
        assert ArmStage(ws).asked("closed") == {"uploaded": 2 * 2}
        rows = ArmStage(ws).make("closed")
    assert server.asked == []
    assert rows["problem"].str.contains("are not read yet").all()
    assert not ArmStage(ws).done("closed")


@pytest.mark.usefixtures("_soon")
def test_a_server_is_given_the_first_works_and_they_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(drawn) as server:
        ws = with_works(served(tmp_path, monkeypatch, server.address, UPLOADED, edits=True), tmp_path, 5)
        rows = ArmStage(ws).make("closed")
        pd.testing.assert_frame_equal(rows, ArmStage(ws).make("closed"))
    works = ws.warehouse.read("reference_works/ada-brandvold")["image_sha256"].tolist()
    assert rows["upload_sha256"].tolist() == [works[0], works[0], works[1], works[1]]
    assert rows["status"].tolist() == ["ok"] * 4
    assert len(server.asked) == 4  # and not again
    for body in server.asked:
        assert (body["path"], body["prompt"], body["model"], body["n"]) == (
            "/v1/images/edits",
            "a picture like this",
            "tiny",
            "1",
        )
    assert {hashlib.sha256(body["image"]).hexdigest() for body in server.asked} == set(works[:2])
    assert set(server.authorized) == {f"Bearer {KEY}"}


def test_a_model_that_takes_no_pictures_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(drawn) as server:
        ws = with_works(served(tmp_path, monkeypatch, server.address, UPLOADED), tmp_path, 5)
        stage = ArmStage(ws)
        rows = stage.make("closed")
    assert server.asked == []
    assert stage.asked("closed") == {"uploaded": 0}
    assert rows["problem"].str.startswith("this model takes no pictures").all()
    assert rows["prompt"].isna().all()
    assert stage.done("closed")
    assert any(
        "ada-brandvold could not be asked: this model takes no pictures" in line for line in stage.cost("closed")
    )


@pytest.mark.usefixtures("_soon")
def test_a_server_without_the_endpoint_says_what_to_correct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda body, number: Reply({}, 404)) as server:
        ws = with_works(served(tmp_path, monkeypatch, server.address, UPLOADED, edits=True), tmp_path, 5)
        rows = ArmStage(ws).make("closed")
    assert rows["problem"].str.contains("delete `api.edits`").all()


def test_an_artist_with_few_works_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(drawn) as server:
        ws = with_works(served(tmp_path, monkeypatch, server.address, UPLOADED, edits=True), tmp_path, 4)
        rows = ArmStage(ws).make("closed")
    assert rows["problem"].str.contains("4 real works; .* add 1 works").all()


def test_images_that_a_person_saved_do_not_say_which_work_was_given(tmp_path: Path) -> None:
    ws = workspace(tmp_path, {"source": "image_folder", "path": "images", "arms": "arms"}, UPLOADED)
    saved(tmp_path / "images" / "Ada Brandvold", 2, 0)
    saved(tmp_path / "arms" / "uploaded" / "Ada Brandvold", 2, 10)
    with_works(ws, tmp_path, 5)
    assert arm_lines(ws.asked_in_arms("closed"), ws.protocol) == []
    rows = ArmStage(ws).make("closed")
    assert rows["problem"].str.contains("do not say which work").all()
