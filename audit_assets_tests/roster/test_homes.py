"""Which folder belongs to which artist, what is not read, and what a manifest may not lose in silence."""

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.references.works import reference_works
from audit_assets.roster.homes import file_hashes, homes, names_of, shared, unread_of, unread_works, works_of
from audit_assets.roster.slugs import slug
from audit_assets.untrusted.folders import FIELDS, REFERENCE_FIELDS, folder_files, is_dropping, read_manifest
from audit_assets.untrusted.folders import images_of as images_in
from audit_assets.warehouse.images import ImageStore

NAMES = {"ada-example": ["Ada Example", "A. Zee"], "bjorn-example": ["Björn Example"], "ben-sample": ["Ben Sample"]}
UNSPACED = {"tanaka": ["田中 太郎"], "hong": ["홍 길동"]}


def fill(own: Path, images: int = 2, first: int = 0, suffix: str = "png") -> Path:
    own.mkdir(parents=True, exist_ok=True)
    for n in range(first, first + images):
        pixels = np.random.default_rng(n).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(own / f"{n}.{suffix}")
    return own


@pytest.mark.parametrize(
    ("folder", "subject"),
    [
        ("ada-example", "ada-example"),
        ("ada example", "ada-example"),
        ("ADA_EXAMPLE", "ada-example"),
        ("Ada Example ", "ada-example"),
        ("Example, Ada", "ada-example"),
        ("a zee", "ada-example"),
        (unicodedata.normalize("NFD", "Björn Example"), "bjorn-example"),
        ("Björn_Example", "bjorn-example"),
        ("Sample, Ben", "ben-sample"),
        ("Ben Sample Jr", None),
        ("Example", None),
        ("Carl Nobody", None),
        ("Zee, A.", "ada-example"),
        ("田中太郎", "tanaka"),
        ("太郎_田中", "tanaka"),
        ("太郎, 田中", "tanaka"),
        ("中田太郎", None),
        ("田中 郎太", None),
        ("길동 홍", "hong"),
        ("동길 홍", None),
    ],
)
def test_a_folder_is_matched_however_it_is_spelt(tmp_path: Path, folder: str, subject: str | None) -> None:
    fill(tmp_path / folder)
    found = homes(tmp_path, {**NAMES, **UNSPACED})
    assert list(found.own) == ([subject] if subject else [])
    assert len(found.strays) == (subject is None)


def test_a_folder_that_could_be_two_artists_is_neithers_and_a_typo_gets_a_hint(tmp_path: Path) -> None:
    for folder in ("Zed Alias", "Ada Exampel"):
        fill(tmp_path / folder)
    found = homes(
        tmp_path, {**NAMES, "zed": ["Zed", "Zed Alias"], "zoe": ["Zoe", "Alias Zed"], "x": ["X", "Zed Alias"]}
    )
    said = {entry.name: why for entry, why in found.strays}
    assert "'X' and 'Zed' have this name; rename it to the slug of one" in said["Zed Alias"]
    assert said["Ada Exampel"].endswith("if it is 'Ada Example', rename it")


def test_a_folder_with_a_comma_is_that_of_the_turned_name(tmp_path: Path) -> None:
    names = {"james-thomas": ["James Thomas"], "thomas-james": ["Thomas James"], "davis": ["Sammy Davis, Jr."]}
    for folder in ("Thomas, James", "James, Thomas", "Davis, Sammy, Jr."):
        fill(tmp_path / folder)
    found = homes(tmp_path, names)
    assert {s: [f.name for f in own] for s, own in found.own.items()} == {
        "james-thomas": ["Thomas, James"],
        "thomas-james": ["James, Thomas"],
        "davis": ["Davis, Sammy, Jr."],
    }
    assert list(homes(tmp_path, {"t": ["Thomas James"]}).own) == ["t"]  # no other artist has these parts
    both = homes(tmp_path, {"a": ["A", "James Thomas"], "b": ["B", "James Thomas"]})
    assert (
        "'A' and 'B' have this name; rename it to the slug of one"
        in {e.name: why for e, why in both.strays}["Thomas, James"]
    )


def test_a_folder_with_dates_belongs_to_nobody_and_its_hint_names_the_artist(tmp_path: Path) -> None:
    """Two artists of one name differ by their dates, so the works are not given to either in silence."""
    fill(tmp_path / "Ada Example (1920-1990)")
    (stray,) = homes(tmp_path, NAMES).strays
    assert stray[1].endswith("if it is 'Ada Example', rename it")


def test_ten_thousand_names_and_hundreds_of_strays_are_compared_only_if_they_begin_alike(tmp_path: Path) -> None:
    import difflib
    from unittest import mock

    names = {f"s{n}": [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{n} Example{n}"] for n in range(10_000)}
    names["ada"] = ["Ada Brandvold"]
    for n in range(20):
        (tmp_path / f"Ada Brandvol {n}").mkdir()
    with mock.patch.object(difflib, "get_close_matches", wraps=difflib.get_close_matches) as compared:
        strays = homes(tmp_path, names).strays
    assert all("if it is 'Ada Brandvold'" in why for _, why in strays)
    assert max(len(call.args[1]) for call in compared.call_args_list) < 100


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_a_folder_with_the_tokens_of_a_name_belongs_to_it_and_to_nobody_else(name: str) -> None:
    from audit_assets.roster.homes import _Claims
    from audit_assets.roster.normalise import tokens

    claims = _Claims({slug(name): [name], "somebody-else-entirely": ["Somebody Else Entirely"]})
    assert claims.of(name) == [slug(name)]
    assert claims.of(slug(name)) == [slug(name)]
    if tokens(name):
        assert claims.of("_".join(tokens(name)).upper().lower()) in ([slug(name)], [])
        assert claims.of(" " + unicodedata.normalize("NFD", name) + " ") == [slug(name)]


@pytest.mark.parametrize("name", ["._0.png", ".DS_Store", "Thumbs.db", "THUMBS.DB", "@eaDir", ".ipynb_checkpoints", "__MACOSX", "desktop.ini"])  # fmt: skip
def test_what_programs_left_is_ignored_and_said(tmp_path: Path, name: str) -> None:
    own = fill(tmp_path / "ada-example")
    (own / name).write_bytes(b"\0\5\x16\7 no image")
    (tmp_path / name).write_bytes(b"x")
    assert is_dropping(name)
    assert [f.name for f in images_in([own])] == ["0.png", "1.png"]
    assert name not in {f.name for f in folder_files(own)}
    said = [(one.file, one.why) for one in unread_of("references", homes(tmp_path, NAMES), REFERENCE_FIELDS)]
    assert [file for file, _ in said] == ["./", "ada-example/"]
    assert all(name in why for _, why in said)


def test_a_work_whose_name_begins_otherwise_is_no_dropping() -> None:
    assert not any(map(is_dropping, ["0.png", "thumbs.db.png", "a.DS_Store", "MACOSX", "_0.png"]))


def test_whatever_is_not_read_is_listed_by_name(tmp_path: Path) -> None:
    own = fill(tmp_path / "ada example")
    (own / "notes.txt").write_text("x")
    (own / "scan.psd").write_bytes(b"8BPS")
    (own / "Manifest.CSV").write_text("file\n")
    (own / "works.ZIP").write_bytes(b"PK")
    fill(own / "1920s")
    fill(tmp_path / "Carl Nobody")
    fill(tmp_path, images=1)
    (own / "copy.png").write_bytes((own / "0.png").read_bytes())
    (own / "link.txt").symlink_to(tmp_path / "0.png")
    found = unread_of("references", homes(tmp_path, NAMES), REFERENCE_FIELDS)
    assert {one.file for one in found} == {
        "0.png", "Carl Nobody", *(f"ada example/{n}" for n in ("notes.txt", "scan.psd", "Manifest.CSV", "1920s", "copy.png", "link.txt", "works.ZIP")),
    }  # fmt: skip
    assert "unpack it" in next(one.why for one in found if one.file.endswith("works.ZIP"))
    assert "copies count once" in next(one.why for one in found if one.file.endswith("copy.png"))
    fill(tmp_path / "clean" / "ada-example")
    assert unread_of("references", homes(tmp_path / "clean", NAMES), REFERENCE_FIELDS) == []


@pytest.mark.parametrize("fields", [REFERENCE_FIELDS, FIELDS])
def test_a_manifest_beside_the_artists_folders_is_not_lost_in_silence(tmp_path: Path, fields: tuple[str, ...]) -> None:
    own = fill(tmp_path / "ada-example")
    (tmp_path / "manifest.csv").write_text("file\nada-example/0.png\n")
    (said,) = unread_of("references", homes(tmp_path, NAMES), fields)
    assert said.file == "manifest.csv"
    assert said.why.startswith("lies in no artist's folder and is not read; put each artist's rows into a manifest.csv")
    (tmp_path / "manifest.csv").unlink()
    (tmp_path / "manifest.csv").symlink_to(own / "0.png")
    assert not any("lies in no" in one.why for one in unread_of("references", homes(tmp_path, NAMES), fields))
    (tmp_path / "manifest.csv").unlink()
    (own / "manifest.csv").write_text("file\n0.png\n1.png\n")
    assert unread_of("references", homes(tmp_path, NAMES), fields) == []


def test_works_in_the_formats_of_archives_count(tmp_path: Path) -> None:
    own = fill(tmp_path / "ada-example")
    for n, suffix in enumerate(("tif", "gif", "bmp", "avif", "webp"), 2):
        fill(own, 1, n, suffix)
    fill(own, 1, 7, "jpg")
    (own / "7.jpg").rename(own / "7.jfif")
    assert len(images_in([own])) == 8
    assert len(reference_works(images_in([own]), "ada-example", ImageStore(tmp_path / "store"))) == 8


def test_ten_copies_of_one_work_are_one_work(tmp_path: Path) -> None:
    own = fill(tmp_path / "ada-example", 1)
    for n in range(1, 10):
        Image.open(own / "0.png").save(own / f"image ({n}).png", compress_level=n)  # other bytes, the same pixels
    fill(own, 1, first=77)
    table = reference_works(images_in([own]), "ada-example", ImageStore(tmp_path / "store"))
    assert len(table) == 2
    assert table["work"].tolist() == [0, 1]


def audit_of(tmp_path: Path, text: str) -> Path:
    entries = "models: [{name: m, source: diffusers, path: m}]\nencoders: [{name: e, kind: image_text, path: e}]\n"
    (tmp_path / "audit.yaml").write_text(text + entries)
    return tmp_path / "audit.yaml"


def test_works_are_found_by_alias_and_works_of_two_artists_are_named(tmp_path: Path) -> None:
    (tmp_path / "artists.csv").write_text("name,aliases\nAda Example,A. Zee;Zee\nBen Sample,\n", encoding="utf-8")
    audit = load_audit(audit_of(tmp_path, "roster: {artists: artists.csv}\n"))
    fill(tmp_path / "references" / "zee", 3)
    fill(tmp_path / "references" / "ben_sample", 3)
    fill(tmp_path / "references" / "ben-sample", 1, first=9)
    names = names_of(
        audit, pd.DataFrame({"subject": ["ada-example", "ben-sample"], "name": ["Ada Example", "Ben Sample"]})
    )
    works = works_of(audit, names)
    assert {s: len(files) for s, files in works.files.items()} == {"ada-example": 3, "ben-sample": 4}
    assert unread_works(works) == []
    (said,) = shared(file_hashes(works.files), names)
    assert said.startswith("Ada Example and Ben Sample share 3 works; if one is an alias of the other")
    assert shared(file_hashes({"a": works.files["ada-example"]}), {"a": ["A"]}) == []


def test_the_works_of_one_artist_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    audit = load_audit(audit_of(tmp_path, "artist: Ada Example\nreferences: works\n"))
    fill(tmp_path / "works", 3)
    (tmp_path / "works" / "notes.txt").write_text("x")
    (tmp_path / "works" / "manifest.csv").write_text(
        "file\n0.png\n1.png\n2.png\n"
    )  # read, because the works lie beside it
    (tmp_path / "works" / "sketches").mkdir()
    works = works_of(audit, {"ada-example": ["Ada Example"]})
    assert [f.name for f in works.files["ada-example"]] == ["0.png", "1.png", "2.png"]
    notes, sketches = unread_works(works)
    assert (notes.file, sketches.file, sketches.why) == ("notes.txt", "sketches", "this folder belongs to no subject")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,licnce\n0.png,CC0\n", r"row 1: there is no column 'licnce'; if it is 'licence', rename it"),
        ("file,licence\n0.jpg,CC0\n", r"row 2, file: there is no image '0\.jpg' \(did you mean '0\.png'\?\)"),
        ("file,licence\n0.png,CC0\n0.png,CC0\n", "row 3, file: '0.png' is given twice"),
        ("file,licence\n0.png,CC0,by hand\n", "row 2: 3 cells, but the header has 2"),
        ("file,licence,license\n0.png,CC0,x\n", "the column 'licence' is given twice"),
    ],
)
def test_a_typo_in_a_manifest_loses_no_licence(tmp_path: Path, text: str, problem: str) -> None:
    own = fill(tmp_path / "ada-example")
    (own / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match=problem):
        reference_works(images_in([own]), "ada-example", ImageStore(tmp_path / "store"))
    (said,) = unread_of("references", homes(tmp_path, NAMES), REFERENCE_FIELDS)
    assert said.file == "ada-example/manifest.csv"


@pytest.mark.parametrize("text", ["File;License;Titel\n0.png;CC0;x\n", "file\tlicence\tTitel\n0.png\tCC0\tx\n\n"])
def test_a_manifest_of_a_spreadsheet_is_read_and_what_is_left_out_is_said(tmp_path: Path, text: str) -> None:
    own = fill(tmp_path / "ada-example")
    (own / "manifest.csv").write_text(text, encoding="utf-8-sig")
    table = reference_works(images_in([own]), "ada-example", ImageStore(tmp_path / "store"))
    assert table["licence"].dropna().tolist() == ["CC0"]
    said = [one.why for one in unread_of("references", homes(tmp_path, NAMES), REFERENCE_FIELDS)]
    assert any("column 'titel' is not read" in why for why in said)
    assert any("no row for 1 of 2 images (1.png)" in why for why in said)


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=10), max_size=4))
def test_any_manifest_gives_rows_of_its_files_or_bad_input(text: str, files: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.csv").write_bytes(("file," + text).encode("utf-8", "surrogatepass"))
        try:
            found = read_manifest(Path(folder), FIELDS, files)
        except InputError:
            return
        assert set(found.rows) <= set(files)
