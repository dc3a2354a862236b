"""A model behind a kept server that others wrote and that draws itself: Xinference, from the package registry, with the miniature on the CPU."""

import json
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from audit_assets.config import ApiEntry, ModelEntry, Protocol
from audit_assets.errors import Stopped
from audit_assets.generation import images_api
from audit_assets.generation.served import ServedModel
from audit_assets.models.served import resolve_served
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace
from audit_assets_tests import one_artist
from audit_assets_tests.drive import drive
from audit_assets_tests.generation import foreign_server
from audit_assets_tests.processes import free_port

pytestmark = pytest.mark.long

REQUIREMENTS = Path(foreign_server.__file__).with_name("xinference.txt")
CONTROLS = 2
AS_BYTES = {"response_format": "b64_json", "size": 32}
STEPS = json.dumps({"num_inference_steps": 8, "guidance_scale": 3.0})


@pytest.fixture(scope="module")
def xinference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the server, in an environment that has the libraries of this one too: torch is not installed again."""
    folder = tmp_path_factory.mktemp("xinference")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    libraries = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "-r", str(REQUIREMENTS)]
    subprocess.run(pip, check=True, timeout=1200)
    return folder / "bin" / "xinference-local"


@pytest.fixture(scope="module")
def server(xinference: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has the miniature under the name `tiny`."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    environment = {
        "XINFERENCE_AUTH_ADVANCED": "0",
        "XINFERENCE_ENABLE_VIRTUAL_ENV": "0",
        "XINFERENCE_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command, address = [str(xinference), "--host", "127.0.0.1", "--port", str(port)], f"http://127.0.0.1:{port}/v1"
    path = one_artist.MODEL["path"]
    spec = {
        "model_name": "miniature-1", "model_id": "of-the-tests/miniature-1", "model_revision": None, "model_uri": f"file://{path}",
        "model_family": "stable_diffusion", "model_ability": ["text2image"], "version": 2, "controlnet": [],
    }  # fmt: skip
    launch = {
        "model_name": "miniature-1",
        "model_uid": "tiny",
        "model_type": "image",
        "model_engine": "diffusers",
        "n_gpu": None,
    }
    with foreign_server.running(command, folder, f"{address}/models", environment):
        _post(f"{address}/model_registrations/image", {"model": json.dumps(spec), "persist": False})
        _post(f"{address}/models", {**launch, "model_path": path})
        yield address


def _post(address: str, content: dict[str, Any]) -> None:
    request = urllib.request.Request(
        address, json.dumps(content).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        assert answer.status == 200


@pytest.fixture(autouse=True)
def _address(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_API_ADDRESS", server)
    monkeypatch.delenv("AUDIT_API_KEY", raising=False)
    monkeypatch.setattr(images_api, "FIRST_WAIT", 0.01)


def query(ws: Workspace, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        return connection.execute(sql).df()


def test_an_artist_is_audited_and_recognised_in_the_images_of_the_server(server: str, tmp_path: Path) -> None:
    settings = {**AS_BYTES, "kwargs": STEPS}
    model = {
        "name": "served",
        "source": "api",
        "model": "tiny",
        "approved": True,
        "settings": settings,
        "api": {"concurrency": 1},
    }
    ws = drive(one_artist.write(tmp_path, [model], [one_artist.ENCODER], control_names=CONTROLS))
    answers = query(ws, "FROM api_answers")
    assert answers["status"].tolist() == ["ok"] * one_artist.IMAGES * (1 + CONTROLS)
    assert answers["created"].notna().all()
    assert answers["answered_by"].isna().all()  # it does not name its model
    assert answers["reason"].isna().all()
    images = query(ws, "SELECT width, height, seed, image_sha256 FROM imitations")
    assert set(zip(images["width"], images["height"], strict=True)) == {(32, 32)}
    assert images["seed"].isna().all()  # none was asked for
    assert images["image_sha256"].nunique() == len(images)
    found = query(
        ws,
        "SELECT label_set, images, correct FROM identification_by_subject WHERE kind = 'artist' AND label_set = 'joint'",
    )
    assert found["images"].tolist() == [one_artist.IMAGES]
    assert found["correct"].tolist() >= [one_artist.IMAGES - 1]
    files = [path.read_bytes() for path in ws.audit.base.rglob("*") if path.is_file()]
    assert not any(server.removesuffix("/v1").encode() in content for content in files)


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("tiny", {"size": 32, "kwargs": STEPS}, r"set `response_format: b64_json` in `settings`"),
        (
            "tiny",
            {**AS_BYTES, "size": 33},
            r"3 images in a row failed .*divisible by 8.*look at `model`, at `settings`",
        ),
        ("unheard-of", AS_BYTES, r"Model not found.*correct the variable, or `model`"),
    ],
)
def test_what_the_server_says_stops_the_model_with_the_remedy(
    tmp_path: Path, model: str, settings: dict[str, Any], said: str
) -> None:
    entry = ModelEntry(
        name="served", source="api", model=model, settings=settings, api=ApiEntry(retries=0, concurrency=1)
    )
    protocol = Protocol(name="one", templates=("art by {name}",), trials=4)
    with (
        ServedModel(
            resolve_served(entry), protocol, ImageStore(tmp_path / "i"), Warehouse(tmp_path), lambda: {}
        ) as maker,
        pytest.raises(Stopped, match=said),
    ):
        maker.make("ada-brandvold", "Ada Brandvold")
