"""A row of the README, of the command line or of a page leads to its code: its words stand in one module, which names the function.

From the README's table a reader opens `words/measures.py`, then the module of `measurement` that it names: three files.
"""

import importlib
import re
from pathlib import Path

import pytest

from audit_assets.publication.pages.index import HEADLINE, write_index
from audit_assets.publication.queries import database as read
from audit_assets.publication.words import measures
from audit_assets.publication.words.headline import paper_comparison
from audit_assets.publication.words.measures import MEASURES, Measure
from audit_assets.warehouse.database import schema_columns
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.conftest import MODELS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "audit_assets"
by_key = pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)


def readme_rows() -> list[str]:
    """First cells of the README's table of results, without its heading and rule."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| measure |"))
    table = lines[start : lines.index("", start)]
    return [line.split("|")[1].strip() for line in table[2:]]


def test_every_row_of_the_readme_has_the_words_of_a_measure() -> None:
    rows = readme_rows()
    assert len(rows) >= 10
    assert [row for row in rows if row not in measures.WORDS.values()] == []
    assert len(set(rows)) == len(rows)


def test_no_two_measures_share_a_key_or_words() -> None:
    assert len({m.key for m in MEASURES}) == len({m.words for m in MEASURES}) == len(MEASURES)


@by_key
def test_the_function_of_a_measure_exists(measure: Measure) -> None:
    module, _, function = measure.computed_by.rpartition(".")
    assert module.startswith("audit_assets.measurement.")
    assert callable(getattr(importlib.import_module(module), function))


@by_key
def test_the_words_of_a_measure_stand_in_one_module(measure: Measure) -> None:
    quoted = re.compile(re.escape(measure.words), re.IGNORECASE)
    found = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if quoted.search(path.read_text("utf-8"))]
    assert found == [Path("publication/words/measures.py")]


@by_key
def test_the_column_of_a_measure_is_in_the_schema_and_has_rows(simulated: Workspace, measure: Measure) -> None:
    assert measure.column in schema_columns({"sim-clip": 4})[measure.table]
    query = f"SELECT {measure.column} FROM {measure.table} WHERE encoder = 'sim-clip' AND {measure.rows}"  # noqa: S608
    with read.opened(simulated.database) as connection:
        assert read.rows(connection, query)[measure.column].notna().any()


def test_the_command_line_the_report_and_the_index_show_the_same_words(database: Path, tmp_path: Path) -> None:
    assert paper_comparison(database, MODELS[0])["measure"].tolist() == [m.words for m in MEASURES]
    index = write_index(database, tmp_path).read_text(encoding="utf-8").replace("&#39;", "'")
    assert [key for key in HEADLINE if measures.heading(key) not in index] == []
