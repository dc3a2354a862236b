"""Make the roster and the report again in a temporary folder, and compare them with the kept ones.

Nothing in the warehouse changes.
"""

import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.evidence.archive_file import LeftOut, imported
from audit_assets.evidence.check import Check, finding
from audit_assets.evidence.manifest import Manifest
from audit_assets.evidence.rows import published_again
from audit_assets.publication import ARTISTS
from audit_assets.publication.queries.database import opened
from audit_assets.publication.sealed import is_page, sealed, sealed_file
from audit_assets.publication.stage import PublicationStage
from audit_assets.roster.stage import RosterStage
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace

ROSTER = (
    "caption_shards",
    "artist_mentions",
    "name_collisions",
    "artist_roster",
    "roster_attrition",
    "controls",
    "subjects",
)
"""Tables that follow from the counts of single caption files and from the artists' table."""
_PICTURES = re.compile(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]*")
PAGES_AGAIN = 5
"""Artists' pages that are made again, chosen at random each time."""
_SIZES = re.compile(r' width="[0-9]+" height="[0-9]+"| class="sharp"')
"""Of pictures: one that is not here has another size than the one that stands for it."""
_ABSENT = Image.new("RGB", (32, 32), "grey")


class _Aside(Warehouse):
    """A warehouse that makes some tables anew in another folder, and only reads everything else."""

    def __init__(self, root: Path, aside: Path, anew: Callable[[str], bool]) -> None:
        super().__init__(root)
        self.aside, self.anew = aside, anew

    def path(self, table: str) -> Path:
        # Joined as text: an object's path after a local one would be looked for in the store.
        own = super().path(table)
        return self.aside / f"{table}.parquet" if self.anew(table) else own

    def write(self, table: str, frame: pd.DataFrame, inputs: str) -> None:
        if not self.anew(table):
            raise InputError(f"{self.path(table)}: was not made from what the audit has now; run `audit-assets run`.")
        super().write(table, frame, inputs)


def roster(ws: Workspace, left: set[LeftOut]) -> Check:
    """Make roster, controls and subjects again from the counts of each caption file; count one random file again."""
    check = Check("roster, controls and subjects chosen again")
    named, background = ws.audit.roster.artists, ws.audit.background
    if named is not None and not ws.audit.local(named).is_file():
        return Check(check.title, unchecked=[f"{ws.audit.local(named)}: the artists' table is not on this machine"])
    if background is not None and not ws.audit.local(background).is_dir():
        return Check(check.title, unchecked=[f"{ws.audit.local(background)}: the background is not on this machine"])
    if "scan tables" in left:
        return Check(check.title, unchecked=["the counts of single caption files: the archive left them out"])
    if ws.audit.captions is not None:
        # The author of an archive wrote the address, and the reader's credentials would go to it.
        if "://" in ws.audit.captions.path and imported(ws.audit.base):
            return Check(check.title, unchecked=["the captions lie in a store, and are not read again"])
        try:
            _ = RosterStage(ws.audit, ws.warehouse).scan.shards
        except InputError as error:
            return Check(check.title, unchecked=[str(error)])
    with finding(check, "roster"), tempfile.TemporaryDirectory() as folder:
        counted: set[str] = set()
        # The hash of a caption file does not come from a table either.
        anew = lambda t: t in ROSTER or t in counted or t.startswith("caption_stamps/")  # noqa: E731
        stage = RosterStage(ws.audit, _Aside(ws.warehouse.root, Path(folder), anew))
        for key in random.SystemRandom().sample(sorted(stage.scan.shards), min(1, len(stage.scan.shards))):
            counted |= {f"artist_mentions/{key}", f"mention_rows/{key}"}
            mentions = stage.scan.scan(key)
            check.findings += _unlike(ws, f"artist_mentions/{key}", mentions)
            check.findings += _unlike(ws, f"mention_rows/{key}", stage.warehouse.read(f"mention_rows/{key}"))
        stage.make_roster()
        stage.make_controls()
        stage.make_subjects()
        for table in ROSTER:
            if stage.warehouse.inputs(table) is not None:
                check.findings += _unlike(ws, table, stage.warehouse.read(table))
        counted_words = f"; counted again: {min(counted)}" if counted else ""
        check.seen = f"{len(ROSTER)} tables{counted_words}"
    return check


def _unlike(ws: Workspace, table: str, again: pd.DataFrame) -> list[str]:
    kept = ws.warehouse.read(table)
    if kept.to_json(orient="split") == again.to_json(orient="split"):
        return []
    return [f"{ws.warehouse.path(table)}: has other rows than those that it is made from give"]


def report(ws: Workspace, manifest: Manifest, left: set[LeftOut], elsewhere: list[str]) -> Check:
    """Make the database from the tables and the report from the database; compare every word of the report.

    On the same machine, compare every byte.
    """
    from audit_assets.publication.pages.artist import ArtistPages  # matplotlib
    from audit_assets.publication.pages.index import write_index
    from audit_assets.publication.pages.report import write_report

    check, model = Check("report made again"), manifest.model_version
    reports = ws.warehouse.root / "reports"
    folder = reports / model
    artists = [Path(f.path).stem for f in manifest.report if f.path.startswith(f"reports/{ARTISTS}/")]
    archive = imported(ws.audit.base)
    only = archive.model_version if archive else None
    if not (folder / "report.html").exists() and "report" in left:
        return Check(check.title, unchecked=["the report: the archive left it out"])
    absent: list[str] = []

    def load(sha256_of: str) -> Image.Image:
        if ws.images.path(sha256_of).exists():
            return ws.images.get(sha256_of)
        absent.append(sha256_of)
        return _ABSENT

    with finding(check, str(folder)), tempfile.TemporaryDirectory() as aside:
        own = Path(aside)
        with published_again(ws, PublicationStage(ws).inputs()) as database:
            write_report(database, model, load, own / model)
            chosen = random.SystemRandom().sample(artists, min(PAGES_AGAIN, len(artists)))
            write_index(database, own, only=only)
            with opened(database) as connection:
                pages = ArtistPages(connection, load)
                everybody = pages.everybody["subject"].tolist()
                for slug in chosen:
                    pages.written(slug, own / ARTISTS)
        made = sorted(p.relative_to(own).as_posix() for p in own.rglob("*") if p.is_file())
        for name in made:
            if is_page(own / name):
                kept_page, page = (sealed(f.read_bytes()).decode() for f in (reports / name, own / name))
                if _words(kept_page) != _words(page):
                    check.findings.append(
                        f"{reports / name}: says something else than the tables, first: {_first(kept_page, page)}"
                    )
        if absent:
            check.unchecked.append(f"{len(absent)} pictures in the report: they are of real works, which are not here")
        elif elsewhere:
            check.unchecked.append(
                f"the figures of the report, which another machine draws with other bytes: {elsewhere[0]}"
            )
        kept = {f.path.removeprefix("reports/") for f in manifest.report}
        kept -= {name for name in kept if name.startswith(f"{ARTISTS}/")}
        compared = [name for name in kept if name.endswith(".csv")] if absent or elsewhere else [*made, *kept]
        check.findings += [
            f"{reports / name}: is not what the tables give when it is made again"
            for name in sorted(set(compared))
            if _bytes(own / name) != _bytes(reports / name)
        ]
        missing = {f"reports/{ARTISTS}/{slug}.html" for slug in everybody} ^ {
            f"reports/{ARTISTS}/{slug}.html" for slug in artists
        }
        check.findings += [
            f"{ws.warehouse.root / page}: the tables give pages of other artists than the manifest has"
            for page in sorted(missing)
        ]
        several = f", index and {len(chosen)} of {len(artists)} artists' pages"
        check.seen = f"{'every word' if absent or elsewhere else 'every byte'} of the report{several}"
    return check


def _words(page: str) -> str:
    return _SIZES.sub("", _PICTURES.sub("", page))


def _first(kept: str, again: str) -> str:
    """Return the first line that differs, as the kept file has it."""
    lines = zip(_words(kept).splitlines(), _words(again).splitlines(), strict=False)
    return next((repr(one.strip()[:200]) for one, other in lines if one != other), "its length")


def _bytes(file: Path) -> str | None:
    return sealed_file(file)[1] if file.is_file() else None
