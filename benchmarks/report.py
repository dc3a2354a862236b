"""Measure the report and the pages of 250 artists: the time to write them, their size, and the time that Chromium takes to show it.

The audit is simulated and measured as a real one. No peer exists: the target is the time that a reader waits.
"""

import sys
import tempfile
import time
from pathlib import Path

from audit_assets.publication.pages.artist import write_artist_pages
from audit_assets.publication.pages.report import write_report
from audit_assets_tests import browser
from audit_assets_tests.publication.world import MODELS, World, picture, simulate
from benchmarks.results import Results

MINIATURE = Path(__file__).parent.parent / "data" / "miniature"
ARTISTS, MEGABYTES, SECONDS, OPENINGS = 250, 20.0, 2.0, 5
ALL_MEGABYTES, ALL_SECONDS = 60.0, 60.0
"""The bounds of the report and every artist's page over two model versions, together."""
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def opening(report: Path) -> float:
    """Return the seconds from the request until the page is loaded and drawn, in a browser that has not cached it."""
    with browser.page(width=1280) as page:
        started = time.perf_counter()
        page.goto(report.as_uri(), wait_until="load")
        page.evaluate(DRAWN)
        return time.perf_counter() - started


def main() -> int:
    stage = Results("report", "250 artists; as named")
    with tempfile.TemporaryDirectory() as folder:
        steps = simulate(Path(folder), MINIATURE, World(artists=ARTISTS, untrained=10, controls=70, images=10, works=4))
        started = time.perf_counter()
        report = write_report(steps.database, MODELS[0], picture, Path(folder) / "report")
        writing = time.perf_counter() - started
        stage.reported("writing it (s)", writing)
        stage.within("size (MB)", report.stat().st_size / 1e6, MEGABYTES)
        stage.within(
            "opening it in Chromium (s), slowest of five", max(opening(report) for _ in range(OPENINGS)), SECONDS
        )
        started = time.perf_counter()
        pages = list(write_artist_pages(steps.database, picture, Path(folder) / "artists"))
        stage.within(
            f"writing it and {len(pages)} artists' pages (s)", writing + time.perf_counter() - started, ALL_SECONDS
        )
        size = sum(page.stat().st_size for page in [report, *pages]) / 1e6
        stage.within(f"size of it and {len(pages)} artists' pages (MB)", size, ALL_MEGABYTES)
    return stage.finish()


if __name__ == "__main__":
    sys.exit(main())
