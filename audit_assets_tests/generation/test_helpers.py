"""Processes that draw a small model's cells beside a run: they draw the same images, end with the run, and nothing depends on them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
import yaml

from audit_assets.generation import diffusers_source, helpers
from audit_assets.generation.arms import ArmStage
from audit_assets.generation.helpers import lacking, still_lacking
from audit_assets.generation.makers import AskedModel
from audit_assets.generation.stage import ImitationStage
from audit_assets.warehouse.cells import Cells
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace
from audit_assets_tests.generation.test_arms import workspace
from audit_assets_tests.generation.test_lora import resolved

MODEL = "miniature-1"
PATIENCE = 120


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    found = Cells(Warehouse(tmp_path / "warehouse"), ImageStore(tmp_path / "images"))
    for name in ("made", "older", "written", "edited"):
        found.warehouse.write(f"t/{name}", pd.DataFrame({"image_sha256": pd.Series([], dtype="str")}), f"{name} 1")
    return found


def test_a_helper_draws_what_nobody_has_written_since_and_what_its_own_files_ask_for(cells: Cells) -> None:
    wanted = {
        "t/made": "made 1",
        "t/older": "older 2",
        "t/written": "written 2",
        "t/edited": "edited 2",
        "t/new": "new",
    }
    asked = lacking(cells, wanted)
    assert asked == {
        "t/older": ("older 1", "older 2"),
        "t/written": ("written 1", "written 2"),
        "t/edited": ("edited 1", "edited 2"),
        "t/new": (None, "new"),
    }
    cells.warehouse.write("t/written", cells.warehouse.read("t/written"), "why the model failed")
    now = {**wanted, "t/edited": "edited 3"}
    assert list(still_lacking(cells, asked, now.__getitem__)) == [("t/new", "new"), ("t/older", "older 2")]


@pytest.mark.parametrize(
    ("seconds", "most", "started"), [(30.0, 8, 0), (30.1, 8, 3), (30.1, 1, 1), (30.1, 0, 0), (1e9, 0, 0)]
)
def test_there_are_at_most_three_helpers_and_none_for_a_minute_of_work(
    cells: Cells, monkeypatch: pytest.MonkeyPatch, seconds: float, most: int, started: int
) -> None:
    begun: list[subprocess.Popen[str]] = []

    def start(*about: object) -> subprocess.Popen[str]:
        begun.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE, text=True))
        return begun[-1]

    monkeypatch.setattr(helpers, "_started", start)
    wanted = {"t/made": "made 1", "t/older": "older 2", "t/new": "new"}
    with helpers.Helpers(cells, Path("audit.yaml"), "m", "imitations") as made:
        made.drew(1e9, most, lambda: wanted)
        assert begun == [], "the first cell loads the model"
        made.drew(seconds, most, lambda: wanted)
        made.drew(1e9, most, lambda: wanted)
        assert len(begun) == started
        assert set(made.asked) == ({"t/older", "t/new"} if started else set())
    assert all(process.returncode == 0 for process in begun)


def test_a_helper_that_cannot_start_is_no_error_however_long_the_list(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    wanted = {f"t/{n}": "a" * 64 for n in range(4000)}  # more than a pipe takes
    with helpers.Helpers(cells, tmp_path / "audit.yaml", "m", "imitations") as made:
        for _ in range(2):
            made.drew(1.0, 1, lambda: wanted)
        assert len(made.asked) == 4000


def test_a_small_model_draws_in_one_thread_whatever_the_number_of_cores(
    saved: Path, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = diffusers_source.DiffusersSource(resolved(saved), "cpu")
    assert (small.in_one_thread, small.cores, small.plan["threads"]) == (True, 2, 1)
    with monkeypatch.context() as patch:
        patch.setattr(diffusers_source, "SMALL", 1000)
        large = diffusers_source.DiffusersSource(resolved(saved), "cpu")
    assert (large.in_one_thread, large.plan["threads"]) == (False, 2)
    here = [image.tobytes() for image in small.generate(["a hill"], [3], batch_size=1)]
    torch.set_num_threads(1)  # as in a helper, or on a machine of one core
    there = diffusers_source.DiffusersSource(resolved(saved), "cpu")
    assert [image.tobytes() for image in there.generate(["a hill"], [3], batch_size=1)] == here
    torch.set_num_threads(2)
    list(small.generate(["a hill"], [3], batch_size=1))
    assert torch.get_num_threads() == 2, "the encoders use every core"


@pytest.fixture
def threads() -> Iterator[None]:
    """Two cores, as far as torch knows."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def lost(
    copied: Path, threads: None, monkeypatch: pytest.MonkeyPatch
) -> tuple[ImitationStage, dict[str, pd.DataFrame]]:
    """A finished audit that has lost eight cells, and what they held. Any work is worth a helper."""
    monkeypatch.setattr(helpers, "WORTH_IT", 0)
    ws = Workspace.open(copied)
    subjects = list(ws.prompted())[:8]
    held = {s: ws.warehouse.read(f"imitations/{MODEL}/{s}") for s in subjects}
    for s in subjects:
        ws.warehouse.path(f"imitations/{MODEL}/{s}").unlink()
    return ImitationStage(ws), held


def helping() -> list[psutil.Process]:
    living = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in living if "audit_assets.generation.helpers" in p.cmdline()]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.long
def test_a_helper_draws_the_images_that_the_run_would_have_drawn_and_ends_with_it(
    lost: tuple[ImitationStage, dict[str, pd.DataFrame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, held = lost
    last = stage.ws.warehouse.path(f"imitations/{MODEL}/{list(held)[-1]}")
    drawn_here: list[str] = []
    own = AskedModel.make

    def make(self: AskedModel, subject: str, *about: str) -> pd.DataFrame:
        if len(drawn_here) == 2:
            until(last.exists)  # which a helper draws
        drawn_here.append(subject)
        return own(self, subject, *about)

    monkeypatch.setattr(AskedModel, "make", make)
    made = {}
    for cell in stage.make(MODEL, list(held)):
        assert cell.made_now
        made[cell.subject] = cell.rows
        assert len(helping()) == (len(made) > 1)
    assert helping() == []
    assert drawn_here
    assert set(drawn_here) < set(held)
    for subject, rows in held.items():
        pd.testing.assert_frame_equal(made[subject], rows)


@pytest.mark.long
def test_a_run_makes_every_cell_although_its_helper_is_killed_or_cannot_start(
    lost: tuple[ImitationStage, dict[str, pd.DataFrame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, held = lost
    for cell in stage.make(MODEL, list(held)):
        for process in helping():
            process.send_signal(signal.SIGKILL)
        pd.testing.assert_frame_equal(cell.rows, held[cell.subject])
    for s in held:
        stage.ws.warehouse.path(f"imitations/{MODEL}/{s}").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        made = {cell.subject: cell.rows for cell in stage.make(MODEL, list(held))}
    assert made.keys() == held.keys()


@pytest.mark.long
def test_a_helper_draws_nothing_by_a_file_that_was_edited_meanwhile_and_runs_nothing_of_the_folder(
    lost: tuple[ImitationStage, dict[str, pd.DataFrame]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, held = lost
    for name in ("audit_assets", "pandas", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    file = stage.ws.audit.file
    with stage.maker(MODEL) as maker:
        prompted = stage.ws.prompted(MODEL)
        asked = lacking(stage.cells, {f"imitations/{MODEL}/{s}": maker.inputs(s, *prompted[s]) for s in held})
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["models"][0]["settings"]["guidance"] = 9.0
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    process = helpers._started(file, MODEL, "imitations", asked)
    assert process.wait(PATIENCE) == 0
    assert not any(stage.ws.warehouse.path(where).exists() for where in asked)
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
def test_a_helper_ends_if_the_run_is_killed(lost: tuple[ImitationStage, dict[str, pd.DataFrame]]) -> None:
    stage, held = lost
    where = f"imitations/{MODEL}/{next(iter(held))}"
    script = f"""
import time
from pathlib import Path
from audit_assets.generation import helpers
helpers._started(Path({str(stage.ws.audit.file)!r}), {MODEL!r}, "imitations", {{{where!r}: (None, "")}})
print("started", flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(helpers.__file__).parents[2])}
    turn = stage.cells.in_turn([where])
    next(turn)  # so that the helper waits for its only cell
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert run.stdout is not None
    assert run.stdout.readline() == "started\n"
    (helper,) = psutil.Process(run.pid).children()
    run.kill()
    run.wait()
    until(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE)
    turn.close()  # type: ignore[attr-defined]


def test_a_helper_draws_the_arms_as_the_run_would(miniature: Path, tmp_path: Path) -> None:
    settings = {"steps": 1, "guidance": 3.0, "size": 32}
    model = {"source": "diffusers", "path": str(miniature / "models" / MODEL), "settings": settings}
    drawn = {}
    for name in ("alone", "helped"):
        (tmp_path / name).mkdir()
        stage = ArmStage(workspace(tmp_path / name, model))
        if name == "helped":
            with stage.imitations.maker("closed") as maker:
                wanted = {where: (arm, one) for where, arm, one in stage._wanted("closed")}
                asked = lacking(stage.cells, stage._wanted_inputs(maker, wanted))
            assert [where.split("/")[2] for where in asked] == ["misspelt", "misspelt", "unprompted"], (
                "and no translation, for which there is no word"
            )
            stage.help("closed", asked)
            assert lacking(stage.cells, {where: inputs for where, (_, inputs) in asked.items()}) == {}
        drawn[name] = stage.make("closed")
    assert drawn["alone"]["image_sha256"].notna().sum() == 7
    pd.testing.assert_frame_equal(drawn["helped"], drawn["alone"])
