import shutil
from pathlib import Path

import pytest

from audit_assets_tests.generation.tiny_pipelines import save


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("stable_diffusion", tmp_path_factory.mktemp("saved"))


@pytest.fixture
def stable_diffusion(saved: Path, tmp_path: Path) -> Path:
    """A tiny pipeline that the test may spoil."""
    return Path(shutil.copytree(saved, tmp_path / "stable_diffusion"))
