"""Hostile images and folders: bombs, other formats under an image's name, and links that lead elsewhere."""

import contextlib
import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import Image

import audit_assets
from audit_assets.errors import InputError
from audit_assets.untrusted.folders import (
    artist_folders,
    folder_files,
    folder_problems,
    images_of,
    read_manifest,
    supplied_files,
)
from audit_assets.untrusted.images import check_header, open_image
from audit_assets.warehouse.images import ImageStore

MAGIC = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 4))
    return MAGIC + header + b"".join(more) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (9_000, 9_000), (1, 2**31 - 1), (2**31 - 1, 1)])
def test_an_image_of_enormous_size_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(png(*size))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"bomb\.png"):
        open_image(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png"):
        check_header(tmp_path / "bomb.png")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_compressed_text_does_not_fill_the_memory(tmp_path: Path, name: bytes) -> None:
    packed = zlib.compress(b"x" * 200_000_000, 9)
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[name]
    (tmp_path / "bomb.png").write_bytes(png(1, 1, chunk(name, head + packed)))
    tracemalloc.start()
    with contextlib.suppress(InputError):
        open_image(tmp_path / "bomb.png")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) (w) file closefile\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "content", [EPS, b"%PDF-1.4\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"P6 9 9 255\n" + bytes(243)]
)
def test_what_is_another_format_under_an_images_name_is_not_opened(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow starts Ghostscript, a whole programming language, for an EPS."""
    monkeypatch.setattr("subprocess.check_call", lambda *a, **k: pytest.fail("a program was started"))
    (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(InputError, match=r"image\.png: cannot be read as an image"):
        open_image(tmp_path / "image.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One artist's image, a secret outside, and a link to it."""
    (tmp_path / "outside").mkdir()
    Image.new("RGB", (4, 4), "red").save(tmp_path / "outside" / "secret.png")
    (tmp_path / "outside" / "manifest.csv").write_text("file,source\nsecret.png,a secret\n")
    own = tmp_path / "folder" / "ada"
    own.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(own / "0.png")
    return tmp_path / "folder"


def test_a_link_to_an_image_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (folder / "ada" / "1.png").symlink_to(tmp_path / "outside" / "secret.png")
    for read in (images_of, supplied_files):
        with pytest.raises(InputError, match=r"1\.png: is a link"):
            read([folder / "ada"])
    assert [p.name for p in folder_files(folder / "ada")] == ["0.png"]


def test_a_link_to_a_folder_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (folder / "bo").symlink_to(tmp_path / "outside")
    for read in (images_of, supplied_files):
        with pytest.raises(InputError, match="bo: is a link"):
            read([folder / "bo"])
    assert [p.name for p in artist_folders(folder)] == ["ada"]
    assert folder_problems(folder) == [f"{folder / 'bo'}: is a link; copy the file itself into the folder."]


def test_a_link_to_a_manifest_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (folder / "ada" / "manifest.csv").symlink_to(tmp_path / "outside" / "manifest.csv")
    with pytest.raises(InputError, match=r"manifest\.csv: is a link"):
        read_manifest(folder / "ada", ("file",), [])


@pytest.mark.parametrize("key", ["../../x", "/etc/passwd", "a" * 63, "A" * 64, "g" * 64, "a" * 64 + "/..", ""])
def test_only_a_hash_is_a_key_of_the_image_store(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="is not a sha256"):
        ImageStore(tmp_path).path(key)


def test_no_archive_is_unpacked_but_by_import() -> None:
    """What is never opened cannot lead out of its folder: `archive.py` alone unpacks archives, by `members.py`; `weights.py` lists the names in one."""
    archives = re.compile(r"\b(tarfile|zipfile|unpack_archive|ZipFile|py7zr|rarfile)\b")
    modules = Path(audit_assets.__file__).parent.rglob("*.py")
    found = {m.name: m.read_text(encoding="utf-8") for m in modules}
    assert sorted(name for name, text in found.items() if archives.search(text)) == [
        "archive.py",
        "members.py",
        "weights.py",
    ]
    listing = found["weights.py"].partition("def is_torchscript")[2].partition("\n\n\n")[0]
    assert found["weights.py"].count("ZipFile(") == listing.count("ZipFile(") == 1
    assert not re.search(r"\.(extract|extractall|open|read)\(", listing)
