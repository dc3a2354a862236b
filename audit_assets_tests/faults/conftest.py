"""The ledger of the fault suite: how many faults of each kind were injected, and what came of them.

Workers of pytest-xdist send their ledgers to the process that started them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audit_assets_tests.conftest import made_once
from audit_assets_tests.faults.damage import audited_alone

FEWEST = 250
"""Faults of the whole suite."""
KINDS = frozenset(
    {
        "kills",
        "damaged tables",
        "daemons killed in a backfill",
        "drivers at once",
        "damaged evidence",
        "edits during a run",
        "forgeries",
    }
)
"""One kind of fault of each module."""


@dataclass
class Ledger:
    faults: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def enter(self, kind: str, ended: str, *, count: int = 1) -> None:
        self.faults[kind] += count
        self.ended[ended] += count

    def sent(self) -> dict[str, Any]:
        """The ledger in the types that a worker can send."""
        return {"faults": dict(self.faults), "ended": dict(self.ended), "lost": self.lost, "wrong": self.wrong}

    def add(self, other: dict[str, Any]) -> None:
        """Add the ledger that a worker sent."""
        self.faults.update(other["faults"])
        self.ended.update(other["ended"])
        self.lost += other["lost"]
        self.wrong += other["wrong"]

    def shortfalls(self) -> list[str]:
        """What the suite did not show: nothing may be lost or wrong, and the whole suite makes FEWEST faults."""
        found = [f"{len(self.lost)} finished images or rows were lost"] if self.lost else []
        found += [f"{len(self.wrong)} wrong results were published"] if self.wrong else []
        total = sum(self.faults.values())
        if self.faults.keys() >= KINDS and total < FEWEST:
            found.append(f"the whole suite made {total} faults, and not {FEWEST}")
        return found


_LEDGER = Ledger()


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return _LEDGER


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the ledger of a worker that ended."""
    if sent := getattr(node, "workeroutput", {}).get("faults"):
        _LEDGER.add(sent)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = _LEDGER.sent()
    elif _LEDGER.shortfalls() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _LEDGER.faults:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(_LEDGER.faults.items()))
        ends = ", ".join(f"{n} {ended}" for ended, n in sorted(_LEDGER.ended.items()))
        terminalreporter.write_line(
            f"{sum(_LEDGER.faults.values())} faults ({kinds}); ended: {ends}; "
            f"{len(_LEDGER.lost)} finished images or rows lost; {len(_LEDGER.wrong)} wrong results published"
        )
        for line in _LEDGER.shortfalls():
            terminalreporter.write_line(f"FAILED: {line}", red=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def undisturbed(small_audit: Callable[..., Path], miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small audit whose models lie beside it, so that a copy of its folder is an audit of its own."""
    folder = made_once(tmp_path_factory, "undisturbed", lambda f: audited_alone(small_audit, miniature, f))
    return folder / "audit.yaml"
