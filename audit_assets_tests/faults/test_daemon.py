"""The UI, its daemon and all their runs are killed while a backfill goes on, and started again."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from dagster import AssetKey, DagsterInstance

from audit_assets.config import load_audit
from audit_assets_tests.browser import serving
from audit_assets_tests.drive import drive
from audit_assets_tests.faults.conftest import Ledger
from audit_assets_tests.faults.damage import copy_of
from audit_assets_tests.processes import cells, differences, kept, wrong_results

PATIENCE = 400
"""Seconds, on a busy machine."""


def wait_for(what: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-5000:]
        time.sleep(0.5)


def test_a_backfill_whose_daemon_is_killed_is_finished_by_the_next(
    undisturbed: Path, miniature: Path, tmp_path: Path, ledger: Ledger
) -> None:
    """Approving a version starts a backfill; everything is killed at its third subject; the next daemon makes the rest."""
    config = copy_of(undisturbed, tmp_path / "audit")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    second = {**content["models"][0], "name": "miniature-2", "path": str(miniature / "models" / "miniature-2"),
              "settings": dict(content["models"][0]["settings"])}  # fmt: skip
    whole = yaml.safe_dump({**content, "models": [*content["models"], second]}, allow_unicode=True)
    log = tmp_path / "dev.log"
    folder = config.parent / "warehouse" / "imitations" / "miniature-2"

    with serving(config, log) as (process, _):
        config.write_text(whole, encoding="utf-8")
        wait_for(lambda: len(list(folder.glob("[!.]*.parquet"))) >= 3, log)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = cells(config)
    files = kept(config)
    home = load_audit(config).dagster_home
    with serving(config, log), DagsterInstance.from_config(str(home)) as instance:
        wait_for(lambda: len(list(folder.glob("[!.]*.parquet"))) == len(_prompted(undisturbed)), log)
        wait_for(lambda: _backfills_ended(instance), log)
    assert before.items() <= cells(config).items()
    drive(config)

    reference = copy_of(undisturbed, tmp_path / "reference")
    reference.write_text(whole, encoding="utf-8")
    drive(reference)
    ledger.lost += [p for p, sha256 in files.items() if p.startswith("images") and kept(config).get(p) != sha256]
    ledger.wrong += wrong_results(config, reference)
    assert differences(config, reference) == []
    ledger.enter("daemons killed in a backfill", "mended by itself, or harmless")


def _prompted(config: Path) -> list[Path]:
    return list((config.parent / "warehouse" / "imitations" / "miniature-1").glob("[!.]*.parquet"))


def _backfills_ended(instance: DagsterInstance) -> bool:
    own = [b for b in instance.get_backfills() if AssetKey("imitations") in (b.asset_selection or [])]
    return bool(own) and all(b.status.value not in ("REQUESTED", "CANCELING") for b in own)
