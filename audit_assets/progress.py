"""Progress of an audit on a terminal: the step that runs, how many images are made, and the time left."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress:
    """Call it with (title, None) when a step starts and (title, seconds) when it ends; `advance` counts within a step."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Bars(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True)
        self.task = self.bars.add_task("reading the audit file", total=None)
        self.said = 0.0

    def __enter__(self) -> "Progress":
        self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bars.stop()

    def __call__(self, title: str, seconds: float | None) -> None:
        if seconds is None:
            self.bars.reset(self.task, description=title, total=None)
            self.said = time.monotonic()
        else:
            self.console.print(f"{title}: {seconds:.1f} s", style="dim")

    def advance(self, title: str, done: int, total: int) -> None:
        """`done` of `total`; where nobody watches a terminal, a line every ten seconds."""
        self.bars.update(self.task, description=title, completed=done, total=total)
        if not self.console.is_terminal and time.monotonic() - self.said > 10:
            self.said = time.monotonic()
            left = self.bars.tasks[0].time_remaining
            self.console.print(f"  {done} of {total}" + (f", {left:.0f} s left" if left is not None else ""), style="dim")
