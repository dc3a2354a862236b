"""Consistent forgeries, and what finds each: the root that was kept, computing again, or the model itself.

Every forgery rewrites all hashes and the manifest so that they agree. The root that somebody kept elsewhere finds every one. The rest
of this table says what is found without it, with and without the model; `docs/evidence.md` prints the same table.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from audit_assets.evidence.archive_file import Archive, archive_text
from audit_assets.evidence.manifest import protocol_content
from audit_assets.evidence.rows import published_again
from audit_assets.evidence.verify import verify
from audit_assets.hashing import digest
from audit_assets.publication import ARTISTS, REPORT_VERSION
from audit_assets.publication.pages.artist import write_artist_pages
from audit_assets.publication.pages.index import write_index
from audit_assets.publication.pages.report import write_report
from audit_assets.publication.sealed import sealed_file
from audit_assets.publication.stage import ARTIST_PAGES, PublicationStage
from audit_assets.results.copies import COPIES
from audit_assets.results.recipe import Recipe
from audit_assets.results.verdicts import VERDICTS
from audit_assets.warehouse.database import published_from
from audit_assets.workspace import Workspace
from audit_assets_tests.evidence.forging import MODEL, findings, forge_manifest, read, workspace_of
from audit_assets_tests.faults.conftest import Ledger

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
SUBJECT = "nils-oduya"


def _table(config: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    warehouse = workspace_of(config).warehouse
    rows = warehouse.read(table)
    attributes = dict(rows.attrs)
    changed = change(rows)
    changed.attrs = attributes
    warehouse.write(table, changed, warehouse.inputs(table) or "")


def _results_again(config: Path, recipe: Recipe) -> None:
    """Results as they follow from the tables as they are now."""
    ws = workspace_of(config)
    for name, rows in recipe.make(ws, MODEL).items():
        _table(config, recipe.place(name, MODEL), lambda _, rows=rows: rows)  # type: ignore[misc]


def _published(config: Path) -> None:
    """The database of the tables as they are now, without the checks of a publication."""
    ws = workspace_of(config)
    with published_again(ws, PublicationStage(ws).inputs()) as again:
        shutil.copy(again, ws.database)


def an_image(config: Path) -> None:
    ws = workspace_of(config)
    other = ws.warehouse.read(f"imitations/{MODEL}/clara-oduya")["image_sha256"].iloc[0]

    def swap(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[0, "image_sha256"] = other
        return rows

    def also(content: dict[str, Any]) -> None:
        image = next(s for s in content["subjects"] if s["subject"] == SUBJECT)["images"][0]
        image.update(image_sha256=other, bytes=ws.images.path(other).stat().st_size)
        content["machine"]["torch"] = "1.0"  # and another machine, to explain it

    for table in ("imitations", "imitation_embeddings/miniature-clip", "imitation_embeddings/miniature-vision"):
        _table(config, f"{table}/{MODEL}/{SUBJECT}", swap)
    for recipe in (COPIES, VERDICTS):  # they name the hash of the image
        _results_again(config, recipe)
    _published_with_report(workspace_of(config))
    forge_manifest(config, also)


def an_embedding(config: Path) -> None:
    def turn(rows: pd.DataFrame) -> pd.DataFrame:
        rows["embedding"] = [np.roll(v, 1) for v in rows["embedding"]]
        return rows

    _table(config, f"imitation_embeddings/miniature-vision/{MODEL}/{SUBJECT}", turn)
    _published(config)
    forge_manifest(config)


def a_seed(config: Path) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[1, "seed"] = 7
        return rows

    def also(content: dict[str, Any]) -> None:
        next(s for s in content["subjects"] if s["subject"] == SUBJECT)["images"][1]["seed"] = "7"

    _table(config, f"imitations/{MODEL}/{SUBJECT}", change)
    _published(config)
    forge_manifest(config, also)


def a_subject_left_out_of_the_manifest(config: Path) -> None:
    a_seed(config)
    forge_manifest(
        config, lambda content: content.update(subjects=[s for s in content["subjects"] if s["subject"] != SUBJECT])
    )


def a_result(config: Path) -> None:
    _table(config, f"verdicts/{MODEL}", lambda t: t.assign(verdict="not shown to be imitated"))
    _published(config)
    forge_manifest(config)


def a_roster(config: Path) -> None:
    _table(config, "artist_roster", lambda t: t.assign(mentions=t["mentions"] + 1000))
    _published(config)
    forge_manifest(config)


def a_count_of_captions(config: Path) -> None:
    folder = workspace_of(config).warehouse.root / "artist_mentions"
    for path in sorted(folder.glob("*.parquet")):
        _table(config, f"artist_mentions/{path.stem}", lambda t: t.assign(mentions=t["mentions"] + 1))
    _published(config)
    forge_manifest(config)


def a_report(config: Path) -> None:
    ws = workspace_of(config)
    page = ws.warehouse.root / "reports" / MODEL / "report.html"
    page.write_text(page.read_text().replace("</body>", "<p>No artist can be imitated.</p></body>"))

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows["file"] == "report.html", "sha256"] = sealed_file(page)[1]
        return rows

    _table(config, f"audit_report/{MODEL}", change)
    forge_manifest(config)


def a_report_of_other_tables(config: Path) -> None:
    ws, table = workspace_of(config), f"audit_report/{MODEL}"
    a_report(config)
    ws.warehouse.write(table, ws.warehouse.read(table), "other tables")
    forge_manifest(config, lambda content: _named(content, f"{table}.parquet").update(inputs="other tables"))


def _named(content: dict[str, Any], path: str) -> dict[str, Any]:
    return next(entry for entry in content["tables"] if entry["path"] == path)


def a_row_of_the_database(config: Path) -> None:
    _database(config, "UPDATE verdicts SET verdict = 'not shown to be imitated'")


def a_library_in_the_database(config: Path) -> None:
    _database(config, "UPDATE software SET version = '0.0' WHERE package = 'torch'")


def a_view_in_the_database(config: Path) -> None:
    _database(
        config,
        "ALTER TABLE verdicts RENAME TO kept; CREATE VIEW verdicts AS SELECT * REPLACE "
        "(CASE WHEN current_database() = 'audit' THEN 'not shown to be imitated' ELSE verdict END AS verdict) FROM kept",
    )


def a_macro_in_the_database(config: Path) -> None:
    _database(config, "CREATE MACRO avg(x) AS 0.0")


def _database(config: Path, change: str) -> None:
    with duckdb.connect(str(workspace_of(config).database)) as connection:
        connection.execute(change)
    forge_manifest(config)


def an_archive_that_declares_parts_left_out(config: Path) -> None:
    archive = Archive(model_version=MODEL, root=read(config).root, left_out=["report", "scan tables", "real works"])
    (config.parent / "archive.json").write_text(archive_text(archive))


def a_machine(config: Path) -> None:
    forge_manifest(config, lambda content: content["machine"].update(system="Another", torch="1.0"))


def a_result_of_another_version(config: Path) -> None:
    _table(config, f"verdicts/{MODEL}", lambda t: t.assign(verdict="not shown to be imitated"))
    ws = workspace_of(config)
    _published_with_report(ws)
    forge_manifest(config, _of_version("results", report=ws))


def _published_with_report(ws: Workspace) -> None:
    inputs = PublicationStage(ws).inputs()
    with published_again(ws, inputs) as again:
        shutil.copy(again, ws.database)
    folder = ws.warehouse.root / "reports" / MODEL
    write_report(ws.database, MODEL, ws.images.get, folder)
    rows = ws.warehouse.read(f"audit_report/{MODEL}")
    rows["sha256"] = [sealed_file(folder / file)[1] for file in rows["file"]]
    ws.warehouse.write(f"audit_report/{MODEL}", rows, digest([inputs, REPORT_VERSION]))
    pages = [page.name for page in write_artist_pages(ws.database, ws.images.get, folder.parent / ARTISTS)]
    hashes = [sealed_file(folder.parent / ARTISTS / page)[1] for page in pages]
    pages_table = pd.DataFrame({"file": pages, "sha256": hashes}, dtype="str")
    ws.warehouse.write(ARTIST_PAGES, pages_table, digest([inputs, REPORT_VERSION]))
    write_index(ws.database, folder.parent)


def _of_version(part: str, *, report: Workspace, **fields: Any) -> Callable[[dict[str, Any]], None]:
    """The change of a manifest that names another version of a part, and the report as it is now."""

    def change(content: dict[str, Any]) -> None:
        ws = report
        content["made_by"][part] = "another"
        content.update(fields)
        content["database"]["published_from"] = published_from(ws.database)
        table = f"audit_report/{MODEL}"
        _named(content, f"{table}.parquet").update(inputs=ws.warehouse.inputs(table))

    return change


def a_protocol_of_another_version(config: Path) -> None:
    ws = workspace_of(config)
    wider = ws.protocol.comparison.model_copy(update={"changed": 0.9})
    protocol = ws.protocol.model_copy(update={"comparison": wider})
    _published_with_report(replace(ws, protocol=protocol))
    forge_manifest(config, _of_version("protocols", report=ws, protocol=protocol_content(protocol)))


def an_audit_file_of_another_version(config: Path) -> None:
    audit = {**read(config).audit, "a_field_of_that_version": 1, "batch_size": 3}
    forge_manifest(config, _of_version("audit_assets", report=workspace_of(config), audit=audit))


def a_view_of_another_version(config: Path) -> None:
    a_view_in_the_database(config)
    forge_manifest(config, lambda content: content["made_by"].update(database="another"))


def a_licence_or_revision(config: Path) -> None:
    forge_manifest(config, lambda content: content["model"]["row"].update(revision="another"))


@dataclass(frozen=True)
class Forgery:
    make: Callable[[Path], None]
    without: str | None
    """Words of the finding without root, model and encoders; None if nothing is found."""
    with_model: str | None = None
    """Words of the finding if model and encoders are here too, where it is another."""
    unchecked: str | None = None
    """Words that are said, though it is no finding."""
    root_changes: bool = True
    by_another_version: bool = False
    """Whether `verify` ends with 3."""


FORGERIES = (
    Forgery(an_image, None, "drawn again, it differs"),
    Forgery(an_embedding, "matching_by_subject", "made again it is"),
    Forgery(a_seed, "the seed of (template, trial) (0, 1) is not the protocol's"),
    Forgery(a_subject_left_out_of_the_manifest, "leaves out 1 of the subjects"),
    Forgery(a_result, "verdicts"),
    Forgery(a_roster, "artist_roster.parquet: has other rows"),
    Forgery(a_count_of_captions, "artist_mentions/"),
    Forgery(a_report, "report.html: says something else"),
    Forgery(a_report_of_other_tables, "report.html: says something else"),
    Forgery(a_row_of_the_database, "audit.duckdb, table verdicts", root_changes=False),
    Forgery(a_library_in_the_database, None, None, "table software: names torch 0.0", root_changes=False),
    Forgery(a_view_in_the_database, "holds the view 'verdicts'", root_changes=False),
    Forgery(a_macro_in_the_database, "holds the macro 'avg'", root_changes=False),
    Forgery(an_archive_that_declares_parts_left_out, None, None, "only the root of the archive", root_changes=False),
    Forgery(a_licence_or_revision, "model_versions"),
    Forgery(a_machine, None, None, "nothing outside this folder vouches"),
    Forgery(
        a_result_of_another_version, None, None, "another version made it (results another", by_another_version=True
    ),
    Forgery(a_protocol_of_another_version, None, None, "comparison was", by_another_version=True),
    Forgery(an_audit_file_of_another_version, None, None, "the fields of the audit file", by_another_version=True),
    Forgery(a_view_of_another_version, "holds the view 'verdicts'"),
)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f.make.__name__)
def test_a_forgery_is_found_by_what_the_table_says(
    audited: Path, tmp_path: Path, ledger: Ledger, forgery: Forgery
) -> None:
    folder = tmp_path / "audit"
    shutil.copytree(audited.parent, folder)
    config = folder / "audit.yaml"
    kept = read(config).root
    forgery.make(config)
    checks = list(verify(workspace_of(config), MODEL, replay=0, sample=0))
    found = findings(checks)
    assert any(forgery.without in line for line in found) if forgery.without else found == []
    assert any(check.by_another_version for check in checks) == (
        forgery.by_another_version or forgery.make is a_view_of_another_version
    )
    if forgery.unchecked:
        assert any(forgery.unchecked in line for check in checks for line in check.unchecked)
    if forgery.root_changes:
        first = next(iter(verify(workspace_of(config), MODEL, root=kept)))
        assert any("it is another manifest" in line for line in first.findings)
    if forgery.with_model:
        everything = len(workspace_of(config).prompted())
        *_, embedded, drawn = verify(workspace_of(config), MODEL, replay=everything, sample=1000)
        assert any(forgery.with_model in line for line in findings([embedded, drawn]))
    ledger.enter("forgeries", "found as the table says")


def test_the_page_prints_this_table() -> None:
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    printed = re.findall(
        r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", page.split("### What finds what")[1].split("###")[0], re.M
    )
    rows = {name: cells for name, *cells in printed[1:] if not name.startswith("-")}
    assert list(rows) == [f.make.__name__.replace("_", " ") for f in FORGERIES]
    for forgery in FORGERIES:
        root, without, with_model = rows[forgery.make.__name__.replace("_", " ")]
        assert root == ("found" if forgery.root_changes else "-")
        assert (without == "found") == (forgery.without is not None)
        assert (without == "ends with 3") == forgery.by_another_version
        assert (with_model == "found") == (forgery.without is not None or forgery.with_model is not None)
