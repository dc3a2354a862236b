"""The criteria table: what is read, and what is refused by row and column."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.roster.artist_rows import COLUMNS, EMPTY_CELLS
from audit_assets.roster.artists import artists_of, notes_on, read_artists
from audit_assets.untrusted.spreadsheet import plain
from audit_assets.untrusted.tables import clean


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
    ("name,opted-out?\nAda,yes", "row 1: unknown column 'opted-out\\?'; write 'opted_out' if it is that"),
    ("name,alias\nAda,A", "row 1: unknown column 'alias'; write 'aliases'"),
    ("name,born\nAda,02.03.50", "row 2, column born: '02.03.50' is not a year"),
    (
        'name\n"Example, Ada"',
        "row 2, column name: 'Example, Ada' has a comma.*write 'Ada Example'.*add 'Ada Example' to the aliases",
    ),
    ("name;born\nExample, Ada;1950", "row 2, column name: 'Example, Ada' has a comma"),
    (
        "name,aliases\nAda Example,x; ben SAMPLE\nBen Sample,",
        "row 2, column aliases: 'ben SAMPLE' is the name of 'Ben Sample' in row 3",
    ),
    (
        "name,aliases\nBen Sample,\nAda Example,Ben-Sample",
        "row 3, column aliases: 'Ben-Sample' is the name of 'Ben Sample' in row 2",
    ),
    (
        "name,opted_out,opted_out_on\nAda,no,2024-05-01",
        "row 2, column opted_out: 'no' contradicts the day '2024-05-01'",
    ),
    ("name,opted_out_on\nAda,last May", "row 2, column opted_out_on: 'last May' is not a date"),
    ("name,name\nAda,3", "row 1: column 'name' occurs twice"),
    ("name\n", "no artist"),
    ("name,kind\nAda,painter", "row 2, column kind: 'painter'"),
    ("name,born\nAda,1950\nName,born", "row 3: repeats the header; delete the row"),
    ("name,born\nAda,1950\n\ufeffname,born", "row 3: repeats the header"),
    ("name,born\nAda,70", "row 2, column born: '70' is not a year; write four digits"),
    ("name\nAda\nName", "row 3: repeats the header"),
    ("name\n49 Ada\n50 Ben", "row 2, column name: '49 Ada' has the number of a list.*\n.*row 3"),
    ("name\nAda\nBen\nRen? Sample", r"row 4, column name: 'Ren\? Sample' has lost a letter"),
    ("name,born\nAda,19th century", "row 2, column born: '19th century' is not a year"),
    ("name,died\nAda,-5", "row 2, column died: '-5' is not a year"),
    ("name,born,died\nAda,1950,1940", "row 2, column died: 1940 is before"),
    ("name,kind\nAda,artist\n,artist", "row 3, column name: the name is empty"),
    (
        "kind,locale,name\nartist,no_NO,Ada\nartist",
        "row 3, column name: the name is empty; write one, or delete the row",
    ),
    ("name\nAda\n...\n", "row 3, column name: '...' has no letter"),
    ("name\n" + "x" * 201, "row 2, column name: .* has 201 characters"),
    ("name\nA\0da", r"row 2, column name: control character U\+0000"),
    ('name\n"A\nda"', r"row 2, column name: control character U\+000A"),
    ("name,aliases\nAda,ok;" + "x" * 201, "row 2, column aliases"),
    ('name\nBea\n"Ada Brandvold"\nada-brandvold', "row 4, column name: .*same name as 'Ada Brandvold' in row 3"),
    ("name\nʿAbd al-Raḥmān\nAbd al-Rahman", "row 3, column name: .*same name as 'ʿAbd al-Raḥmān' in row 2"),
    ("name,opted_out\nAda,perhaps", "row 2, column opted_out: 'perhaps'"),
    ("name,sells_work\nAda,often", "row 2, column sells_work: 'often'"),
    ("name\nAda,1,2", "row 2: 3 cells, but the header has 1"),
    ('name\n"Ada', "row 2: not readable as CSV"),
    (b"name\nBea\nAd\xe9", "row 3: byte 11 is not UTF-8"),
    (
        b"name;born\r\nAd\xe8le Example;1950\r\n",
        r"row 2: byte 13 is not UTF-8; it is within 'Ad.le Example', which reads 'Adèle Example' in Windows-1252.*CSV UTF-8",
    ),
    (b"PK\x03\x04rest", r"is a workbook \(.xlsx, .ods\), not a table in text; save it as CSV \(in Excel.*CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0rest", r"is a workbook \(.xls\)"),
    ("name".encode("utf-16")[:-1], "begins like utf-16-le, but is damaged"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_bad_tables_are_refused_by_file_row_and_column(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_artists(path)
    assert str(path) in str(caught.value)


FULL = "name,born,opted_out,sells_work\r\nAdèle Example,1950,yes,no\r\nBen Sample,1961,no,yes\r\n"
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
WORDS = [
    ("yes", "no"),
    ("TRUE", "FALSE"),
    ("WAHR", "FALSCH"),
    ("VRAI", "FAUX"),
    ("Ja", "Nein"),
    ("sí", "no"),
    ("1", "0"),
    ("да", "нет"),
    ("はい", "いいえ"),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_is_read_as_any_spreadsheet_saves_it(tmp_path: Path, encoding: str, delimiter: str) -> None:
    plain = read_artists(written(tmp_path, FULL))
    for yes, no in WORDS:
        text = FULL.replace("yes", yes).replace(",no,", f",{no},").replace(",no\r", f",{no}\r").replace(",", delimiter)
        saved = read_artists(written(tmp_path, (text + 3 * delimiter + "\r\n\r\n").encode(encoding)))
        assert saved.equals(plain), (yes, no)
        assert notes_on(tmp_path / "artists.csv") == []
    for mark in (f"sep={delimiter}", f'"SEP={delimiter}"', f"sep={delimiter} "):
        assert read_artists(written(tmp_path, f"{mark}\r\n" + FULL.replace(",", delimiter))).equals(plain)
    assert read_artists(written(tmp_path, "\u200b" + FULL.replace(",born", "\u00a0,born"))).equals(plain)


def test_what_programs_write_for_an_empty_cell_is_read_as_empty_and_said(tmp_path: Path) -> None:
    """A table of pandas says nan; on three platforms and with two aliases of that name, an artist would be another artist."""
    text = (
        "name,born,aliases,instagram,peers,indirect_prompt\nAda Example,NaN,nan,None,nan,#N/A\nBen Sample,1950,,yes,,\n"
    )
    table = read_artists(written(tmp_path, text))
    first, second = table.to_dict("records")
    assert (first["aliases"], first["instagram"], first["peers"], first["indirect_prompt"]) == ([], "", "", "")
    assert pd.isna(first["born"])
    assert (second["born"], second["instagram"]) == (1950, "yes")
    said = notes_on(tmp_path / "artists.csv")
    assert len(said) == 5
    assert all("is read as an empty cell" in note for note in said)


@pytest.mark.parametrize(
    ("column", "words", "named"),
    [
        ("indirect_prompt", "a boat painted by vincent SÁMPLE", "Vincent Sample"),
        ("indirect_prompts", "a boat|a boat in the manner of Vinsam", "Vinsam"),
        ("indirect_prompts", "a boat by the J.C.", "JC"),
        ("described_as", "a painter of the sks school", "sks"),
        ("described_as", "a follower of ヴィンセント", "ヴィンセント"),
    ],
)
def test_a_description_that_names_the_artist_is_refused(tmp_path: Path, column: str, words: str, named: str) -> None:
    """Its images counted as "described, not named"."""
    names = "name,aliases,prompt_name,translated"
    row = "Vincent Sample,Vinsam; JC,sks,ヴィンセント"
    with pytest.raises(InputError) as error:
        read_artists(written(tmp_path, f"{names},{column}\n{row},{words}\n"))
    assert f"artists.csv, row 2, column {column}: {words.split('|')[-1]!r} names the artist ({named!r})" in str(
        error.value
    )
    assert "describe the works in other words" in str(error.value)
    plain = read_artists(written(tmp_path, f"{names},{column}\n{row},a sample of boats|a painter\n"))
    assert plain[column][0] in ("a sample of boats|a painter", ["a sample of boats", "a painter"])


@pytest.mark.parametrize("nothing", ["NA", "na", "none", "NONE", "None", "-", "\u2013", "\u2014", "NULL", "n/a"])
def test_what_people_and_r_write_for_an_empty_cell_is_read_as_empty_in_every_column_but_the_name(
    tmp_path: Path, nothing: str
) -> None:
    """write.csv of R says NA; a model was asked for "Artwork from NA", and an artist without accounts was on three platforms."""
    columns = [column for column in COLUMNS if column != "name"]
    expected = read_artists(written(tmp_path, "name\nAda Example\n"))
    path = written(tmp_path, f"name,{','.join(columns)}\nAda Example{f',{nothing}' * len(columns)}\n")
    assert read_artists(path).equals(expected)
    assert f"{path}, row 2, column prompt_name: {nothing!r} is read as an empty cell." in notes_on(path)
    assert len(notes_on(path)) == len(columns)


def test_a_person_may_be_called_na_and_words_that_only_begin_so_stay(tmp_path: Path) -> None:
    text = "name,aliases,instagram,prompt_name\nNa,A; NA; Nora,nonesuch,NA style\nBen Sample,Nada,unknown.artist,Na\n"
    na, ben = read_artists(written(tmp_path, text)).to_dict("records")
    assert (na["name"], na["aliases"], na["instagram"], na["prompt_name"]) == ("Na", ["A", "Nora"], "nonesuch", "NA style")  # fmt: skip
    assert (ben["aliases"], ben["instagram"], ben["prompt_name"]) == (["Nada"], "unknown.artist", "Na")


@pytest.mark.parametrize("cell", ["?", "...", "unknown", "Unknown"])
def test_a_platform_that_is_not_known_is_refused(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, f"name,artstation\nAda Example,{cell}\n")
    with pytest.raises(
        InputError, match=r"artists\.csv, row 2, column artstation: .* does not say whether; write yes, no"
    ):
        read_artists(path)


cells = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp"], include_characters=" "), max_size=12
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sources=st.lists(cells.filter(lambda cell: cell.strip() not in EMPTY_CELLS), min_size=1, max_size=5),
    dialect=st.sampled_from([csv.excel, csv.unix_dialect]),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(ENCODINGS),
)
def test_cells_come_back_from_every_dialect(
    tmp_path: Path, sources: list[str], dialect: type[csv.Dialect], delimiter: str, encoding: str
) -> None:
    file = io.StringIO()
    rows = [(f"Ada Example {number}", source) for number, source in enumerate(sources)]
    csv.writer(file, dialect, delimiter=delimiter).writerows([("name", "source"), *rows])
    table = read_artists(written(tmp_path, file.getvalue().encode(encoding)))
    assert table["source"].tolist() == [clean(plain(source.strip()))[0] for source in sources]
    assert notes_on(tmp_path / "artists.csv") == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(b"name;aliases\nAda;".__add__)))
def test_any_bytes_are_read_or_refused_with_the_file(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    try:
        assert len(read_artists(path)) > 0
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_columns_that_are_not_read_are_said(tmp_path: Path) -> None:
    table = read_artists(written(tmp_path, "name,shoe_size,Museum,,\nAda Example,38,here,,\n"))
    assert len(table) == 1
    (note,) = notes_on(tmp_path / "artists.csv")
    assert "row 1: not read: columns 'shoe_size', 'museum'; the columns that are read are name, kind" in note


def test_a_cell_without_the_name_of_a_column_is_said_and_row_numbers_are_not(tmp_path: Path) -> None:
    read_artists(written(tmp_path, ",name,#,\n0,Ada Example,1,\n1,Bea,2,\n"))
    assert notes_on(tmp_path / "artists.csv") == []
    read_artists(written(tmp_path, "name,,born\nAda Example,,1950\nBea,opted out,1960\nCleo,opted out,\n"))
    (note,) = notes_on(tmp_path / "artists.csv")
    assert note.endswith("row 3: not read: 'opted out', whose column has no name; name it if it counts.")


@pytest.mark.parametrize("alias", ["葛飾；北斎", "北斎、葛飾", "x | y", "x/y"])  # noqa: RUF001
def test_aliases_that_another_mark_separates_are_said(tmp_path: Path, alias: str) -> None:
    table = read_artists(written(tmp_path, f'name,aliases\nAda Example,"{alias}"\n'))
    assert table["aliases"].tolist() == [[alias]]
    (note,) = notes_on(tmp_path / "artists.csv")
    assert f"{alias!r} is one alias, with" in note


def test_characters_that_nobody_sees_are_taken_out_and_said(tmp_path: Path) -> None:
    table = read_artists(written(tmp_path, "name,aliases\nAda\u00a0Example\u200b,\ufeffadaex\nअ\u200cब,\n"))
    assert table["name"].tolist() == ["Ada Example", "अ\u200cब"]
    assert table["aliases"].tolist() == [["adaex"], []]
    alias, named = notes_on(tmp_path / "artists.csv")
    assert named.endswith(
        "row 2, column name: 'Ada Example' is read without no-break space (U+00A0) and zero width space (U+200B)."
    )
    assert "row 2, column aliases: 'adaex' is read without zero width no-break space (U+FEFF)" in alias


def test_dates_give_the_year_and_the_day_of_an_opt_out_is_kept(tmp_path: Path) -> None:
    text = "name,born,died,opted_out,opted_out_on\n" + "\n".join(
        [
            "Ada,1950-03-02,,2024-05-01,",
            "Bea,02.03.1950,1999-01-01 00:00:00,yes,2024-05",
            "Cleo,3/2/1950,,,01.05.2024",
            "Dora,,,no,",
        ]
    )
    table = read_artists(written(tmp_path, text))
    assert table["born"].tolist()[:3] == [1950] * 3
    assert table["died"].dropna().tolist() == [1999]
    assert table["opted_out"].tolist() == [True, True, True, False]
    assert table["opted_out_on"].tolist() == ["2024-05-01", "2024-05", "01.05.2024", ""]


def test_a_comma_may_belong_to_a_name(tmp_path: Path) -> None:
    text = 'name,aliases\n"Ada Example, Jr.",\n"Example, Sample",Sample Example\n"Bea","x, y"\n'
    table = read_artists(written(tmp_path, text))
    assert table["name"].tolist() == ["Ada Example, Jr.", "Example, Sample", "Bea"]
    assert [note.partition("aliases: ")[2] for note in notes_on(tmp_path / "artists.csv")] == [
        "'x, y' is one alias, with ',' in it; ';' separates aliases."
    ]


def test_an_alias_whose_letters_a_program_changed_is_said(tmp_path: Path) -> None:
    written(tmp_path, "name,aliases\nAdèle Example,Ad?le; AdÃ¨le X; Adèle X\n")
    lost, read = notes_on(tmp_path / "artists.csv")
    assert "'Ad?le' has lost a letter" in lost
    assert "'AdÃ¨le X' was saved as UTF-8 and read in another encoding" in read


def test_an_alias_of_two_artists_is_said(tmp_path: Path) -> None:
    written(tmp_path, "name,aliases\nAda,Studio A\nBea,studio-a; B\n")
    (note,) = notes_on(tmp_path / "artists.csv")
    assert "rows 2 and 3: 'studio-a' is an alias of 'Ada' and of 'Bea'; captions that hold it count for both." in note


@pytest.mark.parametrize("folder", ["ada example", "Example_Ada", "adaex", "太郎_田中"])
def test_a_folder_of_the_background_with_the_name_of_an_artist_is_refused(tmp_path: Path, folder: str) -> None:
    """Its works would be another artist's, with whom the artist is compared."""
    written(tmp_path, "name,aliases\nAda Example,adaex\n田中 太郎,\n")
    entries = "models: [{name: m, source: diffusers, path: m}]\nencoders: [{name: e, kind: image_text, path: e}]\n"
    (tmp_path / "audit.yaml").write_text("roster: {artists: artists.csv}\nbackground: others\n" + entries)
    for other in ("Ben Sample", "中田太郎"):
        (tmp_path / "others" / other).mkdir(parents=True)
    audit = load_audit(tmp_path / "audit.yaml")
    table = artists_of(audit)
    assert table.loc[table["kind"] == "background", "name"].tolist() == ["Ben Sample", "中田太郎"]
    (tmp_path / "others" / folder).mkdir()
    with pytest.raises(InputError, match=f"{folder}: has the name '.*artists.csv, or its parts in another order; move"):
        artists_of(audit)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.csv: cannot read the artists table \(No such file"):
        read_artists(tmp_path / "nowhere.csv")


def test_every_wrong_row_is_listed_at_once(tmp_path: Path) -> None:
    table = tmp_path / "artists.csv"
    table.write_text("name,born\nAda (Brandvold),\nAda,19th century\nBea,1900\nbea,\n", encoding="utf-8")
    with pytest.raises(InputError) as found:
        read_artists(table)
    lines = str(found.value).splitlines()
    assert [line.split(", ")[1] for line in lines] == ["row 2", "row 3", "row 5"]
    table.write_text("name\n" + "".join(f"Ada {n} (x)\n" for n in range(60)), encoding="utf-8")
    with pytest.raises(InputError) as found:
        read_artists(table)
    lines = str(found.value).splitlines()
    assert len(lines) == 51
    assert lines[-1].endswith("10 more rows are wrong.")
