"""Each table of a report lies beside it as CSV, with the same headings and rows, and is linked."""

import csv
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from audit_assets.publication.pages.page import render
from audit_assets.publication.pages.report import write_report
from audit_assets.publication.words.table import Table
from audit_assets_tests.publication.conftest import HOSTILE, MODELS

TABLE = re.compile(r"<table[^>]*>(.*?)</table>", re.DOTALL)


def cells(part: str) -> list[str]:
    found = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", part, re.DOTALL)
    return [re.sub("[\u2066-\u2069]", "", unescape(re.sub("<[^>]+>", "", cell))) for cell in found]


def as_number(text: str) -> str:
    try:
        return str(float(text))
    except ValueError:
        return text


@pytest.fixture(scope="module")
def folder(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def load(sha256: str) -> Image.Image:
        return Image.new("RGB", (32, 32), f"#{sha256[:6]}")

    folder = tmp_path_factory.mktemp("report")
    (folder / "of_an_earlier_report.csv").write_text("a")
    write_report(database, MODELS[0], load, folder)
    return folder


def test_every_table_is_linked_and_every_file_is_a_table(folder: Path) -> None:
    tables = TABLE.findall((folder / "report.html").read_text(encoding="utf-8"))
    linked = [re.findall(r'<a class="csv" href="([a-z_]+\.csv)" download>', table) for table in tables]
    assert len(tables) > 8
    assert all(len(found) == 1 for found in linked)
    names = sorted(name for (name,) in linked)
    assert len(names) == len(set(names))
    assert set(names) <= {path.name for path in folder.glob("*.csv")}
    assert not (folder / "of_an_earlier_report.csv").exists()


def test_a_file_has_the_headings_and_the_rows_of_its_table(folder: Path) -> None:
    compared = 0
    for table in TABLE.findall((folder / "report.html").read_text(encoding="utf-8")):
        (name,) = re.findall(r'href="([a-z_]+\.csv)"', table)
        with (folder / name).open(encoding="utf-8-sig", newline="") as file:
            head, *rows = list(csv.reader(file))
        shown_head, shown_body = re.findall(r"<thead>(.*?)</thead>.*?<tbody>(.*?)</tbody>", table, re.DOTALL)[0]
        assert head == cells(shown_head)
        shown = [cells(row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", shown_body, re.DOTALL)]
        assert [[as_number(c.removeprefix("'")) for c in row] for row in rows] == [
            [as_number(c) for c in row] for row in shown
        ]
        compared += len(rows)
    assert compared > 50


def test_a_name_is_text_and_no_formula(folder: Path, tmp_path: Path, load: Callable[[str], Image.Image]) -> None:
    assert any(HOSTILE in path.read_text(encoding="utf-8-sig") for path in folder.glob("*.csv"))
    table = Table(
        "names", {"name": "text", "n": "number"}, [("=1+1", "-0.5"), ("\u2068Zoë\u2069", "3"), ("-x", "1e-05")]
    )
    page = render("prompts.html.j2", tmp_path, lines=[], protocol="p", images="i", kept=table)
    assert "CSV" not in page
    assert (tmp_path / "kept.csv").read_text(encoding="utf-8-sig").splitlines() == [
        '"name","n"', '"\'=1+1",-0.5', '"Zoë",3', '"\'-x",1e-05'
    ]  # fmt: skip


def test_a_text_of_digits_stays_as_it_is_written(tmp_path: Path) -> None:
    kinds = {"Artist": "text", "Version": "text", "Revision": "code", "p": "number", "Trials": "number"}
    rows = [("007", "1.10", "0123", "0.050", "4"), ("1e+3", "2.0", "1e-05", "–", "12 of 40")]
    render("prompts.html.j2", tmp_path, lines=[], protocol="p", images="i", kept=Table("kept", kinds, rows))
    assert (tmp_path / "kept.csv").read_text(encoding="utf-8-sig").splitlines()[1:] == [
        '"007","1.10","0123",0.05,4', '"1e+3","2.0","1e-05","–","12 of 40"'
    ]  # fmt: skip
