"""A model behind a kept server of the images API that others wrote: litellm's proxy, from the package registry, in an environment of its own.

It asks a backend, which is the miniature behind the small server of these tests, and writes its answers anew. So errors, fields and headers
are those of a foreign program.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from audit_assets.config import ApiEntry, ModelEntry, Protocol
from audit_assets.errors import Stopped
from audit_assets.generation import images_api
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.makers import AskedModel
from audit_assets.generation.served import ServedModel
from audit_assets.generation.spending import Spending
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.models.served import resolve_served
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace
from audit_assets_tests import one_artist
from audit_assets_tests.drive import drive
from audit_assets_tests.generation.foreign_server import running
from audit_assets_tests.generation.images_server import Body, ImagesServer, Reply, error, made, pattern, png, serving
from audit_assets_tests.processes import free_port

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="litellm does not install on this Python"),
]

LITELLM = "litellm[proxy]==1.108.7"
KEY, BACKEND_KEY = "sk-of-the-gateway-0123456789", "sk-of-the-backend-0123456789"
SETTINGS = {"steps": 8, "guidance": 3.0, "size": 32}
CONTROLS = 3
PER_CALL = 3
"""litellm asks its backend so often for one call if the backend is busy or fails. No setting changes this for images."""
SAFETY = "Your request was rejected as a result of our safety system."


@dataclass
class Gateway:
    """A running proxy, and the backend that it asks. A test gives the backend another function to answer from."""

    address: str
    backend: ImagesServer


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the proxy, which pip installed from the package registry."""
    folder = tmp_path_factory.mktemp("litellm")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", LITELLM], check=True, timeout=1200)
    return folder / "bin" / "litellm"


@pytest.fixture(scope="module")
def gateway(litellm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(lambda body, number: made(pattern(body["prompt"]))) as backend:
        folder = tmp_path_factory.mktemp("gateway")
        with _started(litellm, folder, backend.address) as address:
            yield Gateway(address, backend)


@contextmanager
def _started(program: Path, folder: Path, backend: str) -> Iterator[str]:
    asked = {"model": "openai/miniature-1", "api_base": backend, "api_key": BACKEND_KEY}
    content = {
        "model_list": [
            {"model_name": "tiny", "litellm_params": asked},
            {"model_name": "limited", "litellm_params": {**asked, "rpm": 2}},
        ],
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,
            "optional_pre_call_checks": ["enforce_model_rate_limits"],
        },
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(content), encoding="utf-8")
    port = free_port()
    command = [str(program), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else it fetches a list of prices
    with running(command, folder, f"http://127.0.0.1:{port}/health/liveliness", environment):
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture(autouse=True)
def _address(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_API_ADDRESS", gateway.address)
    monkeypatch.setenv("AUDIT_API_KEY", KEY)


# ---- a whole audit
@pytest.fixture(scope="module")
def audited(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[Body]]:
    """An audit of one artist. The backend is busy for one call, refuses the second name, rewrites one prompt, and says of one image that it was filtered."""
    folder = tmp_path_factory.mktemp("audited")
    model = {
        "name": "served",
        "source": "api",
        "model": "tiny",
        "approved": True,
        "api": {"seeds": True, "concurrency": 1},
    }
    config = one_artist.write(folder, [model], [one_artist.ENCODER], control_names=CONTROLS)
    source = DiffusersSource(resolve_diffusers("local", one_artist.MODEL["path"], None, SETTINGS), "cpu")
    lock, prompts = threading.Lock(), list[str]()

    def answer(body: Body, number: int) -> Any:
        if number < PER_CALL:
            return Reply(error("rate_limit_exceeded", "Please try again in 2s."), 429, Retry_After="2")
        with lock:
            if body["prompt"] not in prompts:
                prompts.append(body["prompt"])
            if prompts.index(body["prompt"]) == 1:
                return Reply(error("content_policy_violation", SAFETY), 400)
            (image,) = source.generate([body["prompt"]], [body["seed"]], batch_size=1)
        return made(image, revised_prompt=f"A painting: {body['prompt']}", finish_reason="content_filter")

    gateway.backend.answer = answer
    gateway.backend.asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_API_ADDRESS", gateway.address)
        patch.setenv("AUDIT_API_KEY", KEY)
        return drive(config), list(gateway.backend.asked)


def query(ws: Workspace, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        return connection.execute(sql).df()


def test_images_are_those_of_the_local_model_and_seeds_reach_the_backend(
    audited: tuple[Workspace, list[Body]], tmp_path: Path
) -> None:
    ws, asked = audited
    assert len(asked) == one_artist.IMAGES * (1 + CONTROLS) + PER_CALL  # the call for which it was busy was made again
    assert {body["model"] for body in asked} == {"miniature-1"}
    local = resolve_diffusers("local", one_artist.MODEL["path"], None, SETTINGS)
    statuses = query(
        ws, "SELECT subject, string_agg(DISTINCT status) AS statuses FROM imitations GROUP BY 1 ORDER BY 1"
    )
    made_of = [str(row["subject"]) for row in statuses.to_dict("records") if row["statuses"] == "ok"]
    assert len(made_of) == CONTROLS
    with AskedModel(local, ws.protocol, ImageStore(tmp_path), 1) as maker:
        again = maker.make(made_of[0], *ws.prompted()[made_of[0]])
    kept = ws.warehouse.read(f"imitations/served/{made_of[0]}")
    assert kept["image_sha256"].tolist() == again["image_sha256"].tolist()
    assert kept["seed"].tolist() == again["seed"].tolist()


def test_a_refusal_is_told_and_what_the_gateway_leaves_out_is_said(audited: tuple[Workspace, list[Body]]) -> None:
    ws, _ = audited
    answers = query(ws, "FROM api_answers")
    refused = answers[answers["status"] == "refused"]
    assert len(refused) == one_artist.IMAGES
    assert len(set(refused["subject"])) == 1
    assert set(refused["code"]) == {"invalid_request_error"}  # the gateway lost the backend's code
    assert refused["reason"].str.contains("safety system").all()
    images = answers[answers["status"] == "ok"]
    assert len(images) == one_artist.IMAGES * CONTROLS
    assert images["answered_by"].isna().all()  # and the name that the backend gives the model
    assert images["created"].notna().all()
    assert images["revised_prompt"].str.startswith("A painting: Artwork from").all()
    (note,) = query(ws, "SELECT note FROM notes WHERE place = 'served'")["note"]
    version = LITELLM.partition("==")[2]
    assert note.startswith(f"{len(images)} images came through litellm {version}, a proxy that leaves out whether")
    report = (ws.warehouse.root / "reports" / "served" / "report.html").read_text(encoding="utf-8")
    assert f"came through litellm {version}" in report


def test_a_second_run_asks_nothing_and_no_key_is_kept(audited: tuple[Workspace, list[Body]], gateway: Gateway) -> None:
    ws, _ = audited
    gateway.backend.asked.clear()
    drive(ws.audit.file)
    assert gateway.backend.asked == []
    files = [path.read_bytes() for path in ws.audit.base.rglob("*") if path.is_file()]
    for secret in (KEY, BACKEND_KEY, gateway.address.removesuffix("/v1"), gateway.backend.address.removesuffix("/v1")):
        assert not any(secret.encode() in content for content in files)


# ---- one call
@contextmanager
def asking(folder: Path, model: str = "tiny", **api: Any) -> Iterator[ServedModel]:
    entry = ModelEntry(
        name="served", source="api", model=model, api=ApiEntry(**{"retries": 1, "concurrency": 1, **api})
    )
    protocol = Protocol(name="one", templates=("art by {name}",), trials=4)
    with ServedModel(
        resolve_served(entry), protocol, ImageStore(folder / "images"), Warehouse(folder), lambda: {}
    ) as maker:
        yield maker


def always(reply: Reply) -> Callable[[Body, int], Any]:
    return lambda body, number: reply


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (always(Reply(error("rate_limit_exceeded", "Slow down."), 429)), "the server answers 429: it is busy"),
        (always(Reply(error("insufficient_quota", "You exceeded your current quota."), 429)), "look at the account"),
        (always(Reply(error("billing_hard_limit_reached", "Billing hard limit reached: billing_hard_limit_reached"), 400)), "look at the account"),
        (always(Reply(error("model_not_found", "no such thing"), 404)), "it knows no such model"),
        (always(Reply(error("invalid_api_key", "Incorrect API key provided"), 401)), "it does not take the key in AUDIT_API_KEY"),
        (always(Reply(error(None, "overloaded"), 503)), "the server answers 503: it is busy"),
        (always(Reply(error("server_error", "boom"), 500)), "3 images in a row failed .*boom"),
        (always(Reply(error("invalid_value", "Invalid value: '32x32'"), 400)), "3 images in a row failed .*Invalid value"),
        (always(Reply({"created": 1, "data": []})), "3 images in a row failed .*no image in `data`"),
    ],
)  # fmt: skip
def test_what_the_backend_says_stops_the_model_with_the_reason(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Body, int], Any], said: str
) -> None:
    monkeypatch.setattr(images_api, "FIRST_WAIT", 0.01)
    gateway.backend.answer = answer
    gateway.backend.asked.clear()
    with asking(tmp_path) as maker, pytest.raises(Stopped, match=said):
        maker.make("ada-brandvold", "Ada Brandvold")
    assert len(gateway.backend.asked) <= 2 * 3 * PER_CALL  # of three images each was asked for twice


def test_the_gateways_own_errors_stop_the_model_with_the_reason(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_api, "FIRST_WAIT", 0.01)
    gateway.backend.answer = lambda body, number: made(pattern(body["prompt"]))
    with (
        asking(tmp_path / "model", "unheard-of") as maker,
        pytest.raises(Stopped, match="knows no such model; correct `model`"),
    ):
        maker.make("ada-brandvold", "Ada Brandvold")
    with asking(tmp_path / "limited", "limited") as maker, pytest.raises(Stopped, match="429: it is busy"):
        maker.make("ada-brandvold", "Ada Brandvold")
    assert Spending(Warehouse(tmp_path / "limited"), "served", ApiEntry()).calls == 2
    monkeypatch.setenv(
        "AUDIT_API_KEY", "sk-another-key"
    )  # without a database, litellm does not say that the key is wrong
    with asking(tmp_path / "key") as maker, pytest.raises(Stopped, match=r"No connected db.*the key in AUDIT_API_KEY"):
        maker.make("ada-brandvold", "Ada Brandvold")


@pytest.mark.parametrize(
    ("message", "codes", "status"),
    [(SAFETY, [], "refused"), ("This artist opted out.", [], "failed"), ("This artist opted out.", ["image_user_error"], "refused")],
)  # fmt: skip
def test_a_refusal_without_its_code_is_known_by_its_words_or_by_the_audit_file(
    gateway: Gateway, tmp_path: Path, message: str, codes: list[str], status: str
) -> None:
    refusal = Reply(error("content_policy_violation", message, type="image_user_error"), 400)
    gateway.backend.answer = lambda body, number: refusal if body["seed"] % 2 else made(pattern("x"))
    with asking(tmp_path, refusal_codes=codes, seeds=True, seed_bits=8) as maker:
        table = maker.make("ada-brandvold", "Ada Brandvold")
    refused = table[table["seed"].astype(int) % 2 == 1]
    assert 0 < len(refused) < 4
    assert set(refused["status"]) == {status}
    assert set(table.drop(refused.index)["status"]) == {"ok"}


def test_a_picture_reaches_the_backend_as_it_is(gateway: Gateway, tmp_path: Path) -> None:
    picture = png(pattern("a work"))
    gateway.backend.answer = lambda body, number: made(pattern("answer"))
    gateway.backend.asked.clear()
    with asking(tmp_path, edits=True) as maker:
        answer = maker._portal.call(maker._client.ask, {**maker.body, "prompt": "a hill"}, picture)
    assert answer.status == "made"
    (body,) = gateway.backend.asked
    assert body["image[]"] == picture
    assert body["prompt"] == "a hill"
