"""The code location loads as the server loads it: light, and without reading an audit file."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from dagster import AssetKey, DagsterInstance
from dagster_k8s.job import UserDefinedDagsterK8sConfig
from dagster_ray.configs import RayExecutionConfig

import audit_assets
from audit_assets import encoders, generation, models, publication, references, results, roster
from audit_assets.definitions import defs
from audit_assets.defs.resources import GpuPod
from audit_assets.evidence import manifest
from audit_assets.runs.home import WORKSPACE

ROOT = Path(__file__).parents[2]


def test_loading_imports_nothing_heavy_and_reads_no_audit_file() -> None:
    code = (
        "import sys; from audit_assets.definitions import defs; defs().get_repository_def();"
        "print(sorted({'torch', 'diffusers', 'transformers', 'matplotlib', 'numba', 'scipy'} & set(sys.modules)))"
    )
    environment = {**os.environ, "AUDIT_CONFIG": "/nowhere/audit.yaml"}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_driver_imports_nothing_that_only_computes() -> None:
    code = (
        "import sys; import audit_assets.runs.driver;"
        "print(sorted({'torch', 'diffusers', 'transformers', 'matplotlib', 'numba', 'scipy.stats', 'scipy.optimize'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_pyproject_and_workspace_name_one_location() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (entry,) = yaml.safe_load(WORKSPACE.read_text())["load_from"]
    assert entry["python_module"]["location_name"] == project["code_location_name"]
    assert entry["python_module"]["module_name"] == project["code_location_target_module"]
    folder = (WORKSPACE.parent / entry["python_module"]["working_directory"]).resolve()
    assert folder == Path(audit_assets.__file__).resolve().parents[1]


def test_every_asset_says_what_it_is() -> None:
    graph = defs().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key
        assert node.owners, key
        assert node.kinds, key
        assert node.code_version, key


def test_the_code_version_of_an_asset_is_the_version_that_its_hashes_have() -> None:
    versions = {
        "roster": roster.VERSION,
        "registry": models.VERSION,
        "imitation": generation.VERSION,
        "reference": references.VERSION,
        "embedding": encoders.VERSION,
        "measurement": results.VERSION,
        "publication": publication.VERSION,
    }
    others = {
        "label_embeddings": encoders.LABELS_VERSION,
        "arm_images": generation.ARM_VERSION,
        "arm_embeddings": generation.ARM_VERSION,
        "audit_report": publication.REPORT_VERSION,
        "evidence_manifest": manifest.FORMAT,
    }
    graph = defs().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.code_version == str(others.get(key.to_user_string(), versions[node.group_name])), key


def test_what_depends_on_all_real_works_says_so() -> None:
    graph = defs().resolve_asset_graph()
    mapping = graph.get(AssetKey("matching")).partition_mappings[AssetKey("reference_embeddings")]
    assert type(mapping).__name__ == "AllPartitionMapping"


GPU_ASSETS = ("imitations", "imitation_embeddings", "reference_embeddings", "arm_images", "arm_embeddings")
SHOW = (
    "import json, sys; from audit_assets.definitions import defs; import dagster as dg; location = defs();"
    "graph = location.resolve_asset_graph(); location.get_repository_def();"
    "print(json.dumps({'executor': location.executor.name, 'clusters': sorted({'dagster_k8s', 'dagster_ray', 'ray'} & set(sys.modules)),"
    "'tags': {n: dict(graph.assets_def_for_key(dg.AssetKey(n)).op.tags) for n in "
    + repr(GPU_ASSETS)
    + "}, 'cells': graph.get(dg.AssetKey('imitations')).backfill_policy.max_partitions_per_run}))"
)


def location(**environment: str) -> subprocess.CompletedProcess[str]:
    """The code location loaded in a process of its own, under another environment."""
    return subprocess.run(
        [sys.executable, "-c", SHOW], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_the_gpu_assets_share_a_pool() -> None:
    graph = defs().resolve_asset_graph()
    for name in GPU_ASSETS:
        assert graph.assets_def_for_key(AssetKey(name)).op.pool == "gpu"


@pytest.mark.parametrize(
    ("deployment", "executor"), [("local", "in_process"), pytest.param("docker", "in_process", marks=pytest.mark.long)]
)
def test_outside_a_cluster_runs_are_one_process_and_no_cluster_is_imported(deployment: str, executor: str) -> None:
    shown = json.loads(location(AUDIT_DEPLOYMENT=deployment).stdout)
    assert shown["executor"] == executor
    assert shown["clusters"] == []
    assert all(not tags for tags in shown["tags"].values())
    assert shown["cells"] == 1000


def test_in_a_cluster_a_gpu_step_asks_for_a_gpu_as_the_settings_say() -> None:
    """Parsed as Kubernetes' launcher parses it: a typo in such a tag loads without a word."""
    pod = {
        "resource": "amd.com/gpu",
        "count": 2,
        "node_selector": {"pool": "a100"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    }
    shown = json.loads(location(AUDIT_DEPLOYMENT="k8s", AUDIT_GPU_POD=json.dumps(pod)).stdout)
    assert shown["executor"] == "k8s"
    assert shown["clusters"] == ["dagster_k8s"]
    assert shown["cells"] < 1000
    for name in GPU_ASSETS:
        config = UserDefinedDagsterK8sConfig.from_dict(json.loads(shown["tags"][name]["dagster-k8s/config"]))
        assert config.container_config["resources"] == {"limits": {"amd.com/gpu": "2"}}
        assert config.pod_spec_config["node_selector"] == {"pool": "a100"}
        (toleration,) = config.pod_spec_config["tolerations"]
        assert toleration == {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}


def test_on_ray_a_run_is_one_process_and_a_gpu_asset_requests_what_the_settings_say() -> None:
    """Parsed as dagster-ray's launcher parses it. Ray itself is not imported: the daemon launches runs."""
    job = {"num_gpus": 0.5, "num_cpus": 8, "memory": 1 << 34, "resources": {"a100": 1}}
    shown = json.loads(location(AUDIT_DEPLOYMENT="ray", AUDIT_RAY_JOB=json.dumps(job), AUDIT_CELLS_PER_RUN="12").stdout)
    assert shown["executor"] == "in_process"
    assert shown["clusters"] == []
    assert shown["cells"] == 12
    for name in GPU_ASSETS:
        config = RayExecutionConfig.from_tags(shown["tags"][name])
        assert config.model_dump(exclude_none=True) == job


def test_without_settings_a_gpu_step_asks_for_one_nvidia_gpu_and_tolerates_its_taint() -> None:
    config = UserDefinedDagsterK8sConfig.from_dict(GpuPod().tags()["dagster-k8s/config"])
    assert config.container_config["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert config.pod_spec_config["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "node_selector" not in config.pod_spec_config


def test_a_deployment_that_is_not_known_is_said_at_once() -> None:
    assert (
        "AUDIT_DEPLOYMENT: 'cloud' is not one of local, docker, k8s, ray." in location(AUDIT_DEPLOYMENT="cloud").stderr
    )


def test_the_homes_settings_are_ones_that_dagster_reads(tmp_path: Path) -> None:
    from audit_assets.runs.home import DAGSTER_YAML

    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
