"""Progress of an audit on a terminal: the current step, the number of images made, and the time left."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from audit_assets.runs.steps import Step

_SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def shown(console: Console, step: Step) -> Iterator[None]:
    """Show a step while it runs, and then its duration. Without a terminal, print a line every fifteen seconds."""
    started = time.monotonic()
    ended = threading.Event()
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    watcher = threading.Thread(target=_watch, args=(console, bars, step, ended), daemon=True)
    with bars:
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
    console.print(f"{step.title}: {time.monotonic() - started:.1f} s", style="dim")


def _watch(console: Console, bars: Progress, step: Step, ended: threading.Event) -> None:
    task = bars.add_task(step.title, total=None)
    said = started = time.monotonic()
    first: int | None = None
    while not ended.wait(0.5):
        if step.progress is None:
            continue
        made, wanted = step.progress()
        first = made if first is None else first
        bars.update(task, completed=made, total=wanted)
        if not console.is_terminal and made > first and time.monotonic() - said > _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            left = (said - started) / (made - first) * (wanted - made)
            console.print(f"  {made} of {wanted} images, {left:.0f} s left", style="dim")
