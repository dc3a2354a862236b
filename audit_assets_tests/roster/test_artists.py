"""The criteria table: what is read, and what is refused by row and column."""

from pathlib import Path

import pytest

from audit_assets.errors import InputError
from audit_assets.roster.artists import COLUMNS, read_artists


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "artists.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_only_the_name_is_needed(tmp_path: Path) -> None:
    table = read_artists(written(tmp_path, "name\nAda Brandvold\n"))
    assert tuple(table.columns) == COLUMNS
    (row,) = table.to_dict("records")
    assert (row["name"], row["kind"], row["aliases"], row["opted_out"]) == ("Ada Brandvold", "artist", [], False)
    assert table[["born", "died", "sells_work"]].isna().all(axis=None)
    assert (row["instagram"], row["source"], row["indirect_prompt"]) == ("", "", "")


def test_every_column_is_read(tmp_path: Path) -> None:
    text = (
        "\ufeffName,kind,aliases,born,died,instagram,deviantart,artstation,"
        "sells_work,source,opted_out,indirect_prompt\r\n"
        'Ada Brandvold,artist,adab; A. Brandvold;adab,1969,,@ada,no,yes,https://shop,"a, b",YES,"blue dots"\r\n\r\n'
        "Bea,background,,1900.0,1980,,,,no,,,\r\n"
    )
    ada, bea = read_artists(written(tmp_path, text)).to_dict("records")
    assert ada["aliases"] == ["adab", "A. Brandvold"]
    assert (ada["born"], ada["instagram"], ada["deviantart"], ada["artstation"]) == (1969, "@ada", "", "yes")
    assert ada["sells_work"] is True
    assert ada["opted_out"] is True
    assert (bea["kind"], bea["born"], bea["died"], bea["sells_work"]) == ("background", 1900, 1980, False)


NAMES = [
    "Zdzisław Beksiński",
    "O'Keeffe",
    "a/b",
    "b|c",
    "..a",
    'the "Hand"',
    "🎨 Studio",
    "王小明",
    "x" * 200,
    "עדה",
    "C",
]


def test_names_of_the_web_work(tmp_path: Path) -> None:
    cells = ['"' + name.replace('"', '""') + '"' for name in NAMES]
    assert read_artists(written(tmp_path, "name\n" + "\n".join(cells))).name.tolist() == NAMES


REFUSED = [
    ("title\nAda", "row 1: no column 'name'"),
    ("", "row 1: no column 'name'"),
    ("name,shoe_size\nAda,3", "row 1: unknown column 'shoe_size'"),
    ("name,name\nAda,3", "row 1: column 'name' occurs twice"),
    ("name\n", "no artist"),
    ("name,kind\nAda,painter", "row 2, column kind: 'painter'"),
    ("name,born\nAda,19th century", "row 2, column born: '19th century' is not a year"),
    ("name,died\nAda,-5", "row 2, column died: '-5' is not a year"),
    ("name,born,died\nAda,1950,1940", "row 2, column died: 1940 is before"),
    ("name,kind\nAda,artist\n,artist", "row 3, column name: the name is empty"),
    ("name\nAda\n...\n", "row 3, column name: '...' has no letter"),
    ("name\n" + "x" * 201, "row 2, column name: .* has 201 characters"),
    ("name\nA\0da", r"row 2, column name: control character U\+0000"),
    ('name\n"A\nda"', r"row 2, column name: control character U\+000A"),
    ("name,aliases\nAda,ok;" + "x" * 201, "row 2, column aliases"),
    ('name\nBea\n"Ada Brandvold"\nada-brandvold', "row 4, column name: .*same name as 'Ada Brandvold' in row 3"),
    ("name,opted_out\nAda,perhaps", "row 2, column opted_out: 'perhaps'"),
    ("name,sells_work\nAda,often", "row 2, column sells_work: 'often'"),
    ("name\nAda,1,2", "row 2: 3 cells, but the header has 1"),
    ('name\n"Ada', "row 2: not readable as CSV"),
    (b"name\nBea\nAd\xe9", "row 3: byte 11 is not UTF-8"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_bad_tables_are_refused_by_file_row_and_column(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_artists(path)
    assert str(path) in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.csv: cannot read the artists table \(No such file"):
        read_artists(tmp_path / "nowhere.csv")
