"""The manifest is written with the report of its model version, by itself and by the driver."""

from pathlib import Path

import dagster as dg
from dagster import AssetKey, DagsterInstance

from audit_assets.config import load_audit
from audit_assets.definitions import defs
from audit_assets_tests.evidence.forging import MODEL, read


def test_a_manifest_follows_its_report_and_no_other(tmp_path: Path) -> None:
    location = defs()
    wanted = dg.AssetSelection.assets("evidence_manifest")
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("model_version", ["one", "two"])
        for model in ("one", "two"):
            for asset in ("audit_report", "evidence_manifest"):
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=model))
        settled = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted)
        instance.report_runless_asset_event(dg.AssetMaterialization("audit_report", partition="two"))
        result = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted, cursor=settled.cursor)
        assert result.get_requested_partitions(AssetKey("evidence_manifest")) == {"two"}
        instance.add_dynamic_partitions("model_version", ["three"])  # whose results are not there yet
        later = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted, cursor=result.cursor)
        assert "three" not in later.get_requested_partitions(AssetKey("evidence_manifest"))


def test_the_root_is_in_the_event_log(audited: Path) -> None:
    with DagsterInstance.from_config(str(load_audit(audited).dagster_home)) as instance:
        event = instance.get_latest_materialization_event(AssetKey("evidence_manifest"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition == MODEL
    assert event.asset_materialization.metadata["root"].value == read(audited).root
