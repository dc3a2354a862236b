"""The small audit on a Ray cluster of two nodes, one of which is lost in the middle: the same tables and hashes as on one machine.

The nodes are Ray's own processes on this machine. A resource of the cluster stands for a GPU, and each node has one.
"""

import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

from audit_assets.config import load_audit
from audit_assets.evidence.manifest import parse_manifest
from audit_assets.evidence.verify import verify
from audit_assets.publication.sealed import sealed
from audit_assets.runs.lost_runs import DRIVER
from audit_assets.workspace import Workspace
from audit_assets_tests.evidence.forging import MODEL, findings
from audit_assets_tests.evidence.forging import read as read_evidence
from audit_assets_tests.postgres_server import postgres
from audit_assets_tests.processes import without_limits
from audit_assets_tests.ray_cluster import Cluster, cluster, kill
from audit_assets_tests.s3_server import Gate, gate, keys, objects, s3_server
from audit_assets_tests.service import DOCKER, ROOT, SERVICES, Service, ray_settings, until
from audit_assets_tests.test_audit_in_s3 import files_of, tables_of

BUCKET, PREFIX = "audits", "small"
CELLS = f"{BUCKET}/{PREFIX}/imitations/{MODEL}/"
GPU = "stand_in_for_a_gpu"


def write_home(home: Path, ray: dict[str, Any], **monitoring: int) -> None:
    """Dagster's home, as the page says to make it; `ray` replaces settings of the launcher."""
    home.mkdir()
    settings = yaml.safe_load((DOCKER / "dagster.yaml").read_text(encoding="utf-8")) | ray_settings()
    settings["run_launcher"]["config"]["ray"] |= ray
    settings["run_monitoring"] |= monitoring
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


@dataclass
class Lab:
    """The service, two nodes behind a gate each, and the store and the database that they share."""

    config: Path
    home: Path
    service: Service
    ray: Cluster
    nodes: "tuple[Any, Any]"
    gates: tuple[Gate, Gate]
    store: Any

    def cells(self, node: int) -> set[str]:
        """Subjects whose images a node has made."""
        return {Path(key).stem for key in list(self.gates[node].uploaded) if key.startswith(CELLS)}

    def root(self) -> str | None:
        """The root of the manifest, as soon as there is one."""
        place = f"{PREFIX}/manifests/{MODEL}.json"
        if place not in keys(self.store, BUCKET, place):
            return None
        return parse_manifest(self.store.get_object(Bucket=BUCKET, Key=place)["Body"].read().decode(), place).root

    def hashes(self) -> dict[str, str]:
        found = objects(self.store, BUCKET)
        return {
            k.removeprefix(f"{PREFIX}/"): hashlib.sha256(sealed(content)).hexdigest() for k, content in found.items()
        }


@pytest.fixture
def lab(small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    home, threads = tmp_path / "home", torch.get_num_threads()
    config = small_audit(tmp_path / "audit", verdicts=True, warehouse=f"s3://{BUCKET}/{PREFIX}/")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        behind, store = stack.enter_context(s3_server(BUCKET))
        gates = [stack.enter_context(gate(behind)) for _ in range(2)]
        ray = stack.enter_context(cluster(cpus=3 * threads, resources={GPU: 1}))
        told = {"AUDIT_DEPLOYMENT": "ray", "AUDIT_CONFIG": str(config)}
        write_home(
            home,
            {
                "address": ray.dashboard,
                "num_cpus": threads,
                "env_vars": [f"{name}={value}" for name, value in told.items()],
            },
            poll_interval_seconds=5,
        )
        ours = {**behind, **database, "DAGSTER_HOME": str(home), "AUDIT_DAGSTER_HOME": str(home)}
        ours |= {"DAGSTER_LOGS": str(tmp_path / "logs")}
        for name, value in ours.items():
            monkeypatch.setenv(name, value)
        # As many threads as the audit on one machine had: Ray gives a job as many as `num_cpus`.
        shared = {**without_limits(), **ours, "PYTHONPATH": str(ROOT)}
        shared["PATH"] = f"{Path(torch.__file__).parents[4] / 'bin'}:{os.environ['PATH']}"
        first, second = (ray.add({**shared, **through}) for through, _ in gates)
        request = {"AUDIT_RAY_JOB": json.dumps({"num_gpus": 0, "resources": {GPU: 1}}), "AUDIT_CELLS_PER_RUN": "14"}
        service = Service({**ours, **told, **request, **ray.access}, tmp_path)
        try:
            yield Lab(config, home, service, ray, (first, second), (gates[0][1], gates[1][1]), store)
        finally:
            for name in list(service.running):
                service.kill(name)


def ticked(lab: Lab) -> bool:
    """Whether the sensors looked at the assets once. They make what is new after that."""
    said = (lab.home.parent / "daemon.log").read_text(encoding="utf-8", errors="replace")
    return all(
        f"Finished auto-materialization tick for {name}" in said for name in ("cell_automation", "result_automation")
    )


def lost_with_their_node(instance: DagsterInstance) -> list[DagsterRun]:
    failed = [run for run in instance.get_runs() if run.status == DagsterRunStatus.FAILURE]
    return [run for run in failed if any(r.parent_run_id == run.run_id for r in instance.get_runs())]


@pytest.mark.long(minutes=9)
def test_an_audit_on_two_nodes_of_which_one_is_lost_is_the_audit_on_one_machine(lab: Lab, audited: Path) -> None:
    expected, root = files_of(audited), read_evidence(audited).root
    with pytest.raises(urllib.error.HTTPError, match="401"):  # a caller without the token
        urllib.request.urlopen(f"{lab.ray.dashboard}/api/jobs/", timeout=30)
    assert lab.service.once(SERVICES["migrate"]["command"]).returncode == 0
    with DagsterInstance.from_config(str(lab.home)) as instance:
        done = lab.service.once(["dagster", "instance", "concurrency", "set", "gpu", "2"])
        assert done.returncode == 0, done.stderr
        for name in ("code", "daemon"):
            lab.service.start(name)
        until(lambda: ticked(lab), "the sensors have looked once", lab.service)
        done = lab.service.once(["audit-assets", "roster"])
        assert done.returncode == 0, done.stdout + done.stderr

        # The sensors make everything else. Both nodes make cells, and the second is lost while it uploads a further one.
        until(lambda: lab.cells(0) and lab.cells(1), "both nodes have made cells", lab.service, seconds=600)
        lab.gates[1].skip, lab.gates[1].hold = 0, 1
        assert lab.gates[1].held.wait(120), lab.service.logs()
        made_by_the_lost = lab.cells(1)
        kill(lab.nodes[1])
        lab.gates[1].opened.set()

        until(lambda: lost_with_their_node(instance), "Dagster has begun a lost run again", lab.service, seconds=300)
        until(lambda: lab.root() == root, "the manifest has the root of the other audit", lab.service, seconds=3600)
        until(lambda: expected.items() <= lab.hashes().items(), "every file is that of the other audit", lab.service)
        jobs = {job["submission_id"]: job for job in lab.ray.ask("/api/jobs/")}
        runs = {run.run_id: run for run in instance.get_runs() if DRIVER not in run.tags}
        # The monitoring, which knows jobs of Ray alone, left the runs of `audit-assets roster` as they were.
        of_the_command = [run.run_id for run in instance.get_runs() if DRIVER in run.tags]
        assert of_the_command
        for run_id in of_the_command:
            assert not instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE)

    # What a node had made before it was lost is kept, and the other node made the rest. The store may have taken the upload that was held.
    assert made_by_the_lost <= lab.cells(1)
    assert len(lab.cells(1)) <= len(made_by_the_lost) + 1
    assert lab.cells(0) == set(Workspace.open(lab.config).prompted()) - lab.cells(1)
    # Exactly the runs that were lost were begun again. Each was a job of the lost node, and its successor a job of the other.
    lost = {i for i in runs if jobs[f"dagster-run-{i}"]["error_type"] == "JOB_SUPERVISOR_ACTOR_DIED"}
    successors = {run.parent_run_id: run for run in runs.values() if run.parent_run_id is not None}
    assert lost
    assert successors.keys() == lost
    assert len({jobs[f"dagster-run-{i}"]["driver_node_id"] for i in lost}) == 1
    for i, again in successors.items():
        assert again.status == DagsterRunStatus.SUCCESS
        ours, theirs = (jobs[f"dagster-run-{run_id}"]["driver_node_id"] for run_id in (i, again.run_id))
        assert ours != theirs

    there = lab.hashes()
    assert {name for name in there.keys() - expected.keys() if not name.endswith(".lock")} == {
        "audit.duckdb",
        "published.parquet",
        f"manifests/{MODEL}.json",
    }
    ws = Workspace.open(lab.config)
    assert lab.root() == root
    assert findings(list(verify(ws, MODEL, replay=0, sample=2))) == []
    local = tables_of(load_audit(audited).local("warehouse/audit.duckdb"))
    for name, table in tables_of(ws.database).items():
        pd.testing.assert_frame_equal(table, local.pop(name))
    assert local == {}
