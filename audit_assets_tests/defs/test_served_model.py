"""Whole audits of the miniature behind an images API: refusals, the secrets, a client that is killed, the evidence."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from audit_assets.evidence.verify import verify
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.makers import AskedModel
from audit_assets.models.registry import resolve_model
from audit_assets.warehouse.images import ImageStore
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive
from audit_assets_tests.generation.images_server import KEY, Body, ImagesServer, Reply, error, made, pattern, serving
from audit_assets_tests.processes import kill, said, start

REFUSED, REWRITTEN = "kira-yamauchi", "mara-ulvang"

pytestmark = pytest.mark.long


def query(ws: Workspace, sql: str, *values: str) -> pd.DataFrame:
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        return connection.execute(sql, values).df()


def entries(miniature: Path, **api: Any) -> list[dict[str, Any]]:
    local = {"steps": 8, "guidance": 3.0, "size": 32}
    served = {"seeds": True, "retries": 1, **api}
    return [
        {"name": "served", "source": "api", "model": "miniature-1", "approved": True, "api": served},
        {"name": "local", "source": "diffusers", "path": str(miniature / "models/miniature-1"), "settings": local},
    ]


@pytest.fixture(scope="module")
def served(
    small_audit: Callable[..., Path], miniature: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workspace, ImagesServer]]:
    """An audit whose server refuses one artist, and rewrites the prompts of another."""
    config = small_audit(tmp_path_factory.mktemp("served"), models=entries(miniature), verdicts=True)
    ws = Workspace.open(config)
    local = ws.audit.model("local")
    source, lock = DiffusersSource(resolve_model(ws.audit, local), "cpu"), threading.Lock()

    def answer(body: Body, number: int) -> Any:
        low = body["prompt"].lower()
        if all(part in low for part in REFUSED.split("-")):
            return Reply(error("content_policy_violation", "This artist opted out."), 400)
        with lock:
            (image,) = source.generate([body["prompt"]], [body["seed"]], batch_size=1)
        rewrite = all(part in low for part in REWRITTEN.split("-"))
        return made(image, **({"revised_prompt": "A landscape"} if rewrite else {}))

    with serving(answer) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_API_ADDRESS", server.address)
        patch.setenv("AUDIT_API_KEY", KEY)
        yield drive(config), server


def test_the_served_miniature_is_audited_as_the_local_one_image_for_image(
    served: tuple[Workspace, ImagesServer], tmp_path: Path
) -> None:
    ws, server = served
    assert len(server.asked) == len(query(ws, "FROM imitations"))
    resolved = resolve_model(ws.audit, ws.audit.model("local"))
    subject = next(s for s in ws.prompted() if s not in (REFUSED, REWRITTEN))
    with AskedModel(resolved, ws.protocol, ImageStore(tmp_path), 1) as maker:
        local = maker.make(subject, *ws.prompted()[subject])
    kept = ws.warehouse.read(f"imitations/served/{subject}")
    assert kept["image_sha256"].tolist() == local["image_sha256"].tolist()
    assert kept["seed"].tolist() == local["seed"].tolist()
    imitated = query(
        ws,
        "SELECT verdict, count(*) AS n FROM verdicts WHERE kind = 'artist' AND encoder = 'miniature-clip' GROUP BY 1",
    )
    assert dict(zip(imitated["verdict"], imitated["n"], strict=True))["imitated"] >= 4


@pytest.mark.parametrize(("subject", "words"), [(REFUSED, "refused 5 of 5"), (REWRITTEN, "of 5 of 5")])
def test_an_artist_whom_the_server_withholds_could_not_be_tested(
    served: tuple[Workspace, ImagesServer], subject: str, words: str
) -> None:
    ws, _ = served
    verdicts = query(ws, "SELECT encoder, verdict FROM verdicts WHERE subject = ?", subject)
    assert set(verdicts["verdict"]) == {"not auditable"}
    assert len(verdicts) == 2
    answers = query(ws, "SELECT answer, reason FROM answers WHERE subject = ? AND question <> 'seen'", subject)
    assert set(answers["answer"]) == {"could not be tested"}
    assert answers["reason"].str.contains(words).all(), answers["reason"].tolist()
    report = (ws.warehouse.root / "reports" / "served" / "report.html").read_text(encoding="utf-8")
    assert "Images that were withheld" in report
    index = (ws.warehouse.root / "reports" / "index.html").read_text(encoding="utf-8")
    assert "a version that refuses is not one that cannot imitate" in index
    if subject == REFUSED:
        assert "content_policy_violation" in report


def test_what_the_server_said_is_published(served: tuple[Workspace, ImagesServer]) -> None:
    ws, _ = served
    answers = query(ws, "SELECT status, code, answered_by, count(*) AS n FROM api_answers GROUP BY ALL ORDER BY status")
    assert answers["status"].tolist() == ["ok", "refused", "rewritten"]
    assert answers["n"].tolist()[1:] == [5, 5]
    assert answers["answered_by"].dropna().unique().tolist() == ["tiny-2026-10"]
    row = query(
        ws, "SELECT source, files_sha256, generation_settings FROM model_versions WHERE model_version = 'served'"
    ).iloc[0]
    assert row["source"] == "api"
    assert pd.isna(row["files_sha256"])
    assert "miniature-1" in row["generation_settings"]


def test_a_second_run_asks_nothing(served: tuple[Workspace, ImagesServer]) -> None:
    ws, server = served
    before = len(server.asked)
    drive(ws.audit.file)
    assert len(server.asked) == before


def test_neither_key_nor_address_is_kept_anywhere(served: tuple[Workspace, ImagesServer]) -> None:
    """In the warehouse, the events of Dagster, the manifest, the reports."""
    ws, server = served
    folder = ws.audit.base
    port = server.address.rpartition(":")[2].removesuffix("/v1")

    def kept(text: str) -> list[str]:
        return [str(p) for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]

    assert kept(REFUSED) != []  # the search finds what is there
    assert kept(KEY) == []
    assert kept(f"127.0.0.1:{port}") == []


def test_the_evidence_holds_and_says_that_nothing_can_be_drawn_again(
    served: tuple[Workspace, ImagesServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, server = served
    before = len(server.asked)
    monkeypatch.delenv("AUDIT_API_KEY")
    monkeypatch.delenv("AUDIT_API_ADDRESS")
    found = list(verify(ws, "served", replay=1))
    assert [f for check in found for f in check.findings] == []
    unchecked = " ".join(u for check in found for u in check.unchecked)
    assert "its images cannot be drawn again" in unchecked
    assert "its files are not known" in unchecked
    assert len(server.asked) == before


def test_a_killed_client_does_not_pay_twice_and_a_cap_holds(
    small_audit: Callable[..., Path], miniature: Path, tmp_path: Path
) -> None:
    def slow(body: Body, number: int) -> Any:
        time.sleep(0.05)
        return made(pattern(f"{body['prompt']} {body['seed']}"))

    config = small_audit(tmp_path / "audit", models=entries(miniature, maximum_images=50)[:1])
    with serving(slow) as server:
        environment = {"AUDIT_API_ADDRESS": server.address, "AUDIT_API_KEY": KEY}
        process = start(config, environment)
        while len(server.asked) < 12:
            assert process.poll() is None, said(config)
            time.sleep(0.05)
        kill(process)
        answered = len(list((config.parent / "warehouse/api_kept").rglob("*.parquet")))
        assert answered >= 8
        assert start(config, environment).wait(timeout=400) != 0
        text = said(config)
        assert "api.maximum_images: 50 of 50" in text, text
        # A request is counted before it is sent, and the client can be killed in between.
        assert len(server.asked) in (49, 50)
        calls = [(b["prompt"], b["seed"]) for b in server.asked]
        lost = len(calls) - len(set(calls))
        assert lost <= 2  # the calls under way when the client was killed
    folder = config.parent
    assert [p for p in folder.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()] == []
