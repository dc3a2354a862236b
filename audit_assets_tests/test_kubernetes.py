"""The job that Dagster sends to Kubernetes for a GPU step, with the values of the Helm chart: sent for real, to an API server
that keeps what it is sent.

There is no cluster here. Dagster's own launcher, executor and client run as in one.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster import DagsterInstance

ROOT = Path(__file__).parents[1]
VALUES = yaml.safe_load((ROOT / "docker" / "helm-values.yaml").read_text(encoding="utf-8"))
LAUNCHER = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
(DEPLOYMENT,) = VALUES["dagster-user-deployments"]["deployments"]

SCHEMAS = ("1.31", "1.34", "1.37")
"""Versions of Kubernetes whose schemas must take what is sent, without a field that they do not know."""


class Cluster(BaseHTTPRequestHandler):
    """As much of Kubernetes' API as a step asks: a job is made, and when it is looked after it has failed."""

    jobs: list[dict[str, Any]]

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.jobs.append(job)
        self._send(job)

    def do_GET(self) -> None:
        self._send({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "x"}, "status": {"failed": 1}})

    def _send(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[str]:
    Cluster.jobs = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m[1].lower(), name)


def launcher_settings(kubeconfig: Path) -> dict[str, Any]:
    """`run_launcher` of dagster.yaml as the chart writes it from the values, with a kubeconfig in place of the cluster's."""
    config = {
        snake(k): v for k, v in LAUNCHER.items() if k not in ("loadInclusterConfig", "runK8sConfig", "envSecrets")
    }
    config["run_k8s_config"] = {snake(k): v for k, v in LAUNCHER["runK8sConfig"].items()}
    config["env_secrets"] = [s["name"] for s in LAUNCHER["envSecrets"]]
    config |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(kubeconfig),
        "job_namespace": "audit",
        "service_account_name": "audit-dagster",
        "instance_config_map": "audit-dagster-instance",
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
        "dagster_home": VALUES["global"]["dagsterHome"],
        "job_image": f"{DEPLOYMENT['image']['repository']}:{DEPLOYMENT['image']['tag']}",
    }
    return {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": config}


@pytest.mark.long
def test_a_gpu_step_asks_for_its_gpu_node_volumes_and_environment_and_no_more_rights(
    cluster: str, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": cluster}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
                "current-context": "c",
            }
        )
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        yaml.safe_dump({"run_launcher": launcher_settings(kubeconfig), "telemetry": {"enabled": False}})
    )
    with DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("referenced_subject", ["ada-brandvold"])
    environment = dict(variable.split("=", 1) for variable in LAUNCHER["envVars"])
    command = [
        "-m",
        "dagster",
        "asset",
        "materialize",
        "-m",
        "audit_assets.definitions",
        "--select",
        "reference_embeddings",
    ]
    run = subprocess.Popen(
        [sys.executable, *command, "--partition", "ada-brandvold"],
        env={**os.environ, **environment, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not Cluster.jobs and run.poll() is None:
        time.sleep(0.2)
    run.kill()
    assert len(Cluster.jobs) == 1, run.communicate()[0]
    (job,) = Cluster.jobs
    for version in SCHEMAS:
        kubernetes_validate.validate(job, version, strict=True)
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.internal/audit-assets:0.1.0-cuda"
    # One GPU, on a node that has them, beside the memory that every run asks for.
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    # Weights and inputs, read-only.
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/weights"]["readOnly"]
    assert mounts["/audit"]["readOnly"]
    claims = {v["name"]: v["persistentVolumeClaim"] for v in pod["volumes"] if v.get("persistentVolumeClaim")}
    assert claims == {name: {"claimName": name, "readOnly": True} for name in ("audit", "weights")}
    # What the step must know, and secrets by name only.
    variables = {v["name"]: v.get("value") for v in container["env"]}
    assert {name: variables[name] for name in environment} == environment
    assert variables["DAGSTER_RUN_STEP_KEY"] == "reference_embeddings"
    assert {"secretRef": {"name": "audit-s3"}} in container["envFrom"]
    # An ordinary user without rights, on a file system that it cannot change.
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "/tmp" in mounts  # the one place to write


def test_code_server_and_runs_are_told_the_same() -> None:
    told = dict(variable.split("=", 1) for variable in LAUNCHER["envVars"])
    assert {v["name"]: v["value"] for v in DEPLOYMENT["env"]} == told
    assert DEPLOYMENT["volumes"] == LAUNCHER["volumes"]
    assert VALUES["dagsterDaemon"]["image"] == VALUES["dagsterWebserver"]["image"] == DEPLOYMENT["image"]


def test_the_charts_version_is_dagsters() -> None:
    text = (ROOT / "docker" / "helm-values.yaml").read_text(encoding="utf-8")
    pinned = re.search(r"^dagster==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert pinned is not None
    assert f"--version {pinned[1]} " in text


def test_nothing_of_the_chart_is_open_to_everyone() -> None:
    assert VALUES["dagsterWebserver"]["service"]["type"] == "ClusterIP"
    assert VALUES["ingress"]["enabled"] is False
    assert VALUES["telemetry"]["enabled"] is False
    assert VALUES["generatePostgresqlPasswordSecret"] is False
    assert "postgresqlPassword" not in VALUES["postgresql"]
    assert VALUES["dagsterDaemon"]["runRetries"]["maxRetries"] <= 3


def deployment(of: dict[str, Any], *, name: str) -> dict[str, Any]:
    """The deployment that the chart makes from one part of the values, as far as the values say what is in it."""
    fields = ("env", "volumeMounts", "securityContext", "resources")
    image = of["image"]
    container = {
        "name": name,
        "image": f"{image['repository']}:{image['tag']}",
        "imagePullPolicy": image["pullPolicy"],
        "envFrom": [{"secretRef": secret} for secret in of.get("envSecrets", [])],
        **{field: of[field] for field in fields if field in of},
    }
    labels = {"app": name}
    pod = {"containers": [container], "volumes": of["volumes"], "securityContext": of["podSecurityContext"]}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("version", SCHEMAS)
def test_every_part_of_a_pod_in_the_values_is_one_that_kubernetes_knows(version: str) -> None:
    parts = {"webserver": VALUES["dagsterWebserver"], "daemon": VALUES["dagsterDaemon"], "code": DEPLOYMENT}
    for name, part in parts.items():
        kubernetes_validate.validate(deployment(part, name=name), version, strict=True)
    pod = {
        "containers": [{"name": "run", "image": "x", **LAUNCHER["runK8sConfig"]["containerConfig"], "volumeMounts": LAUNCHER["volumeMounts"]}],
        "volumes": LAUNCHER["volumes"],
        "restartPolicy": "Never",
        **LAUNCHER["runK8sConfig"]["podSpecConfig"],
    }  # fmt: skip
    spec = {"template": {"spec": pod}, **LAUNCHER["runK8sConfig"]["jobSpecConfig"]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}, "spec": spec}
    kubernetes_validate.validate(job, version, strict=True)


@pytest.mark.parametrize(
    "wrong",
    [{"volumeMounts": [{"name": "audit", "mountpath": "/audit"}]}, {"resources": {"limits": {"memory": ["4Gi"]}}}],
    ids=["a field that does not exist", "a value of another type"],
)
def test_a_part_of_a_pod_that_kubernetes_would_refuse_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment({**DEPLOYMENT, **wrong}, name="code"), SCHEMAS[-1], strict=True)
