"""A failed partition is found wherever it is, until it is made; a picture and a number a person can look at stand beside what was made."""

import base64
import io
import re
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from PIL import Image

from audit_assets.definitions import defs
from audit_assets.defs.failures import PARTITIONED, failed_partitions
from audit_assets.defs.imitations import imitations
from audit_assets.defs.metadata import plotted, strip
from audit_assets.defs.resources import AuditResource


def test_a_failed_cell_is_named_until_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audit.yaml").write_text("models: [", encoding="utf-8")
    monkeypatch.setenv("AUDIT_CONFIG", str(tmp_path / "audit.yaml"))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["ada", "zoe"])
        instance.add_dynamic_partitions("model_version", ["one"])
        assert failed_partitions(instance) == {}
        result = dg.materialize(
            [imitations],
            partition_key="one|ada",
            instance=instance,
            resources={"audit": AuditResource()},
            raise_on_error=False,
        )
        assert not result.success
        assert failed_partitions(instance) == {"imitations": ["one|ada"]}
        instance.report_runless_asset_event(dg.AssetMaterialization("imitations", partition="one|ada"))
        assert failed_partitions(instance) == {}


def test_every_partitioned_asset_is_looked_at() -> None:
    graph = defs().get_repository_def().asset_graph
    partitioned = {n.key.to_user_string() for n in graph.asset_nodes if n.partitions_def is not None}
    looked_at = {a.key.to_user_string() for a in PARTITIONED}
    # Left out: captions are read in place, and what hangs on a report fails with it.
    assert partitioned - looked_at == {"captions", "replayed_imitations", "evidence_manifest"}
    assert looked_at <= partitioned


def test_pictures_of_a_cell_are_one_small_picture_in_its_metadata() -> None:
    made = strip(lambda sha256: Image.new("RGB", (640, 320), sha256), ["red", "lime", "blue"], side=64)
    found = re.fullmatch(r"!\[[^\]]*\]\(data:image/webp;base64,([A-Za-z0-9+/=]+)\)", made.value or "")
    assert found
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as picture:
        assert picture.size == (192, 64)
        reds = [picture.convert("RGB").getpixel((64 * n + 32, 32)) for n in range(3)]
    for pixel, channel in zip(reds, range(3), strict=True):
        assert isinstance(pixel, tuple)
        assert pixel[channel] > 200
    assert len(made.value or "") < 10_000


def test_pictures_of_a_cell_without_images_are_no_error() -> None:
    assert "base64" in (strip(lambda sha256: Image.new("RGB", (1, 1)), []).value or "")


def test_numbers_that_are_plotted_have_keys_of_their_rows() -> None:
    table = pd.DataFrame(
        {"encoder": ["a", "a", "b"], "test": ["own rank", "pairing", "pairing"], "share": [0.5, None, 1]}
    )
    assert plotted(table, "share", "test") == {"own_rank_share": 0.5}
