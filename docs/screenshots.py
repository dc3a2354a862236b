"""The tour of the README: what `make dev`, a report and an artist's page show, as pictures in `docs/tour/`.

    make screenshots CONFIG=data/miniature/audit.yaml

After an audit; with Chromium and the packages of the tests.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from playwright.sync_api import Page, expect

from audit_assets.config import load_audit
from audit_assets.publication.stage import PublicationStage
from audit_assets.results.stage import ResultStage
from audit_assets.workspace import Workspace
from audit_assets_tests.browser import page, served

TOUR = Path(__file__).parent / "tour"
PATIENCE = 120_000


@contextmanager
def shot(tab: Page, name: str) -> Iterator[None]:
    """What the block brings about, as a picture of that name."""
    yield
    tab.wait_for_timeout(3000)  # graphs and plots are drawn after their data have come
    with Image.open(io.BytesIO(tab.screenshot())) as picture:
        picture.convert("RGB").save(TOUR / f"{name}.webp", quality=80, method=6)
    typer.echo(TOUR / f"{name}.webp")


def ui(tab: Page, address: str, model: str, subject: str) -> None:
    with shot(tab, "assets"):
        tab.goto(f"{address}/asset-groups")
        expect(tab.get_by_text("publication", exact=True).first).to_be_visible(timeout=PATIENCE)
    with shot(tab, "imitations"):
        tab.goto(f"{address}/assets/imitations?view=partitions")
        tab.get_by_text(model, exact=True).first.click(timeout=PATIENCE)
        tab.get_by_text(subject, exact=True).first.click(timeout=PATIENCE)
    with shot(tab, "identification"):
        tab.goto(f"{address}/assets/identification?view=partitions&partition={model}")
        expect(tab.get_by_text("image_accuracy").first).to_be_visible(timeout=PATIENCE)
    with shot(tab, "verdicts"):
        tab.goto(f"{address}/assets/verdicts?view=overview")
        expect(tab.get_by_text("q_value").first).to_be_visible(timeout=PATIENCE)


def pages(tab: Page, report: Path, artist: Path) -> None:
    with shot(tab, "report"):
        tab.goto(report.as_uri())
    with shot(tab, "artist"):
        tab.goto(artist.as_uri())


def main(config: Annotated[Path, typer.Argument(help="an audit that is made")]) -> None:
    audit = load_audit(config)
    ws = Workspace.of(audit)
    model = ResultStage(ws).audited()[0]
    subjects = ws.subjects()
    subject = str(subjects.loc[subjects["kind"] == "artist", "subject"].iloc[0])
    TOUR.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, page(1500, 950) as tab:
        with served(config, Path(folder) / "dev.log") as address:
            ui(tab, address, model, subject)
        pages(tab, PublicationStage(ws).report(model)[0], PublicationStage(ws).artist_page(subject))


if __name__ == "__main__":
    typer.run(main)
