"""Give every benchmark one table on the screen, one file of results, and an exit code that says whether targets hold.

Ours and the peer run in turn in one process tree. The targets are on their ratio, because a figure of one machine alone
says little.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent / "results"

Bound = Literal["at least", "at most", "reported"]


@dataclass(frozen=True)
class Result:
    """``ratio`` is ours / peer for a rate, and peer / ours for a time: more is better unless ``bound`` is "at most".

    ``target`` is what was designed for; beyond ``limit`` the benchmark fails. Both are None if a figure is only
    reported.
    """

    metric: str
    ours: float
    peer: float | None
    ratio: float | None
    target: float | None
    limit: float | None
    bound: Bound

    @property
    def met(self) -> bool:
        if self.limit is None or self.ratio is None:
            return True
        return bool(self.ratio <= self.limit if self.bound == "at most" else self.ratio >= self.limit)


@dataclass
class Results:
    """The results of one stage, printed as they come. ``unit`` is the unit of ours and of the peer."""

    stage: str
    unit: str
    rows: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        print(f"{f'{self.stage} ({self.unit})':<84} {'ours':>12} {'peer':>12} {'ratio':>10}  target")

    def ratio(
        self,
        metric: str,
        ours: float,
        peer: float,
        ratio: float,
        target: float,
        *,
        at_most: bool = False,
        limit: float | None = None,
    ) -> None:
        """Add a ratio that must be at least ``target``, or at most. Beyond ``limit`` (default: the target) it fails."""
        bound: Bound = "at most" if at_most else "at least"
        self._add(Result(metric, ours, peer, ratio, target, target if limit is None else limit, bound))

    def faster(self, metric: str, ours: float, peer: float, target: float) -> None:
        """Add the seconds of both: the peer's divided by ours must be at least ``target``."""
        self.ratio(metric, ours, peer, peer / ours, target)

    def within(self, metric: str, value: float, most: float) -> None:
        """Add a value (a difference, a time) that must be at most ``most``; its ratio is value / most."""
        self._add(Result(metric, value, most, value / most, 1.0, 1.0, "at most"))

    def reported(self, metric: str, ours: float, peer: float | None = None) -> None:
        """Add a figure of this machine, without a target."""
        self._add(
            Result(metric, ours, peer, peer / ours if peer is not None and ours else None, None, None, "reported")
        )

    def finish(self, path: Path | None = None) -> int:
        """Write ``results/<stage>.json``. The exit code is 1 if a target is missed."""
        path = path or FOLDER / f"{self.stage}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps([asdict(row) | {"met": row.met} for row in self.rows], indent=2) + "\n", encoding="utf-8"
        )
        missed = [row.metric for row in self.rows if not row.met]
        held = [row for row in self.rows if row.limit is not None]
        print(f"{len(held) - len(missed)} of {len(held)} targets met; written to {path}")
        for metric in missed:
            print(f"missed: {metric}", file=sys.stderr)
        return 1 if missed else 0

    def _add(self, row: Result) -> None:
        if any(earlier.metric == row.metric for earlier in self.rows):
            raise ValueError(f"The metric {row.metric!r} was added twice; give each a name of its own.")
        self.rows.append(row)
        sign = {"at least": ">=", "at most": "<=", "reported": ""}[row.bound]
        cells = [f"{value:,.4g}" if value is not None else "" for value in (row.ours, row.peer, row.ratio)]
        target = f"{sign} {row.target:g}" if row.target is not None else "reported"
        print(
            f"{row.metric:<84} {cells[0]:>12} {cells[1]:>12} {cells[2]:>10}  {target}{'' if row.met else '   MISSED'}",
            flush=True,
        )


def seconds(run: Callable[[], object], *, repeats: int = 3) -> float:
    """Return the CPU seconds of the fastest of some runs: a busy machine makes a run slower, never faster.

    CPU time counts every thread, so a benchmark that compares with it sets one thread for all.
    """
    times = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)
