"""The ledger of the fault suite: how many faults of each kind were injected, and what came of them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from audit_assets_tests.faults.damage import audited_alone


@dataclass
class Ledger:
    faults: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def enter(self, kind: str, ended: str, *, count: int = 1) -> None:
        self.faults[kind] += count
        self.ended[ended] += count


_LEDGER = Ledger()


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return _LEDGER


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _LEDGER.faults:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(_LEDGER.faults.items()))
        ends = ", ".join(f"{n} {ended}" for ended, n in sorted(_LEDGER.ended.items()))
        terminalreporter.write_line(
            f"{sum(_LEDGER.faults.values())} faults ({kinds}); ended: {ends}; "
            f"{len(_LEDGER.lost)} finished images or rows lost; {len(_LEDGER.wrong)} wrong results published"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def undisturbed(small_audit: Callable[..., Path], miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small audit whose models lie beside it, so that a copy of its folder is an audit of its own."""
    return audited_alone(small_audit, miniature, tmp_path_factory.mktemp("undisturbed"))
