"""What assets read while a driver runs them, and while none does."""

import os
import re
from pathlib import Path

import pytest

from audit_assets.defs.resources import DEPLOYMENTS, AuditResource, deployment, in_use
from audit_assets.errors import InputError
from audit_assets.workspace import Workspace

AUDIT = """\
artist: Ada Example
batch_size: {size}
models: [{{name: m, source: diffusers, path: m}}]
encoders: [{{name: e, kind: image_text, path: e}}]
"""


def test_an_edit_during_a_run_reaches_no_asset_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "audit.yaml"
    file.write_text(AUDIT.format(size=3), encoding="utf-8")
    monkeypatch.setenv("AUDIT_CONFIG", str(file))
    with in_use(Workspace.open(file)):
        assert AuditResource().workspace.audit.batch_size == 3
        assert (tmp_path / "warehouse" / "warehouse.json").exists()
        for edited in (AUDIT.format(size=4), "models: ["):
            file.write_text(edited, encoding="utf-8")
            assert AuditResource().workspace.audit.batch_size == AuditResource().audit.batch_size == 3
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AUDIT_CONFIG", os.path.join(".", "audit.yaml"))
        assert AuditResource().audit.batch_size == 3
    with pytest.raises(InputError, match="not YAML"):
        _ = AuditResource().audit
    file.write_text(AUDIT.format(size=4), encoding="utf-8")
    assert AuditResource().workspace.audit.batch_size == 4


def test_another_audit_is_read_from_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("one", 3), ("two", 4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "audit.yaml").write_text(AUDIT.format(size=size), encoding="utf-8")
    with in_use(Workspace.open(tmp_path / "one" / "audit.yaml")):
        monkeypatch.setenv("AUDIT_CONFIG", str(tmp_path / "two" / "audit.yaml"))
        assert AuditResource().workspace.audit.batch_size == 4


def test_a_run_on_ray_has_fewer_cells_and_a_whole_gpu_unless_the_settings_say_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUDIT_DEPLOYMENT", "ray")
    for name in ("AUDIT_RAY_JOB", "AUDIT_CELLS_PER_RUN"):
        monkeypatch.delenv(name, raising=False)
    assert deployment() == DEPLOYMENTS["ray"]
    assert deployment().cells_a_run == DEPLOYMENTS["k8s"].cells_a_run < DEPLOYMENTS["docker"].cells_a_run
    assert deployment().gpu_tags()["dagster-ray/config"]["num_gpus"] == 1
    monkeypatch.setenv("AUDIT_CELLS_PER_RUN", "12")
    monkeypatch.setenv("AUDIT_RAY_JOB", '{"num_gpus": 0, "resources": {"rack": 2}}')
    assert deployment().cells_a_run == 12
    assert deployment().gpu_tags() == {"dagster-ray/config": {"num_gpus": 0, "resources": {"rack": 2}}}


@pytest.mark.parametrize(
    ("row", "variable", "value", "said"),
    [
        ("k8s", "AUDIT_GPU_POD", '{"gpus": 1}', 'gpus: Extra inputs are not permitted; give JSON such as {"resource":'),
        ("k8s", "AUDIT_GPU_POD", "{", "the value: Invalid JSON"),
        ("ray", "AUDIT_RAY_JOB", '{"gpus": 1}', 'gpus: Extra inputs are not permitted; give JSON such as {"num_gpus":'),
        ("ray", "AUDIT_RAY_JOB", '{"num_gpus": 2}', "num_gpus: Input should be less than or equal to 1"),
        ("ray", "AUDIT_RAY_JOB", '{"num_gpus": "one"}', "num_gpus: Input should be a valid number"),
        (
            "ray",
            "AUDIT_RAY_JOB",
            '{"num_cpus": 1.5}',
            "num_cpus: 1.5 is above 1 and not a whole number, which Ray refuses",
        ),
        ("ray", "AUDIT_RAY_JOB", '{"num_cpus": 1e999}', "num_cpus: Input should be a finite number"),
        ("ray", "AUDIT_RAY_JOB", '{"resources": {"x": 0}}', "resources.x: Input should be greater than 0"),
        (
            "ray",
            "AUDIT_RAY_JOB",
            '{"resources": {"GPU": 1}}',
            "resources: GPU: Ray's own resources are num_cpus, num_gpus",
        ),
    ],
)
def test_a_setting_that_the_cluster_would_refuse_is_named(
    row: str, variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=re.escape(f"{variable}, {said}")):
        DEPLOYMENTS[row].gpu_tags()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_cells_that_is_no_number_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DEPLOYMENT", "ray")
    monkeypatch.setenv("AUDIT_CELLS_PER_RUN", value)
    with pytest.raises(InputError, match=f"AUDIT_CELLS_PER_RUN: '{value}' is not a whole number above 0, such as 70"):
        deployment()
