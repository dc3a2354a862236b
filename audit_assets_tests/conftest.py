"""What tests share: the miniature's folder, and a small audit of it in a folder of the test's own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

MINIATURE = Path(__file__).parent.parent / "data" / "miniature"


@pytest.fixture(scope="session")
def miniature() -> Path:
    if not (MINIATURE / "generated").is_dir():
        from audit_assets.miniature.draw import draw

        draw(MINIATURE)
    return MINIATURE


@pytest.fixture(scope="session")
def small_audit(miniature: Path) -> Callable[..., Path]:
    """Writes an audit file like `small.yaml` into a folder, with absolute inputs and a warehouse of its own; `changes` replace fields."""

    def write(folder: Path, **changes: object) -> Path:
        content = yaml.safe_load((miniature / "small.yaml").read_text(encoding="utf-8"))
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


@pytest.fixture(scope="session")
def audited(small_audit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small audit; tests only read it, and copy it to change it."""
    from audit_assets_tests.drive import drive

    config = small_audit(tmp_path_factory.mktemp("audited"))
    drive(config)
    return config


@pytest.fixture
def copied(audited: Path, tmp_path: Path) -> Path:
    """The finished small audit in a folder that the test may spoil."""
    shutil.copytree(audited.parent, tmp_path / "audit")
    return tmp_path / "audit" / "audit.yaml"
