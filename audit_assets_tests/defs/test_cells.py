"""What the UI shows of each cell after a run over many: its own number of rows, and its own pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from audit_assets.defs.metadata import finished_cells, picture_of, pictures
from audit_assets.workspace import Workspace

PARTS = dg.StaticPartitionsDefinition(["ada", "bo", "cy"])


@dg.asset(partitions_def=PARTS, backfill_policy=dg.BackfillPolicy.single_run())
def drawn(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    rows = {"ada": {"dagster/row_count": 3}, "bo": {"dagster/row_count": 5}, "gone": {"dagster/row_count": 7}}
    return finished_cells(context, rows, "0" * 64, images_made_now=8)


def test_each_cell_of_a_range_has_its_own_number_of_rows() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ends = {"dagster/asset_partition_range_start": "ada", "dagster/asset_partition_range_end": "cy"}
        dg.materialize([drawn], instance=instance, tags=ends)
        records = instance.fetch_materializations(drawn.key, limit=10).records
        told = {r.partition_key: r.asset_materialization.metadata for r in records if r.asset_materialization}
    counts = {key: metadata.get("dagster/row_count") for key, metadata in told.items()}
    assert counts == {"ada": dg.IntMetadataValue(3), "bo": dg.IntMetadataValue(5), "cy": None}
    assert {metadata["images_made_now"].value for metadata in told.values()} == {8}


def test_a_missing_or_altered_picture_is_named_and_stops_nothing(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    ws = Workspace.open(small_audit(tmp_path / "audit"), new=True)
    sha256 = ws.images.put(Image.new("RGB", (32, 32), "red"))
    assert str(pictures(ws, [sha256])["pictures"].value).startswith("![pictures](data:image/webp;base64,")
    assert pictures(ws, []) == {}
    ws.images.path(sha256).write_bytes(b"x")
    assert "was altered" in pictures(ws, [sha256])["pictures"]
    ws.images.path(sha256).unlink()
    assert "is missing" in pictures(ws, [sha256])["pictures"]


def test_a_figure_is_shown_inside_the_metadata_if_it_exists(tmp_path: Path) -> None:
    assert picture_of(tmp_path / "sample_grid.png") == {}
    Image.new("RGB", (3000, 100), "red").save(tmp_path / "sample_grid.png")
    shown = picture_of(tmp_path / "sample_grid.png")
    assert list(shown) == ["sample_grid"]
    assert len(shown["sample_grid"].value) < 5000


def test_the_partitions_of_a_run_are_listed_as_often_for_three_cells_as_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, calls = dg.StaticPartitionsDefinition.get_partition_keys_in_range, []

    def counted(self: dg.StaticPartitionsDefinition, *about: Any, **more: Any) -> Sequence[str]:
        calls.append(about)
        return own(self, *about, **more)

    listed: dict[int, int] = {}

    @dg.asset(name="drawn", partitions_def=PARTS, backfill_policy=dg.BackfillPolicy.single_run())
    def counting(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        for n in (1, 3):
            before = len(calls)
            made = finished_cells(context, {c: {"dagster/row_count": n} for c in ("ada", "bo", "cy")[:n]}, "0" * 64)
            listed[n] = len(calls) - before
        return made

    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(dg.StaticPartitionsDefinition, "get_partition_keys_in_range", counted)
        ends = {"dagster/asset_partition_range_start": "ada", "dagster/asset_partition_range_end": "cy"}
        dg.materialize([counting], instance=instance, tags=ends)
    assert listed[1] == listed[3] <= 1
