"""One bad part stops itself alone: a model version, an encoder, an artist, a real work. The rest is as without it."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from audit_assets.cli import LEFT_OUT, app
from audit_assets.definitions import defs
from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.stage import FAILURES, ImitationStage
from audit_assets.publication.stage import PublicationStage
from audit_assets.references.stage import ReferenceStage
from audit_assets.runs.driver import Driver
from audit_assets.warehouse.left_out import MODEL, LeftOut, leave_out, portable_reason
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace
from audit_assets_tests.defs.test_any_model_any_encoder import drive
from audit_assets_tests.encoders import tiny_encoders

GOOD = "miniature-1"
pytestmark = pytest.mark.long

ALONE = ("unread_files", "notes", "published_from", "left_out", "model_versions", "model_files", "encoders", "software")
"""Tables that list what was asked for, and so the bad parts too."""


def content_of(config: Path) -> dict[str, Any]:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def rewrite(config: Path, content: dict[str, Any]) -> None:
    config.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def query(database: Path, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql).df()


def results_of(database: Path, model: str = GOOD) -> dict[str, pd.DataFrame]:
    """Every table with the rows of one model version and of no encoder that came later."""
    found = {}
    with duckdb.connect(str(database), read_only=True) as connection:
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            rows = connection.table(table).df()
            if "embedding" in rows:
                rows["embedding"] = [v.tobytes() for v in vectors(rows["embedding"])]
            if "model_version" in rows:
                rows = rows[rows["model_version"] == model].reset_index(drop=True)
            if table not in ALONE and not table.startswith("model_comparison") and table != "model_trends":
                found[table] = rows
    return found


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert found.keys() >= expected.keys()
    for table, rows in expected.items():
        pd.testing.assert_frame_equal(found[table], rows, check_dtype=False, obj=table)


def model_that_fails_at_the_first_image(folder: Path, miniature: Path) -> Path:
    """Its text encoder has another width than its denoiser reads, which only the first image shows."""
    from transformers import CLIPTextConfig, CLIPTextModel

    shutil.copytree(miniature / "models" / GOOD, folder)
    own = CLIPTextConfig.from_pretrained(folder / "text_encoder")
    own.hidden_size, own.intermediate_size, own.num_attention_heads = own.hidden_size // 2, 8, 1
    CLIPTextModel(own).save_pretrained(folder / "text_encoder")
    return folder


def encoder_that_embeds_nothing(folder: Path) -> Path:
    """Its weights are whole, of the right shapes, and not finite."""
    tiny_encoders.save("dinov2", folder)
    weights = load_file(folder / "model.safetensors")
    save_file({k: np.full_like(v, np.nan) for k, v in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    return folder


def black_images(folder: Path, subjects: Sequence[str], images: int) -> Path:
    for subject in subjects:
        (folder / subject).mkdir(parents=True)
        for n in range(images):
            Image.new("RGB", (32, 32)).save(folder / subject / f"{n}.png")
    return folder


def models_left_out(ws: Workspace) -> dict[str, str]:
    """The model versions that are left out now, each with its first reason."""
    parts = [part for found in ws.left_out().values() for part in found if part.part == MODEL]
    return {part.model_version: part.reason for part in reversed(parts)}


@pytest.fixture(scope="module")
def beside(audited: Path, miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Driver]:
    """The finished audit, to which somebody adds four bad models and two bad encoders, and one model that is bad for one artist."""
    folder = tmp_path_factory.mktemp("beside")
    shutil.copytree(audited.parent, folder / "audit")
    config = folder / "audit" / "audit.yaml"
    ws = Workspace.open(config)
    subjects = list(ws.prompted())
    black = black_images(folder / "black", subjects, ws.protocol.trials)
    partly = black_images(folder / "partly", subjects[:1], ws.protocol.trials)
    for subject in subjects[1:]:
        (partly / subject).mkdir()
        for n, sha256 in enumerate(ws.warehouse.read(f"imitations/{GOOD}/{subject}")["image_sha256"]):
            shutil.copy(ws.images.path(sha256), partly / subject / f"{n}.png")
    broken = model_that_fails_at_the_first_image(folder / "broken", miniature)
    cut = Path(shutil.copytree(miniature / "models" / GOOD, folder / "cut"))
    weights = cut / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    headless = tiny_encoders.save("dinov2", folder / "headless")
    (headless / "model.safetensors").unlink()
    content = content_of(config)
    settings = content["models"][0]["settings"]
    drawn = {"source": "diffusers", "approved": True}
    content["models"] = [
        {"name": "cut", "path": str(cut), **drawn, "settings": dict(settings)},
        {"name": "broken", "path": str(broken), **drawn, "settings": dict(settings)},
        {"name": "black", "source": "image_folder", "path": str(black), "approved": True},
        content["models"][0],
        {"name": "partly", "source": "image_folder", "path": str(partly), "approved": True},
    ]
    content["encoders"] += [
        {"name": "headless", "kind": "image", "path": str(headless)},
        {"name": "not-finite", "kind": "image", "path": str(encoder_that_embeds_nothing(folder / "not-finite"))},
    ]
    rewrite(config, content)
    return config, drive(config)


def test_the_good_part_is_as_in_an_audit_without_the_bad_parts(beside: tuple[Path, Driver], audited: Path) -> None:
    database = beside[1].ws.database
    assert_same(results_of(database), results_of(Workspace.open(audited).database))
    assert query(database, "SELECT encoder FROM encoders ORDER BY 1")["encoder"].tolist() == [
        "miniature-clip",
        "miniature-vision",
        "not-finite",
    ]


def test_what_was_left_out_is_listed_with_its_reason(beside: tuple[Path, Driver]) -> None:
    config, driver = beside
    assert driver.models() == ["black", GOOD, "partly"]
    listed = "\n".join(driver.problems())
    for part in (
        "model 'cut'",
        "imitations of broken",
        "mat1 and mat2",
        "encoder 'headless'",
        "not-finite",
        "not finite",
    ):
        assert part in listed
    left = query(driver.ws.database, "SELECT * FROM left_out ORDER BY part, model_version, encoder")
    assert left[["part", "model_version", "encoder"]].fillna("").to_numpy().tolist() == [
        ["encoder", "", "headless"],
        ["encoder", "", "not-finite"],
        ["model version", "broken", ""],
        ["model version", "cut", ""],
    ]
    assert not left["reason"].str.contains(str(config.parent.parent)).any()
    assert len(driver.problems()) == len(set(driver.problems())) == 4


def test_reports_and_index_say_what_was_left_out(beside: tuple[Path, Driver]) -> None:
    reports = beside[1].ws.warehouse.root / "reports"
    assert {p.parent.name for p in reports.glob("*/report.html")} == {"black", GOOD, "partly"}
    for page in (reports / "index.html", reports / GOOD / "report.html", reports / "black" / "report.html"):
        shown = page.read_text(encoding="utf-8")
        assert 'id="left-out"' in shown
        assert "mat1 and mat2" in shown
        assert "headless" in shown


def test_no_page_shows_a_number_that_is_none(beside: tuple[Path, Driver]) -> None:
    """A version whose images are all black has no likeness, no p and no label: a page says so in words."""
    import re

    ws = beside[1].ws
    pages = [ws.warehouse.root / "reports" / m / "report.html" for m in ("black", "partly")]
    subject = ws.subjects().query("kind == 'artist'")["subject"].iloc[0]
    pages += [ws.warehouse.root / "reports" / "index.html", PublicationStage(ws).artist_page(str(subject))]
    for page in pages:
        text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert re.findall(r"\b(?:nan|NaN|NaT|None(?! of)|inf)\b|&lt;NA&gt;", text) == [], page


def test_a_black_image_shows_nothing_and_its_artist_is_not_auditable(beside: tuple[Path, Driver]) -> None:
    database, ws = beside[1].ws.database, beside[1].ws
    first = next(iter(ws.prompted()))
    verdicts = query(database, "SELECT model_version, subject, verdict, images FROM verdicts WHERE kind = 'artist'")
    black = verdicts[verdicts["model_version"] == "black"]
    assert set(black["verdict"]) == {"not auditable"}
    assert set(black["images"].dropna()) == {0}
    partly = verdicts[verdicts["model_version"] == "partly"].drop_duplicates("subject").set_index("subject")["verdict"]
    good = verdicts[verdicts["model_version"] == GOOD].drop_duplicates("subject").set_index("subject")["verdict"]
    assert partly[first] == "not auditable"
    assert (partly.drop(first) == good.drop(first)).mean() > 0.7
    statuses = query(database, "SELECT DISTINCT model_version, status FROM imitations ORDER BY ALL")
    assert statuses.to_numpy().tolist() == [["black", "blank"], [GOOD, "ok"], ["partly", "blank"], ["partly", "ok"]]


def test_the_command_has_a_status_of_its_own_and_a_repaired_part_is_audited_by_the_next_run(
    beside: tuple[Path, Driver], miniature: Path, tmp_path: Path
) -> None:
    shutil.copytree(beside[0].parent, tmp_path / "audit")
    config = tmp_path / "audit" / "audit.yaml"
    content = content_of(config)
    by_name = {m["name"]: m for m in content["models"]}
    content["models"] = [by_name["broken"], by_name[GOOD]]
    content["encoders"] = content["encoders"][:2] + content["encoders"][3:]
    rewrite(config, content)
    shown = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert shown.exit_code == LEFT_OUT
    last = shown.output.split("not audited:")[-1]
    assert "imitations of broken" in last
    assert "not-finite" in last
    weights = "text_encoder/model.safetensors"
    for file in (weights, "text_encoder/config.json"):
        shutil.copy(miniature / "models" / GOOD / file, Path(by_name["broken"]["path"]) / file)
    tiny_encoders.save("dinov2", Path(content["encoders"][2]["path"]))
    shown = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert shown.exit_code == 0, shown.output
    ws = Workspace.open(config)
    assert query(ws.database, "SELECT * FROM left_out").empty
    assert query(ws.database, "SELECT DISTINCT model_version FROM verdicts WHERE encoder = 'not-finite' ORDER BY 1")[
        "model_version"
    ].tolist() == ["broken", GOOD]


@pytest.fixture
def own_references(copied: Path, miniature: Path) -> Path:
    """The finished audit, with a folder of works of its own."""
    content = content_of(copied)
    shutil.copytree(content["references"], copied.parent / "references")
    content["references"] = "references/"
    rewrite(copied, content)
    return copied


def test_a_damaged_work_is_left_out_alone(own_references: Path, tmp_path: Path) -> None:
    config = own_references
    first = Workspace.open(config).referenced()[0]
    damaged = config.parent / "references" / first / "00.png"
    works = len(Workspace.open(config).warehouse.read(f"reference_works/{first}"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    driver = drive(config)
    (problem,) = driver.problems()
    assert problem.startswith(f"real work {first}: references/{first}/00.png: cannot be read as an image")
    shutil.copytree(config.parent, tmp_path / "without")
    without = tmp_path / "without" / "audit.yaml"
    (without.parent / "references" / first / "00.png").unlink()
    manifest = without.parent / "references" / first / "manifest.csv"
    rows = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join(row for row in rows if not row.startswith("00.png")), encoding="utf-8")
    again = drive(without)
    assert again.problems() == []
    assert_same(results_of(driver.ws.database), results_of(again.ws.database))
    assert len(driver.ws.warehouse.read(f"reference_works/{first}")) == works - 1


def test_a_folder_of_works_that_is_refused_leaves_out_its_artist_alone(own_references: Path) -> None:
    ws = Workspace.open(own_references)
    first, second = ws.referenced()[:2]
    (own_references.parent / "references" / first / "link.png").symlink_to("/etc/hostname")
    tables = dict(ReferenceStage(ws).make([first, second]))
    assert len(tables[first]) == 0
    assert len(tables[second]) > 0
    assert not ReferenceStage(ws).done()
    (record,) = ws.left_out()[f"left_out/reference_works/{first}"]
    assert (record.part, record.subject) == ("artist", first)
    assert "link.png: is a link" in record.reason
    (own_references.parent / "references" / first / "link.png").unlink()
    assert len(dict(ReferenceStage(ws).make([first]))[first]) > 0
    assert ReferenceStage(ws).done()
    assert ws.left_out() == {}


def test_a_work_that_was_left_out_is_forgotten_with_the_folder_of_its_artist(own_references: Path) -> None:
    ws = Workspace.open(own_references)
    first = ws.referenced()[0]
    folder = own_references.parent / "references" / first
    (folder / "00.png").write_bytes(b"no image")
    list(ReferenceStage(ws).make([first]))
    assert list(ws.left_out()) == [f"left_out/reference_works/{first}"]
    folder.rename(own_references.parent / "elsewhere")
    assert ws.left_out() == {}
    (own_references.parent / "elsewhere").rename(folder)
    assert list(ws.left_out()) == [f"left_out/reference_works/{first}"]


@pytest.fixture
def failing_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], None]:
    """A real model that a library error stops at some names."""

    def fail(names: Sequence[str]) -> None:
        real = DiffusersSource.generate

        def generate(
            self: DiffusersSource, prompts: Sequence[str], seeds: Sequence[int], **asked: Any
        ) -> Iterator[Image.Image]:
            if any(name in prompt for name in names for prompt in prompts):
                raise RuntimeError("a kernel failed")
            return real(self, prompts, seeds, **asked)

        monkeypatch.setattr(DiffusersSource, "generate", generate)

    return fail


def test_a_model_that_fails_at_one_name_is_left_out_for_this_name_alone_and_asked_again(
    copied: Path, failing_at: Callable[[Sequence[str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.open(copied)
    subjects = list(ws.prompted())[:4]
    before = {s: ws.warehouse.read(f"imitations/{GOOD}/{s}") for s in subjects}
    for subject in subjects:
        ws.warehouse.path(f"imitations/{GOOD}/{subject}").unlink()
    failing_at([ws.prompted()[subjects[1]].name])
    made = {cell.subject: cell.rows for cell in ImitationStage(ws).make(GOOD, subjects)}
    assert set(made[subjects[1]]["status"]) == {"not_supplied"}
    assert made[subjects[1]]["problem"].iloc[0].endswith("RuntimeError: a kernel failed")
    for subject in (subjects[0], *subjects[2:]):
        pd.testing.assert_frame_equal(made[subject], before[subject])
    assert not ImitationStage(ws).done(GOOD)
    assert models_left_out(ws) == {}
    monkeypatch.undo()
    again = {cell.subject: cell for cell in ImitationStage(ws).make(GOOD, subjects)}
    assert [again[s].made_now for s in subjects] == [False, True, False, False]
    pd.testing.assert_frame_equal(again[subjects[1]].rows, before[subjects[1]])


def test_a_model_that_fails_at_every_name_is_left_out_as_a_whole(
    copied: Path, failing_at: Callable[[Sequence[str]], None]
) -> None:
    ws = Workspace.open(copied)
    subjects = list(ws.prompted())
    for subject in subjects[: FAILURES + 1]:
        ws.warehouse.path(f"imitations/{GOOD}/{subject}").unlink()
    failing_at([""])
    with pytest.raises(RuntimeError, match="a kernel failed"):
        list(ImitationStage(ws).make(GOOD, subjects))
    assert ws.warehouse.inputs(f"imitations/{GOOD}/{subjects[FAILURES]}") is None  # it was not asked any more
    assert models_left_out(ws) == {GOOD: "RuntimeError: a kernel failed"}


def test_a_failure_that_another_process_recorded_last_is_taken_back_by_the_next_run(copied: Path) -> None:
    """Of two processes that share a model's images, one fails, and writes so after the other made the last image."""
    ws = Workspace.open(copied)
    assert ImitationStage(ws).done(GOOD)
    part = LeftOut(MODEL, "out of memory", "imitations", model_version=GOOD)
    leave_out(ws.warehouse, f"imitations/{GOOD}", [part], ws.audit.base)
    assert not ImitationStage(ws).done(GOOD)
    list(ImitationStage(ws).make(GOOD, list(ws.prompted())))
    assert ImitationStage(ws).done(GOOD)
    assert ws.left_out() == {}


def test_the_only_model_ends_the_audit_with_what_it_said(
    copied: Path, failing_at: Callable[[Sequence[str]], None]
) -> None:
    ws = Workspace.open(copied)
    shutil.rmtree(ws.warehouse.root / "imitations")
    failing_at([""])
    shown = CliRunner().invoke(app, ["run", "--config", str(copied)])
    assert shown.exit_code == 2
    assert "imitations of miniature-1: RuntimeError: a kernel failed" in " ".join(shown.output.split())
    assert "Traceback" not in shown.output


def test_the_encoder_that_decides_is_never_replaced_by_another(copied: Path) -> None:
    content = content_of(copied)
    content["encoders"][0]["path"] = "/nowhere/clip"
    rewrite(copied, content)
    with pytest.raises(InputError, match="encoder 'miniature-clip': /nowhere/clip"):
        drive(copied)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_run_of_the_ui_keeps_the_cells_of_the_other_model(
    at_once: bool, copied: Path, miniature: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One Dagster run over the cells of two models, as a backfill of the UI makes; on a slow machine, each cell is logged `at_once`."""
    monkeypatch.setattr("audit_assets.defs.imitations._WORTH_A_LINE", 0.0 if at_once else 60.0)
    content = content_of(copied)
    broken = model_that_fails_at_the_first_image(copied.parent / "broken", miniature)
    content["models"] = [{**deepcopy(content["models"][0]), "name": "broken", "path": str(broken)}, *content["models"]]
    rewrite(copied, content)
    monkeypatch.setenv("AUDIT_CONFIG", str(copied))
    ws = Workspace.open(copied)
    subjects = list(ws.prompted())[:3]
    ws.warehouse.path(f"imitations/{GOOD}/{subjects[0]}").unlink()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", subjects)
        instance.add_dynamic_partitions("model_version", ["broken", GOOD])
        job = defs().get_repository_def().get_implicit_global_asset_job_def()
        result = job.get_subset(asset_selection={dg.AssetKey("imitations")}).execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": f"broken|{subjects[0]}",
                "dagster/asset_partition_range_end": f"{GOOD}|{subjects[-1]}",
            },
        )
        assert not result.success
        made = instance.get_materialized_partitions(dg.AssetKey("imitations"))
        assert made == {f"{GOOD}|{s}" for s in subjects}
    assert ws.warehouse.inputs(f"imitations/{GOOD}/{subjects[0]}") is not None
    assert set(models_left_out(ws)) == {"broken"}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("/home/a/audit/audit.yaml, model 'm': /data/models/m/unet: is missing.", "audit.yaml, model 'm': unet: is missing."),
        ("hub:owner/name: is not in the cache; see https://example.org/a/b", "hub:owner/name: is not in the cache; see https://example.org/a/b"),
        ("real work 1.png: cannot identify <_io.BytesIO object at 0x7f46f9723600>", "real work 1.png: cannot identify <_io.BytesIO>"),
        ("RuntimeError: shapes (1/2) and 3/4 differ", "RuntimeError: shapes (1/2) and 3/4 differ"),
    ],
)  # fmt: skip
def test_a_published_reason_has_no_path_of_the_machine_and_no_address_in_its_memory(reason: str, expected: str) -> None:
    assert portable_reason(reason, Path("/home/a/audit")) == expected
