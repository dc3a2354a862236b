"""Folders of real works: order, hostile names, and what changes the fingerprint."""

from pathlib import Path

import pytest
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.references.works import COLUMNS, fingerprint, reference_works
from audit_assets.roster.homes import homes
from audit_assets.untrusted.folders import images_of
from audit_assets.warehouse.images import ImageStore


def works_of(folder: Path, subject: str, name: str) -> list[Path]:
    return images_of(homes(folder, {subject: [name]}).own.get(subject, []))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "references" / "ada"
    own.mkdir(parents=True)
    for i, name in enumerate(("b.png", "a.JPG", "c.webp")):
        Image.new("RGB", (4, 4), (i * 60, 10, 10)).save(own / name)
    (own / "notes.txt").write_text("no work")
    return tmp_path / "references"


def test_works_are_numbered_in_order_of_name(folder: Path, tmp_path: Path) -> None:
    files = works_of(folder, "ada", "Ada")
    assert [f.name for f in files] == ["a.JPG", "b.png", "c.webp"]
    (folder / "ada" / "manifest.csv").write_text("file,licence,source\nb.png,CC0,museum\na.JPG\n", encoding="utf-8-sig")
    table = reference_works(files, "ada", ImageStore(tmp_path / "images"))
    assert list(table) == COLUMNS
    assert table["work"].tolist() == [0, 1, 2]
    assert table["source"].isna().tolist() == [True, False, True]
    assert table.loc[1, "licence"] == "CC0"


def test_a_folder_may_carry_the_slug_or_the_name_and_all_folders_of_an_artist_count(folder: Path) -> None:
    (folder / "Bo | Dahl").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "Bo | Dahl" / "x.png")
    assert [f.name for f in works_of(folder, "bo-dahl", "Bo | Dahl")] == ["x.png"]
    assert len(works_of(folder, "ada", "Bo | Dahl")) == 4


@pytest.mark.parametrize(
    "name", ["..", ".", "", "/", "/etc", "../secret", "a/../../secret", "a\\b", "a\0b", "|", "風" * 200]
)
def test_a_hostile_name_finds_nothing(folder: Path, name: str) -> None:
    (folder.parent / "secret").mkdir()
    Image.new("RGB", (4, 4)).save(folder.parent / "secret" / "x.png")
    Image.new("RGB", (4, 4)).save(folder / "loose.png")
    assert works_of(folder, name, name) == []


def test_links_are_refused_by_name(folder: Path) -> None:
    (folder / "bo").symlink_to(folder / "ada", target_is_directory=True)
    with pytest.raises(InputError, match="bo: is a link; copy"):
        works_of(folder, "bo", "Bo")
    (folder / "ada" / "d.png").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"d\.png: is a link; copy"):
        works_of(folder, "ada", "Ada")


def test_a_folder_with_the_name_of_an_image_is_refused(folder: Path) -> None:
    (folder / "ada" / "z.png").mkdir()
    with pytest.raises(InputError, match=r"z\.png: is not a file"):
        works_of(folder, "ada", "Ada")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"name,licence\n", "row 1: no column 'file'"),
        (b"", "no column 'file'"),
        (b"file\n\xff\n", "save it as CSV in UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_named(folder: Path, tmp_path: Path, content: bytes, error: str) -> None:
    (folder / "ada" / "manifest.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"manifest\.csv.*{error}"):
        reference_works(works_of(folder, "ada", ""), "ada", ImageStore(tmp_path / "images"))


def test_a_broken_image_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "ada" / "b.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"b\.png: cannot be read as an image"):
        reference_works(works_of(folder, "ada", ""), "ada", ImageStore(tmp_path / "images"))


def test_broken_images_of_one_name_in_two_folders_of_an_artist_are_both_listed(folder: Path, tmp_path: Path) -> None:
    (folder / "Ada").mkdir()
    for own in ("ada", "Ada"):
        (folder / own / "broken.jpg").write_bytes(b"broken")
    refused: dict[str, str] = {}
    table = reference_works(works_of(folder, "ada", "Ada"), "ada", ImageStore(tmp_path / "images"), refused)
    assert sorted(refused) == ["Ada/broken.jpg", "ada/broken.jpg"]
    assert all(str(folder / place) in why for place, why in refused.items())
    assert len(table) == 3


def test_the_fingerprint_changes_with_a_byte_a_name_or_the_manifest_and_with_nothing_else(folder: Path) -> None:
    def now() -> str:
        return fingerprint(works_of(folder, "ada", ""))

    own = folder / "ada"
    seen = [now()]
    (own / "notes.txt").write_text("changed")
    assert now() == seen[0]
    content = (own / "b.png").read_bytes()
    (own / "b.png").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    seen.append(now())
    (own / "b.png").rename(own / "bb.png")
    seen.append(now())
    (own / "manifest.csv").write_text("file\n")
    seen.append(now())
    assert len(set(seen)) == 4
    assert fingerprint([]) == fingerprint([])
