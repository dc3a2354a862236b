"""The Dagster UI over an audit, live, in a headless browser."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from audit_assets.config import load_audit
from audit_assets.workspace import Workspace
from audit_assets_tests.browser import page, served

PATIENCE = 60_000
"""Milliseconds for a page of the UI, on a busy machine."""


@pytest.mark.long
def test_the_ui_shows_the_audit_and_materializes_one_subject(copied: Path, tmp_path: Path) -> None:
    audit = load_audit(copied)
    ws = Workspace.of(audit)
    cell = ws.warehouse.path("imitations/miniature-1/nils-oduya")
    hashes = ws.warehouse.read("imitations/miniature-1/nils-oduya")["image_sha256"].tolist()
    cell.unlink()
    for sha256 in hashes:
        ws.images.path(sha256).unlink()

    with served(copied, tmp_path / "dev.log") as address, page() as tab:
        tab.goto(f"{address}/asset-groups")
        for group in ("roster", "registry", "imitation", "reference", "embedding", "measurement", "publication"):
            expect(tab.get_by_text(group, exact=True).first).to_be_visible(timeout=PATIENCE)
        tab.goto(f"{address}/assets/identification?view=checks")
        # The list beside it cuts the name short, and keeps a hidden copy.
        name = tab.get_by_text("identification_follows_from_the_images").filter(visible=True)
        expect(name.first).to_be_visible(timeout=PATIENCE)
        expect(tab.get_by_text("Passed").first).to_be_visible(timeout=PATIENCE)
        tab.goto(f"{address}/assets/verdicts?view=overview")
        expect(tab.get_by_text("Row count").first).to_be_visible(timeout=PATIENCE)
        expect(tab.get_by_text("q_value").first).to_be_visible(timeout=PATIENCE)

        tab.goto(f"{address}/assets/imitations?view=partitions")
        tab.get_by_text("miniature-1", exact=True).first.click(timeout=PATIENCE)
        tab.get_by_text("nils-oduya", exact=True).first.click(timeout=PATIENCE)
        tab.get_by_role("button", name="Materialize").first.click(timeout=PATIENCE)
        tab.get_by_role("button", name="Launch 1 run").click(timeout=PATIENCE)
        deadline = time.monotonic() + 180
        while not cell.exists() and time.monotonic() < deadline:
            time.sleep(1)

    again = ws.warehouse.read("imitations/miniature-1/nils-oduya")["image_sha256"].tolist()
    assert again == hashes
    assert all(ws.images.path(sha256).exists() for sha256 in hashes)
