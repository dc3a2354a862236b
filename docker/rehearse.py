"""Rehearse the image without a Docker engine. The script runs every step of the Dockerfile in a clean Debian root, then its processes.

    apt-get install mmdebstrap postgresql
    python docker/rehearse.py FOLDER [--build-arg NAME=VALUE] [--bind PATH] [--run]

Run it as root on Debian. A stage is a folder that `mmdebstrap` made; it has Debian's Python in place of the Python image. RUN runs in
a chroot. COPY copies the files that .dockerignore lets through. The processes run as the image's user, without any capability, on a
root that is mounted read-only, and the healthcheck asks them. `--run` makes the small audit in that root. `--bind` mounts a path of this
machine that pip needs (its settings, wheels). The rehearsal does not show what Docker itself does: layers, networks, volumes, GPUs.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Pairs of an instruction and its arguments. Continued lines are joined."""
    text = "\n".join(
        line for line in dockerfile.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    )
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, rest = line.strip().split(None, 1)
            yield word, rest.strip()


def expanded(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda m: values.get(m[1], ""), text)


class Stage:
    def __init__(self, folder: Path, base: Path, binds: list[Path]) -> None:
        self.folder, self.binds = folder, binds
        self.args: dict[str, str] = {}
        self.env: dict[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
        self.workdir, self.user = "/", ""
        self.command: list[str] = []
        self.healthcheck: list[str] = []
        subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(folder)], check=True)

    def here(self, path: str) -> Path:
        return self.folder / (Path(self.workdir) / path).as_posix().lstrip("/")

    def run(self, script: str) -> None:
        print(f"   RUN {script[:100]}", flush=True)
        # Build arguments are variables of the shell, as in Docker. The settings of pip on this machine are passed on.
        ours = {
            k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_CERT")) or k.lower().endswith("_proxy")
        }
        with mounted(self.folder, self.binds, tmp=False):
            inside = f"cd {shlex.quote(self.workdir)} && {script}"
            subprocess.run(
                ["chroot", str(self.folder), "/bin/sh", "-c", inside], env={**ours, **self.args, **self.env}, check=True
            )

    def copy(self, source: Path, target: str) -> None:
        goal = self.here(target)
        if target.endswith("/") or target == ".":
            goal = goal / source.name
        goal.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, goal, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(source, goal)


@contextmanager
def mounted(root: Path, binds: list[Path], *, tmp: bool) -> Iterator[None]:
    with ExitStack() as stack:

        def mount(*arguments: str, at: Path) -> None:
            at.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", *arguments, str(at)], check=True)
            stack.callback(subprocess.run, ["umount", "-l", str(at)], check=True)

        for name in ("proc", "sys", "dev"):
            mount("--rbind", f"/{name}", at=root / name)
            subprocess.run(["mount", "--make-rslave", str(root / name)], check=True)
        for path in binds:
            mount("--bind", str(path), at=root / str(path).lstrip("/"))
        if tmp:
            mount("-t", "tmpfs", "tmpfs", at=root / "tmp")
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
        yield


def build(folder: Path, build_args: Mapping[str, str], binds: list[Path]) -> Stage:
    base = folder / "base"
    if not base.exists():
        packages = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["mmdebstrap", "--variant=minbase", packages, "bookworm", str(base)], check=True)
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for word, rest in instructions(ROOT / "docker" / "Dockerfile"):
        if word == "ARG" and stage is None:
            continue
        if word == "FROM":
            name = rest.split(" AS ")[1] if " AS " in rest else "image"
            print(f"== stage {name}", flush=True)
            shutil.rmtree(folder / name, ignore_errors=True)
            stage = stages[name] = Stage(folder / name, base, binds)
            continue
        assert stage is not None
        known = {**stage.args, **stage.env}
        if word == "ARG":
            name, _, default = rest.partition("=")
            stage.args[name] = build_args.get(name, default)
        elif word == "ENV":
            stage.env |= dict(item.split("=", 1) for item in shlex.split(expanded(rest, known)))
        elif word == "WORKDIR":
            stage.workdir = rest
            stage.here(".").mkdir(parents=True, exist_ok=True)
        elif word == "RUN":
            stage.run(rest)
        elif word == "COPY" and rest.startswith("--from="):
            source, *paths = rest.removeprefix("--from=").split()
            subprocess.run(["cp", "-a", str(stages[source].here(paths[0])), str(stage.here(paths[1]))], check=True)
        elif word == "COPY":
            *sources, target = rest.split()
            for path in sources:
                stage.copy(ROOT / path, target)
        elif word == "USER":
            stage.user = rest
        elif word == "CMD":
            stage.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            stage.healthcheck = json.loads(rest.split("CMD", 1)[1])
        elif word not in ("LABEL", "EXPOSE"):
            raise ValueError(f"the rehearsal does not know {word}")
    return stages["image"]


@contextmanager
def container(image: Stage, environment: Mapping[str, str], volumes: Mapping[str, Path]) -> Iterator[list[str]]:
    """The words that run a command in the image: as its user, without capabilities, read-only except for /tmp and volumes."""
    uid, gid = image.user.split(":")
    with mounted(image.folder, [], tmp=True), ExitStack() as stack:
        for at, source in volumes.items():
            subprocess.run(["mount", "--bind", str(source), str(image.here(at))], check=True)
            stack.callback(subprocess.run, ["umount", "-l", str(image.here(at))], check=True)
        variables = [f"{k}={v}" for k, v in {**image.env, **environment}.items()]
        rights = [
            "setpriv",
            f"--reuid={uid}",
            f"--regid={gid}",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all",
            "--inh-caps=-all",
        ]
        as_user = shlex.join([*rights, "env", "-i", f"--chdir={image.workdir}", *variables])
        # In a mount namespace of its own, the script binds the root with all mounts below it to itself and makes it read-only.
        script = f'mount --rbind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot "$0" {as_user} "$@"'
        yield ["unshare", "--mount", "sh", "-c", script, str(image.folder)]


def rehearse(image: Stage, folder: Path, *, audit: bool) -> None:
    from audit_assets_tests.postgres_server import postgres

    uid = int(image.user.split(":")[0])
    volumes = {"/var/lib/dagster": folder / "dagster", "/warehouse": folder / "warehouse", "/audit": folder / "audit"}
    shutil.copytree(ROOT / "data" / "miniature", volumes["/audit"], dirs_exist_ok=True)
    small = (volumes["/audit"] / "small.yaml").read_text(encoding="utf-8")
    (volumes["/audit"] / "small.yaml").write_text(
        re.sub(r"(?m)^warehouse: .*", "warehouse: /warehouse/", small), encoding="utf-8"
    )
    for name in ("/var/lib/dagster", "/warehouse"):
        shutil.rmtree(volumes[name], ignore_errors=True)
        shutil.copytree(image.here(name), volumes[name])  # a new volume starts as a copy of the image's folder
        subprocess.run(["chown", "-R", str(uid), str(volumes[name])], check=True)
    with postgres() as storage, container(image, {**storage, "AUDIT_CONFIG": "/audit/service.yaml"}, volumes) as inside:

        def run(*command: str, check: bool = True) -> int:
            print(f"-- {shlex.join(command)}", flush=True)
            return subprocess.run([*inside, *command], check=check).returncode

        written = "touch /srv/audit/x /etc/x /opt/venv/x /audit/x"
        said = subprocess.run(
            [*inside, "sh", "-c", f"{written}; id -u; touch /warehouse/x && rm /warehouse/x && echo room"],
            capture_output=True,
            text=True,
        )
        assert said.stdout.split() == [str(uid), "room"], said
        assert said.stderr.count("Read-only file system") + said.stderr.count("Permission denied") == 4, said.stderr
        run("dagster", "instance", "migrate")
        # A shell makes its background processes ignore the interrupt. Dagster would then ignore the signal to end, too.
        server = subprocess.Popen(
            [*inside, *image.command], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        )
        try:
            for _ in range(60):
                time.sleep(2)
                if run(*image.healthcheck, check=False) == 0:
                    break
            else:
                raise SystemExit("the healthcheck never passed")
        finally:
            server.terminate()  # `docker stop` does the same
            try:
                server.wait(60)
            finally:
                server.kill()
        if audit:
            run("audit-assets", "run", "--config", "/audit/small.yaml")
    print("the image's steps, its processes and its healthcheck work")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--build-arg", action="append", default=[])
    parser.add_argument("--bind", action="append", default=[], type=Path)
    parser.add_argument("--run", action="store_true", help="make the small audit inside")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    image = build(asked.folder.resolve(), dict(a.split("=", 1) for a in asked.build_arg), asked.bind)
    rehearse(image, asked.folder.resolve(), audit=asked.run)


if __name__ == "__main__":
    main()
