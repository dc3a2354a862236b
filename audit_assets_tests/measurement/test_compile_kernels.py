"""An audit finds the loops that were compiled beforehand, and compiles none of them again for other types."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_assets_tests.processes import start, without_limits


def compiled(cache: Path) -> set[str]:
    """Numba's files of the loops: one for each loop and types."""
    return {file.name for file in cache.rglob("kernels.*.nbc")}


@pytest.mark.long
def test_an_audit_compiles_no_loop_that_was_compiled_beforehand(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    own = {"NUMBA_CACHE_DIR": str(cache)}
    beforehand = [sys.executable, "-m", "audit_assets.measurement.compile_kernels"]
    subprocess.run(beforehand, env={**without_limits(), **own}, check=True)
    before = compiled(cache)
    assert any(name.startswith("kernels.own_scores") for name in before)

    config = small_audit(tmp_path / "audit", verdicts=True)
    assert start(config, own).wait() == 0, (config.parent / "said.log").read_text(encoding="utf-8")
    assert compiled(cache) == before
