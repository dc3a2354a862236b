"""Processes that draw cells of a small model beside this one, each with one thread.

Each takes the cells that nobody else holds, through the locks by which any two runs share an audit. A helper draws a cell only from the inputs
that the run which started it wants, and writes only a cell without a fault. It ends with that run. Whatever it does not make, the run makes.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from audit_assets.warehouse.cells import Cells

Lacking = Mapping[str, tuple[str | None, str]]
"""Cells that are lacking, by the name of the table: the inputs from which its file was made, if there is one, and those that are wanted."""

MOST = 3
"""More would take much memory: each helper loads the libraries (`make bench-generation` has its memory, and its seconds until it draws)."""
WORTH_IT = 60.0
"""Seconds of work that are left: several times what a helper needs until it draws."""


def lacking(cells: Cells, wanted: Mapping[str, str]) -> Lacking:
    """The cells that are not made from the wanted inputs."""
    return {
        where: (cells.warehouse.inputs(where), inputs)
        for where, inputs in wanted.items()
        if not cells.is_done(where, inputs, images=True)
    }


class Helpers:
    """The helpers of one run over the cells of a `stage` (`imitations` or `arms`). None is started before the run knows how long a cell takes."""

    def __init__(self, cells: Cells, audit: Path, model: str, stage: str) -> None:
        self.cells, self.about = cells, (audit, model, stage)
        self.asked: Lacking = {}
        """The cells that the helpers may draw."""
        self._drawn = 0
        self._processes: list[subprocess.Popen[str]] = []

    def drew(self, seconds: float, most: int, wanted: Callable[[], Mapping[str, str]]) -> None:
        """Hear that the run drew a cell. After the second, which loads nothing any more, start up to `most` helpers if enough work is left.

        `wanted` gives the inputs of every cell.
        """
        self._drawn += 1
        if self._drawn != 2 or most < 1:
            return
        left = lacking(self.cells, wanted())
        if len(left) * seconds > WORTH_IT:
            self.asked = left
            self._processes = [_started(*self.about, left) for _ in range(min(most, MOST))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it ended before it had read everything
                process.stdin.close()  # at which it ends
        for process in self._processes:
            process.wait()


def still_lacking(cells: Cells, asked: Lacking, inputs: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """In a helper: yield each cell that is still lacking, with its inputs, under its lock. The last comes first, because the run begins with the first.

    A cell that anybody has written since is left alone, and so is one whose inputs are others now, because a file was edited meanwhile.
    """
    for where in cells.in_turn(list(asked)[::-1]):
        had, wanted = asked[where]
        untouched = cells.warehouse.inputs(where) == had and not cells.is_done(where, wanted, images=True)
        if untouched and inputs(where) == wanted:
            yield where, wanted


def _started(audit: Path, model: str, stage: str, cells: Lacking) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        # -P: no module of the folder in which somebody runs the audit
        [sys.executable, "-P", "-m", "audit_assets.generation.helpers", str(audit), model, stage],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # the run meets the same fault at the same cell, and says it
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for the run, which ends its helpers
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it could not start
        process.stdin.write(json.dumps(dict(cells)) + "\n")
        process.stdin.flush()
    return process


def _end_with_the_run() -> None:
    os.read(sys.stdin.fileno(), 1)  # without a lock of Python's, which a process that ends would wait for
    os._exit(0)


def main() -> None:
    audit, model, stage = sys.argv[1:]
    # First of all, because the run waits until a long list is read.
    cells: Lacking = {where: (had, wanted) for where, (had, wanted) in json.loads(sys.stdin.readline()).items()}
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    from audit_assets.generation.arms import ArmStage
    from audit_assets.generation.stage import ImitationStage
    from audit_assets.workspace import Workspace

    ws = Workspace.open(Path(audit))
    made = ImitationStage(ws) if stage == "imitations" else ArmStage(ws)
    made.help(model, cells)


if __name__ == "__main__":
    main()
