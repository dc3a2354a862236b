"""An encoder that others trained, on photographs: it is the image-only encoder of one audit of the miniature."""

import html
from pathlib import Path

import duckdb
import matplotlib.cbook
import pytest
import torch
import yaml
from PIL import Image

from audit_assets.encoders.load import load
from audit_assets.models.encoders import resolve_encoder
from audit_assets_tests.drive import drive
from audit_assets_tests.encoders import real_encoder

MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    folder = tmp_path_factory.mktemp("efficientnet")
    head = real_encoder.save(real_encoder.installed_weights(tmp_path_factory.mktemp("package")), folder)
    return folder, head


@pytest.mark.long
def test_the_vectors_are_those_that_the_network_was_trained_to_give(real: tuple[Path, torch.Tensor]) -> None:
    """A photograph of Grace Hopper, which matplotlib ships, shows a military uniform: it is among the first five of a thousand classes."""
    folder, head = real
    found = resolve_encoder("lite0", "image", str(folder))
    assert (found.dimension, found.layer) == (1280, "efficientnet.encoder.top_bn")
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photograph:
        (vector,) = load(found, "cpu").embed_images([photograph.convert("RGB")])
    assert MILITARY_UNIFORM in (head @ torch.from_numpy(vector)).topk(5).indices.tolist()


@pytest.mark.long
def test_an_audit_with_an_encoder_that_others_trained_comes_to_verdicts(
    real: tuple[Path, torch.Tensor], copied: Path
) -> None:
    content = yaml.safe_load(copied.read_text())
    text = next(e for e in content["encoders"] if e["kind"] == "image_text")
    content["encoders"] = [text, {"name": "lite0", "kind": "image", "path": str(real[0])}]
    copied.write_text(yaml.safe_dump(content))
    ws = drive(copied)
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        (stated,) = connection.execute("SELECT dimension, layer FROM encoders WHERE encoder = 'lite0'").fetchall()
        artists = connection.execute("SELECT subject FROM subjects WHERE kind = 'artist' ORDER BY 1").fetchall()
        found = connection.execute(
            "SELECT subject, verdict FROM verdicts WHERE encoder = 'lite0' AND kind = 'artist' ORDER BY 1"
        ).fetchall()
        left_out = connection.execute("SELECT * FROM left_out").fetchall()
    assert left_out == []
    assert stated == (1280, "efficientnet.encoder.top_bn")
    assert [(subject,) for subject, _ in found] == artists
    assert "imitated" in {verdict for _, verdict in found}
    page = html.unescape((ws.warehouse.root / "reports" / "miniature-1" / "report.html").read_text(encoding="utf-8"))
    assert "lite0" in page
    assert "efficientnet.encoder.top_bn" in page
