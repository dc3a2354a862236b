"""What tests share: the miniature's folder, and a small audit of it in a folder of the test's own."""

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from audit_assets.config import PROTOCOLS

# The suite runs one process per core. If each of them used all cores, they would wait for one another most of the time. torch reads this
# when it is loaded, which no import above does, and processes that tests start inherit it: another number of threads draws other images.
os.environ["OMP_NUM_THREADS"] = "1"

MINIATURE = Path(__file__).parent.parent / "data" / "miniature"


MADE_ONCE = ("both_versions", "audited", "simulated")
"""Fixtures that one process makes, in half a minute or more, while the others wait."""
LONG = 40
"""A long test takes about as long as so many others, unless its marker states its `minutes`. The files that take longest come first, so that
no process is left alone with one at the end."""
MINUTE = 120
"""Tests that are not long, in a minute."""


@pytest.hookimpl(trylast=True)  # after the tests that are not asked for are gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files so that no process waits: one file makes the finished audits, and meanwhile the others run what needs none."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    size = {file: sum(_parts(item) for item in own) for file, own in files.items()}
    asked = {file: {name for item in own for name in getattr(item, "fixturenames", ())} for file, own in files.items()}
    needed = {file: next((name for name in MADE_ONCE if name in names), "") for file, names in asked.items()}
    first = {
        name: min((f for f in files if needed[f] == name), key=lambda f: size[f], default=None) for name in MADE_ONCE
    }
    maker = first["both_versions"] or first["audited"]
    later = ("", "audited", "both_versions", "simulated")
    order = sorted(
        files,
        key=lambda f: (f != maker, needed[f] != "", f != first["simulated"], later.index(needed[f]), -size[f]),
    )
    items[:] = [item for file in order for item in files[file]]


def _parts(item: pytest.Item) -> int:
    """How long a test takes, in tests that are not long."""
    marker = item.get_closest_marker("long")
    return int(MINUTE * marker.kwargs["minutes"]) if marker and marker.kwargs else LONG if marker else 1


def pytest_collection_finish() -> None:
    """The modules that collection loaded stay until the end. The garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def miniature() -> Path:
    if not (MINIATURE / "generated").is_dir():
        from audit_assets.miniature.draw import draw

        draw(MINIATURE)
    return MINIATURE


@pytest.fixture(scope="session")
def small_audit(miniature: Path) -> Callable[..., Path]:
    """Writes an audit file like `small.yaml` into a folder, with absolute inputs and a warehouse of its own; `changes` replace fields.

    With `verdicts`, it draws in five steps, the fewest in which every trained artist is still found. Otherwise it has eight random names, a
    sixth of those that a verdict needs, and draws in two steps, in which nothing shows: a third of the time.
    """

    def write(folder: Path, *, verdicts: bool = False, **changes: object) -> Path:
        content = yaml.safe_load((miniature / "small.yaml").read_text(encoding="utf-8"))
        for entry in content["models"]:
            entry["settings"]["steps"] = 5 if verdicts else 2
        if not verdicts:
            content["controls"]["random_names"] = 8
        content["captions"]["path"] = str(miniature / content["captions"]["path"])
        content["roster"]["artists"] = str(miniature / content["roster"]["artists"])
        content["references"] = str(miniature / content["references"])
        for entry in [*content["models"], *content["encoders"]]:
            entry["path"] = str(miniature / entry["path"])
        content["warehouse"] = "warehouse/"
        content.update(changes)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "audit.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        return folder / "audit.yaml"

    return write


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process of the tests makes, and the others wait for."""
    root = factory.getbasetemp()
    root = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root
    folder = root / name
    with FileLock(root / f"{name}.lock"):
        if not (root / f"{name}.made").exists():
            make(folder)
            (root / f"{name}.made").touch()
    return folder


@pytest.fixture(scope="session")
def audited(small_audit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small audit; tests only read it, and copy it to change it."""
    from audit_assets_tests.drive import drive

    return made_once(tmp_path_factory, "audited", lambda f: drive(small_audit(f, verdicts=True))) / "audit.yaml"


@pytest.fixture(scope="session")
def both_versions(audited: Path, small_audit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a small audit of both versions of the miniature, under the name of the paper's protocol; only read."""
    from audit_assets_tests.drive import drive

    def make(folder: Path) -> None:
        shutil.copytree(audited.parent, folder)
        small = (PROTOCOLS / "paper_2023_small.yaml").read_text(encoding="utf-8")
        (folder / "protocol.yaml").write_text(small.replace("paper_2023_small", "paper_2023"), encoding="utf-8")
        config = small_audit(folder, verdicts=True, protocol="protocol.yaml")
        config.write_text(
            config.read_text(encoding="utf-8").replace("approved: false", "approved: true"), encoding="utf-8"
        )
        drive(config)

    return made_once(tmp_path_factory, "both", make) / "warehouse" / "audit.duckdb"


@pytest.fixture
def copied(audited: Path, tmp_path: Path) -> Path:
    """The finished small audit in a folder that the test may spoil."""
    shutil.copytree(audited.parent, tmp_path / "audit")
    return tmp_path / "audit" / "audit.yaml"


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that other users can enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="audit-assets-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from audit_assets_tests.generation.tiny_pipelines import save

    return save("stable_diffusion", tmp_path_factory.mktemp("saved"))


@pytest.fixture
def stable_diffusion(saved: Path, tmp_path: Path) -> Path:
    """A tiny pipeline that the test may spoil."""
    return Path(shutil.copytree(saved, tmp_path / "stable_diffusion"))
