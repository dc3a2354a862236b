"""What starts by itself, and what does not: changes of audit.yaml, cells that are missing, and what follows from them."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster import AssetKey, DagsterInstance

from audit_assets.config import load_audit
from audit_assets.definitions import defs
from audit_assets.defs.automation import (
    Changes,
    new_model_versions,
    pace,
    registry_changes,
    registry_state,
    weekly_reaudit,
)
from audit_assets.defs.partitions import grid
from audit_assets.defs.resources import AuditResource
from audit_assets.results.comparison import PER_MODEL
from audit_assets.runs.steps import EXPERIMENTS


def models_of(config: Path, **changes: dict[str, object]) -> Path:
    """Rewrite the entries of an audit file: model name -> fields."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["models"] = [{**m, **changes.get(m["name"].replace("-", "_"), {})} for m in content["models"]]
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    return config


@pytest.fixture
def config(small_audit: Callable[..., Path], tmp_path: Path) -> Path:
    return small_audit(tmp_path / "audit")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Changes((), (), (), False)),
        ({"miniature_2": {"approved": True}}, Changes(("miniature-2",), (), (), False)),
        ({"miniature_1": {"settings": {"steps": 9, "size": 32}}}, Changes((), ("miniature-1",), (), False)),
        ({"miniature_1": {"retired": True}}, Changes((), (), ("miniature-1",), False)),
        ({"miniature_1": {"approved": False}}, Changes((), (), ("miniature-1",), False)),
        (
            {"miniature_2": {"settings": {"steps": 9, "size": 32}}},
            Changes((), (), (), False),
        ),  # not approved: nobody asked
    ],
)
def test_only_what_is_audited_changes_anything(
    config: Path, change: dict[str, dict[str, object]], expected: Changes
) -> None:
    before = registry_state(load_audit(config))
    after = registry_state(load_audit(models_of(config, **change)))
    assert registry_changes(before, after) == expected
    assert bool(registry_changes(before, after)) is (before != after)


def test_an_entry_that_is_gone_is_retired_and_one_that_comes_back_is_new(config: Path) -> None:
    state = registry_state(load_audit(config))
    without = {k: v for k, v in state.items() if k != "model miniature-1"}
    assert registry_changes(state, without).retired == ("miniature-1",)
    assert registry_changes(without, state).new == ("miniature-1",)


def tick(config: Path, instance: DagsterInstance, cursor: str | None, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("AUDIT_CONFIG", str(config))
    return new_model_versions(dg.build_sensor_context(instance, cursor=cursor), audit=AuditResource())


def test_the_sensor_asks_for_what_changed_and_a_broken_file_changes_nothing(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["ada", "zoe"])
        first = tick(config, instance, None, monkeypatch)
        assert isinstance(first, dg.SensorResult)
        assert [r.asset_selection for r in first.run_requests or []] == [
            [AssetKey("model_versions"), AssetKey("encoders")]
        ]
        again = tick(config, instance, first.cursor, monkeypatch)
        assert isinstance(again, dg.SkipReason)

        whole = config.read_text(encoding="utf-8")
        config.write_text(whole[: len(whole) // 2] + "\n  : [", encoding="utf-8")
        broken = tick(config, instance, first.cursor, monkeypatch)
        assert isinstance(broken, dg.SkipReason)
        assert "cannot be read" in (broken.skip_message or "")

        config.write_text(whole, encoding="utf-8")
        models_of(config, miniature_1={"settings": {"steps": 9, "size": 32}})
        changed = tick(config, instance, first.cursor, monkeypatch)
        assert isinstance(changed, dg.SensorResult)
        ranges = [r.tags for r in changed.run_requests or [] if r.asset_selection == [AssetKey("imitations")]]
        assert [t["dagster/asset_partition_range_start"] for t in ranges] == ["miniature-1|ada"]
        assert [t["dagster/asset_partition_range_end"] for t in ranges] == ["miniature-1|zoe"]
        assert json.loads(changed.cursor or "") != json.loads(first.cursor or "")


def keys(found: object) -> set[str | None]:
    assert isinstance(found, dg.SensorResult)
    return {request.run_key for request in found.run_requests or []}


def test_an_edit_that_is_undone_asks_again_and_a_tick_that_is_repeated_does_not(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster starts no run for a key that it has seen."""
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["ada", "zoe"])
        cursor = json.dumps(registry_state(load_audit(config)))  # as an earlier version wrote it
        assert isinstance(tick(config, instance, cursor, monkeypatch), dg.SkipReason)
        seen: set[str | None] = set()
        for steps in (9, 30, 9, 30):
            models_of(config, miniature_1={"settings": {"steps": steps, "size": 32}})
            found = tick(config, instance, cursor, monkeypatch)
            assert isinstance(found, dg.SensorResult)
            assert len(keys(found)) == 2
            assert not keys(found) & seen
            assert keys(tick(config, instance, cursor, monkeypatch)) == keys(found)
            seen |= keys(found)
            assert found.cursor is not None
            cursor = found.cursor
            assert isinstance(tick(config, instance, cursor, monkeypatch), dg.SkipReason)


def asked_for_images(found: object) -> list[str]:
    assert isinstance(found, dg.SensorResult)
    ranges = [r.tags for r in found.run_requests or [] if r.asset_selection == [AssetKey("imitations")]]
    return [tags["dagster/asset_partition_range_start"] for tags in ranges]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_version_that_comes_back_is_asked_for_its_images_again_and_one_that_is_new_is_not(
    config: Path, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    """Its cells exist, so no condition asks for them, and its settings may be others now."""
    whole = models_of(config, miniature_2={"approved": True}).read_text(encoding="utf-8")
    content = yaml.safe_load(whole)
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["ada", "zoe"])
        instance.add_dynamic_partitions("model_version", ["miniature-1"])
        first = tick(config, instance, None, monkeypatch)
        assert asked_for_images(first) == []
        if deleted:
            config.write_text(yaml.safe_dump({**content, "models": content["models"][1:]}), encoding="utf-8")
        else:
            models_of(config, miniature_1={"approved": False}, miniature_2={"approved": False})
        paused = tick(config, instance, first.cursor, monkeypatch)  # type: ignore[attr-defined]
        assert asked_for_images(paused) == []
        config.write_text(whole, encoding="utf-8")
        models_of(config, miniature_1={"settings": {"steps": 9, "size": 32}})
        back = tick(config, instance, paused.cursor, monkeypatch)  # type: ignore[attr-defined]
        assert asked_for_images(back) == [
            "miniature-1|ada"
        ]  # the conditions ask for the cells of miniature-2, which has none


def test_a_new_model_version_asks_for_its_own_cells_and_for_nothing_that_is_there() -> None:
    location = defs()
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["ada", "zoe"])
        instance.add_dynamic_partitions("model_version", ["one"])
        for asset in ("subjects", "model_versions"):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset))
        for subject in ("ada", "zoe"):
            instance.report_runless_asset_event(dg.AssetMaterialization("imitations", partition=f"one|{subject}"))
        settled = dg.evaluate_automation_conditions(location, instance)
        instance.add_dynamic_partitions("model_version", ["two"])
        instance.report_runless_asset_event(dg.AssetMaterialization("model_versions"))
        result = dg.evaluate_automation_conditions(location, instance, cursor=settled.cursor)
        assert result.get_requested_partitions(AssetKey("imitations")) == {"two|ada", "two|zoe"}
        assert not result.get_num_requested(AssetKey("reference_works"))


@pytest.mark.parametrize(("version", "asked"), [("1", set()), ("2", {"one|ada", "one|zoe"})])
def test_embeddings_are_asked_for_again_where_an_encoder_is_another_and_not_where_it_was_resolved_again(
    version: str, asked: set[str]
) -> None:
    location = defs()
    wanted = dg.AssetSelection.assets("imitation_embeddings")
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["ada", "zoe"])
        instance.add_dynamic_partitions("model_version", ["one"])

        def resolved(data_version: str) -> dg.AssetMaterialization:
            return dg.AssetMaterialization("encoders", tags={"dagster/data_version": data_version})

        instance.report_runless_asset_event(resolved("1"))
        for asset in ("imitations", "imitation_embeddings"):
            for subject in ("ada", "zoe"):
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=f"one|{subject}"))
        settled = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted)
        instance.report_runless_asset_event(resolved(version))
        result = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted, cursor=settled.cursor)
        assert result.get_requested_partitions(AssetKey("imitation_embeddings")) == asked


@pytest.mark.parametrize(("version", "asked"), [("1", 0), ("2", 1)])
def test_labels_are_asked_for_again_where_subjects_are_others_and_not_where_a_run_made_the_same_again(
    version: str, asked: int
) -> None:
    """`audit-assets run` makes the subjects each time, also with a UI beside it."""
    location, wanted = defs(), dg.AssetSelection.assets("label_embeddings")
    with DagsterInstance.ephemeral() as instance:

        def made(data_version: str) -> dg.AssetMaterialization:
            return dg.AssetMaterialization("subjects", tags={"dagster/data_version": data_version})

        instance.add_dynamic_partitions("referenced_subject", ["ada"])
        instance.report_runless_asset_event(dg.AssetMaterialization("reference_works", partition="ada"))
        instance.report_runless_asset_event(dg.AssetMaterialization("encoders"))
        for event in (made("1"), dg.AssetMaterialization("label_embeddings")):
            instance.report_runless_asset_event(event)
        settled = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted)
        instance.report_runless_asset_event(made(version))
        result = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted, cursor=settled.cursor)
        assert result.get_num_requested(AssetKey("label_embeddings")) == asked


def test_an_embedding_follows_its_images_and_no_others() -> None:
    location = defs()
    wanted = dg.AssetSelection.assets("imitation_embeddings")
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["ada", "zoe"])
        instance.add_dynamic_partitions("model_version", ["one"])
        instance.report_runless_asset_event(dg.AssetMaterialization("encoders"))
        settled = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted)
        instance.report_runless_asset_event(dg.AssetMaterialization("imitations", partition="one|zoe"))
        result = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted, cursor=settled.cursor)
        assert result.get_requested_partitions(AssetKey("imitation_embeddings")) == {"one|zoe"}


def test_a_comparison_does_not_wait_for_a_version_that_is_not_audited() -> None:
    location = defs()
    asset = AssetKey("model_comparison")
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("model_version", ["one", "two"])
        result = dg.evaluate_automation_conditions(location, instance, asset_selection=dg.AssetSelection.assets(asset))
        for name in ("identification", "matching", "verdicts"):
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition="one"))
        assert requested(location, instance, asset, result) == [0, 1, 0]


def requested(
    location: dg.Definitions, instance: DagsterInstance, asset: AssetKey, before: dg.EvaluateAutomationConditionsResult
) -> list[int]:
    """How often an asset is requested in the next three ticks."""
    found = []
    for _ in range(3):
        before = dg.evaluate_automation_conditions(
            location, instance, asset_selection=dg.AssetSelection.assets(asset), cursor=before.cursor
        )
        found.append(before.get_num_requested(asset))
    return found


@pytest.mark.long
def test_a_comparison_is_made_again_when_the_last_result_of_a_version_comes() -> None:
    """A version counts when all of its results exist (`results.comparison.audited`), and they come in any order."""
    location = defs()
    asset = AssetKey("model_comparison")
    made = {key.to_user_string() for key in location.resolve_asset_graph().get(asset).parent_keys}
    assert made == {*EXPERIMENTS} - {"image_texts"}
    assert len(made) == len(PER_MODEL)
    for last in sorted(made):
        with DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("model_version", ["one"])
            for name in made - {last}:
                instance.report_runless_asset_event(dg.AssetMaterialization(name, partition="one"))
            before = dg.evaluate_automation_conditions(
                location, instance, asset_selection=dg.AssetSelection.assets(asset)
            )
            assert before.get_num_requested(asset) == 0
            instance.report_runless_asset_event(dg.AssetMaterialization(last, partition="one"))
            assert requested(location, instance, asset, before) == [0, 1, 0], last


def test_a_comparison_is_not_requested_beside_a_result_that_the_same_news_requests() -> None:
    """It would read what was there before, and its own update would hide that of the result."""
    location = defs()
    asset, beside = AssetKey("model_comparison"), AssetKey("arm_results")
    wanted = dg.AssetSelection.assets(asset, beside)
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("model_version", ["one"])
        inputs = location.resolve_asset_graph().get(beside).parent_keys
        for key in inputs - {AssetKey("verdicts")}:
            partition = None if key.to_user_string() in ("label_embeddings", "auditability") else "one"
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
        settled = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted)
        instance.report_runless_asset_event(dg.AssetMaterialization("verdicts", partition="one"))
        result = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted, cursor=settled.cursor)
        assert result.get_num_requested(beside) == 1
        assert result.get_num_requested(asset) == 0


def test_a_report_waits_for_results_that_are_only_asked_for() -> None:
    location = defs()
    wanted = dg.AssetSelection.assets("verdicts", "audit_report")
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("model_version", ["one", "two"])
        for name in ("auditability", "audit_database"):
            instance.report_runless_asset_event(dg.AssetMaterialization(name))
        for name in ("identification", "matching", "verdicts", "sensitivity", "arm_results", "ratings"):
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition="one"))
        settled = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted)
        for name in ("identification", "matching"):
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition="two"))
        instance.report_runless_asset_event(dg.AssetMaterialization("audit_database"))
        result = dg.evaluate_automation_conditions(location, instance, asset_selection=wanted, cursor=settled.cursor)
        assert result.get_requested_partitions(AssetKey("audit_report")) == {"one"}


def test_every_week_each_audited_model_version_is_replayed_and_measured(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_CONFIG", str(config))

    def requested() -> dict[str | None, list[str]]:
        moment, audit = datetime(2026, 11, 23, 3), AuditResource()
        # If the schedule were given the resource itself, Dagster would leave an instance open in later tests.
        with dg.build_schedule_context(instance, moment, resources={"audit": audit}) as context:
            requests = weekly_reaudit(context)
        assert isinstance(requests, list)
        return {r.partition_key: [k.to_user_string() for k in r.asset_selection or []] for r in requests}

    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("model_version", ["miniature-1", "miniature-2", "gone"])
        models_of(config, miniature_2={"approved": True})
        by_model = requested()
        assert set(by_model) == {None, "miniature-1", "miniature-2"}
        assert by_model["miniature-2"][0] == "replayed_imitations"
        assert "identification" in by_model["miniature-1"]
        models_of(config, miniature_2={"approved": False})
        assert set(requested()) == {None, "miniature-1"}
        models_of(config, miniature_2={"approved": True, "retired": True})
        assert set(requested()) == {None, "miniature-1"}


def test_automation_runs_by_itself_and_the_weekly_schedule_only_when_it_is_switched_on() -> None:
    repository = defs().get_repository_def()
    sensors = {s.name: s.default_status for s in repository.sensor_defs}
    for name in ("cell_automation", "result_automation", "new_model_versions"):
        assert sensors[name] == dg.DefaultSensorStatus.RUNNING
    (schedule,) = repository.schedule_defs
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_the_pace_is_that_of_the_last_run_that_made_images() -> None:
    @dg.asset(name="imitations", config_schema={"made": int})
    def stand_in(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"images_made_now": context.op_execution_context.op_config["made"]})

    with DagsterInstance.ephemeral() as instance:
        assert pace(instance) is None
        for made in (4, 0):
            config = {"ops": {"imitations": {"config": {"made": made}}}}
            run = dg.materialize([stand_in], instance=instance, run_config=config).run_id
            if made:
                record = instance.get_run_record_by_id(run)
        assert record is not None
        assert record.start_time is not None
        assert record.end_time is not None
        assert pace(instance) == pytest.approx((record.end_time - record.start_time) / 4)


def test_a_job_reaudits_every_cell_under_a_protocol_that_changed() -> None:
    job = defs().resolve_job_def("reaudit_job")
    assert job.partitions_def == grid
    assert {k.to_user_string() for k in job.asset_layer.selected_asset_keys} == {"imitations", "imitation_embeddings"}
