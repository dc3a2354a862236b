"""What a process read once is read again after any change, also one that hides itself."""

import os
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.hashing import once_while_unchanged, sha256, sha256_once
from audit_assets.roster.artists import notes_on, read_artists
from audit_assets.roster.pictures import hashes
from audit_assets.untrusted.folders import contents
from audit_assets.warehouse.store import Warehouse


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock a minute ahead: whatever the test wrote was written long ago, and is kept."""
    now = time.time
    monkeypatch.setattr("audit_assets.hashing.time.time", lambda: now() + 60)


def rewritten(file: Path, content: bytes) -> None:
    """Write other bytes of the same number in place, and set the times back."""
    stat = file.stat()
    assert stat.st_size == len(content)
    time.sleep(0.02)  # older kernels record times to some thousandths of a second
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)


@once_while_unchanged(10)
def first_byte(file: Path, *, shift: int = 0) -> int:
    READ.append(file)
    return file.read_bytes()[0] + shift


READ: list[Path] = []


def test_just_after_a_change_nothing_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    os.utime(file, (0, 0))  # the time of change stays
    READ.clear()
    assert [first_byte(file) for _ in range(3)] == [ord("1")] * 3
    assert len(READ) == 3
    with pytest.raises(FileNotFoundError):
        first_byte(tmp_path / "b")


@pytest.mark.usefixtures("later")
def test_what_is_unchanged_is_read_once_for_each_way_to_read_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    READ.clear()
    assert [first_byte(file), first_byte(file, shift=1), first_byte(file), first_byte(file, shift=1)] == [
        49,
        50,
        49,
        50,
    ]
    assert len(READ) == 2
    rewritten(file, b"2")
    assert (first_byte(file), first_byte(file, shift=1)) == (50, 51)


@pytest.mark.usefixtures("later")
def test_another_picture_under_the_old_name_size_and_time_has_another_hash(tmp_path: Path) -> None:
    """The program that a UI runs in lives for weeks, and somebody may exchange a model's weights beside it."""
    file = tmp_path / "a.bmp"
    Image.effect_noise((32, 32), 90).save(file)
    hashed, pixels = sha256_once(file), hashes({"ada": [file]})
    content = file.read_bytes()
    rewritten(file, content[:-1] + bytes([content[-1] ^ 64]))
    assert sha256_once(file) == sha256(file) != hashed
    assert hashes({"ada": [file]}) != pixels


@pytest.mark.usefixtures("later")
def test_a_table_is_read_again_if_a_byte_of_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.write("t", pd.DataFrame({"a": [1]}), "made of this")
    path, readings = warehouse.path("t"), []
    whole, reading = path.read_bytes(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: readings.append(file) or reading(file))  # type: ignore[func-returns-value]
    assert [warehouse.inputs("t") for _ in range(3)] == ["made of this"] * 3
    assert len(readings) == 1
    rewritten(path, whole[:9] + bytes([whole[9] ^ 1]) + whole[10:])
    assert warehouse.inputs("t") is None
    assert not warehouse.is_made_from("t", "made of this")
    rewritten(path, whole)
    assert warehouse.inputs("t") == "made of this"
    warehouse.write("t", pd.DataFrame({"a": [1]}), "made of that")
    assert warehouse.inputs("t") == "made of that"
    path.unlink()
    assert warehouse.inputs("t") is None
    path.mkdir()
    assert warehouse.inputs("t") is None


@pytest.mark.usefixtures("later")
def test_a_large_table_is_finished_only_if_all_of_its_bytes_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_assets.warehouse.store.WHOLE", 100)
    warehouse = Warehouse(tmp_path)
    warehouse.write("t", pd.DataFrame({"a": range(100)}), "made of this")
    assert warehouse.is_made_from("t", "made of this")
    assert not warehouse.is_made_from("t", "made of that")
    whole = warehouse.path("t").read_bytes()
    rewritten(warehouse.path("t"), whole[:9] + bytes([whole[9] ^ 1]) + whole[10:])
    assert warehouse.inputs("t") == "made of this"  # the footer is whole
    assert not warehouse.is_made_from("t", "made of this")


@pytest.mark.usefixtures("later")
def test_a_folder_is_listed_again_if_a_file_came_went_or_became_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "Ada"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"1")
    first = contents(folder)
    first.images.clear()  # what one reader does with its list is nobody else's
    assert [file.name for file in contents(folder).images] == ["1.png"]
    (folder / "2.png").write_bytes(b"2")
    assert [file.name for file in contents(folder).images] == ["1.png", "2.png"]
    (folder / "1.png").unlink()
    (folder / "1.png").symlink_to(folder / "2.png")
    with pytest.raises(InputError, match=r"1\.png: is a link"):
        contents(folder)
    assert contents(folder, check=False).unread == [("1.png", "is a link, or not a file")]


@pytest.mark.usefixtures("later")
def test_the_table_of_artists_is_read_again_if_it_changed(tmp_path: Path) -> None:
    table = tmp_path / "artists.csv"
    table.write_text("name,museum\nAda Example,x\n", encoding="utf-8")
    read = read_artists(table)
    read.loc[0, "name"] = "somebody"
    assert read_artists(table)["name"].tolist() == ["Ada Example"]
    notes_on(table).clear()
    assert "museum" in notes_on(table)[0]
    rewritten(table, b"name,museum\nEda Example,x\n")
    assert read_artists(table)["name"].tolist() == ["Eda Example"]
