"""The code location loads as the server loads it: light, and without reading an audit file."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from dagster import AssetKey, DagsterInstance

from audit_assets.definitions import defs

ROOT = Path(__file__).parents[2]


def test_loading_imports_nothing_heavy_and_reads_no_audit_file() -> None:
    code = (
        "import sys; from audit_assets.definitions import defs; defs().get_repository_def();"
        "print(sorted({'torch', 'diffusers', 'transformers', 'matplotlib', 'numba', 'scipy'} & set(sys.modules)))"
    )
    environment = {**os.environ, "AUDIT_CONFIG": "/nowhere/audit.yaml"}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert shown.stdout.strip() == "[]"


def test_pyproject_and_workspace_name_one_location() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert entry["python_module"]["location_name"] == project["code_location_name"]
    assert entry["python_module"]["module_name"] == project["code_location_target_module"]
    assert entry["python_module"]["working_directory"] == "."


def test_every_asset_says_what_it_is() -> None:
    graph = defs().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key
        assert node.owners, key
        assert node.kinds, key
        assert node.code_version, key


def test_what_depends_on_all_real_works_says_so() -> None:
    graph = defs().resolve_asset_graph()
    mapping = graph.get(AssetKey("matching")).partition_mappings[AssetKey("reference_embeddings")]
    assert type(mapping).__name__ == "AllPartitionMapping"


def test_the_gpu_assets_share_a_pool_and_ask_for_a_gpu() -> None:
    graph = defs().resolve_asset_graph()
    for name in ("imitations", "imitation_embeddings", "reference_embeddings"):
        definition = graph.assets_def_for_key(AssetKey(name))
        assert definition.op.pool == "gpu"
        limits = definition.op.tags["dagster-k8s/config"]
        assert "nvidia.com/gpu" in str(limits)


def test_the_homes_settings_are_ones_that_dagster_reads(tmp_path: Path) -> None:
    from audit_assets.driver import DAGSTER_YAML

    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
