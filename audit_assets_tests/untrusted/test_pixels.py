"""Pixels as a file means them: turns, depths, pages, transparency, and texts that must not stand in their way."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from audit_assets.errors import InputError
from audit_assets.untrusted.images import check_header, open_image


def quarters() -> Image.Image:
    """32 x 16, with a colour in each quarter, so that every turn shows."""
    image = Image.new("RGB", (32, 16))
    for n, colour in enumerate([(220, 30, 30), (30, 200, 30), (40, 40, 220), (220, 220, 220)]):
        image.paste(colour, (16 * (n % 2), 8 * (n // 2), 16 * (n % 2) + 16, 8 * (n // 2) + 8))
    return image


UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that writes each orientation stores the upright image."""


@pytest.mark.parametrize("orientation", [1, *UNDO])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_every_orientation_in_every_format_is_turned_once(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quarters().transpose(UNDO[orientation]) if orientation in UNDO else quarters()
    stored.save(tmp_path / f"turned.{suffix}", exif=exif)
    found = np.asarray(open_image(tmp_path / f"turned.{suffix}")).astype(int)
    assert found.shape == (16, 32, 3)
    assert np.abs(found - np.asarray(quarters()).astype(int)).mean() < 12


def test_a_damaged_exif_does_not_make_the_pixels_unreadable(tmp_path: Path) -> None:
    quarters().save(tmp_path / "damaged.jpg", exif=b"Exif\0\0no exif at all")
    assert open_image(tmp_path / "damaged.jpg").size == (32, 16)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "gif", "bmp", "avif"])
def test_a_file_that_is_cut_short_is_refused_whatever_a_library_told_pillow(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WeasyPrint, with which pages are printed, tells Pillow for the whole process to fill up what files lack."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    file = tmp_path / f"work.{suffix}"
    Image.fromarray(pixels).save(file)
    assert open_image(file).size == (64, 64)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match="cannot be read as an image"):
        open_image(file)


def test_what_is_said_of_a_damaged_file_is_the_same_in_each_run(tmp_path: Path) -> None:
    """It is published and hashed. Pillow's words have the address of an object in memory."""
    file = tmp_path / "work.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match="cannot be read as an image") as refused:
        open_image(file)
    assert "0x" not in str(refused.value)


@pytest.mark.parametrize("kept", [0.4, 0.8])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "avif"])
def test_a_download_that_was_interrupted_in_a_file_of_full_size_is_refused(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    """Decoders read the zeros as grey or as other pixels, without a word."""
    y, x = np.mgrid[:480, :640]
    smooth = np.stack([x * 255 // 640, y * 255 // 480, (x + y) % 256], -1)
    noise = np.random.default_rng(1).normal(0, 10, smooth.shape)
    file = tmp_path / f"work.{suffix}"
    for pixels in (smooth, smooth + noise):
        if suffix == "avif" and pixels is smooth:  # too small: space behind a description could be as long
            continue
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file)
        whole = file.read_bytes()
        assert open_image(file).size == (640, 480)
        file.write_bytes(whole + bytes(2048))  # behind the real end
        assert open_image(file).size == (640, 480)
        file.write_bytes(whole[: int(len(whole) * kept)].ljust(len(whole), b"\0"))
        with pytest.raises(InputError, match=r"copy it again|truncated"):
            open_image(file)


def test_a_jpeg_without_an_end_mark_and_flat_images_are_no_interrupted_downloads(tmp_path: Path) -> None:
    flat = Image.new("RGB", (3000, 3000), "white")
    flat.paste(quarters().resize((320, 160)))
    for suffix in ("webp", "jpg"):
        flat.save(tmp_path / f"flat.{suffix}")
        assert open_image(tmp_path / f"flat.{suffix}").size == (3000, 3000)
    quarters().save(tmp_path / "whole.jpg")
    (tmp_path / "whole.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-2] + bytes(100))
    assert open_image(tmp_path / "whole.jpg").size == (32, 16)


@pytest.mark.parametrize(
    ("size", "said"), [((1, 101), "1 x 101"), ((2020, 20), "2020 x 20"), ((30_000, 1), "30000 x 1")]
)
def test_a_strip_is_refused_before_an_encoder_enlarges_it(tmp_path: Path, size: tuple[int, int], said: str) -> None:
    """An encoder's processor makes the short side 224 pixels long: 1 x 30,000 pixels take 14 GB."""
    Image.new("RGB", size, "red").save(tmp_path / "strip.png")
    for read in (open_image, check_header):
        with pytest.raises(
            InputError, match=rf"strip\.png: is {said} pixels: an encoder sees no more than its middle; crop"
        ):
            read(tmp_path / "strip.png")
    Image.new("RGB", (100, 1), "red").save(tmp_path / "scroll.png")
    assert open_image(tmp_path / "scroll.png").size == (100, 1)


def test_a_scan_whose_white_is_zero_and_one_of_twelve_bits_keep_their_tones(tmp_path: Path) -> None:
    tones = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    Image.fromarray(tones).save(tmp_path / "white.tif", tiffinfo={262: 0})
    assert np.array_equal(np.asarray(open_image(tmp_path / "white.tif"))[..., 0].ravel(), np.arange(256)[::-1])
    rows = [[0, 4095], [2048, 1024]]
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in rows)
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 2), (279, 4, 1, 6)]  # fmt: skip
    ifd = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHI", tag, kind, n) + (struct.pack("<Hxx", v) if kind == 3 else struct.pack("<I", v))
        for tag, kind, n, v in entries
    )
    (tmp_path / "twelve.tif").write_bytes(b"II*\0" + struct.pack("<I", 14) + packed + ifd + bytes(4))
    assert np.asarray(open_image(tmp_path / "twelve.tif"))[..., 0].tolist() == [[0, 255], [128, 64]]


def png16(tmp_path: Path, kind: int, values: np.ndarray, *chunks: tuple[bytes, bytes]) -> Path:
    """`kind`: 0 grey, 2 RGB, 4 grey with alpha, 6 RGBA, each of 16 bits."""
    height, width = values.shape[:2]
    return written(tmp_path, (width, height, 16, kind), [line.astype(">u2").tobytes() for line in values], *chunks)


def written(tmp_path: Path, header: tuple[int, int, int, int], rows: list[bytes], *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG of these bytes per row. `header`: width, height, bits, kind."""
    lines = b"".join(b"\0" + row for row in rows)
    content = PngImagePlugin._MAGIC
    for name, body in ((b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")):  # fmt: skip
        content += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    (tmp_path / "deep.png").write_bytes(content)
    return tmp_path / "deep.png"


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_become_eight(tmp_path: Path, kind: int, channels: int) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (8, 8, channels))
    if kind in (4, 6):
        values[..., -1] = 65535
    found = np.asarray(open_image(png16(tmp_path, kind, values))).astype(float)
    assert np.abs(found - values[..., : max(1, channels - (kind in (4, 6)))] / 257).max() <= 1


def test_transparency_of_deep_and_shallow_images_lies_on_white(tmp_path: Path) -> None:
    values = np.full((4, 4, 1), 1000)
    values[0, 0] = 20000
    found = np.asarray(open_image(png16(tmp_path, 0, values, (b"tRNS", struct.pack(">H", 1000)))))
    assert found[0, 0].tolist() == [78] * 3
    assert found[1:].min() == 255
    values = np.zeros((4, 4, 4), int)
    values[..., 0], values[..., 3] = 65535, 32768
    half = np.asarray(open_image(png16(tmp_path, 6, values)))
    assert np.abs(half[0, 0].astype(int) - [255, 127, 127]).max() <= 1


def test_a_transparent_colour_of_sixteen_bits_is_refused(tmp_path: Path) -> None:
    """Pillow took its low bytes for a colour of eight bits: other pixels became transparent, and these did not."""
    values = np.full((4, 4, 3), 0x1234)
    for read in (open_image, check_header):
        with pytest.raises(InputError, match=r"deep\.png: has 16 bits and one transparent colour.*alpha channel"):
            read(png16(tmp_path, 2, values, (b"tRNS", struct.pack(">3H", 0x1234, 0x1234, 0x1234))))
    shallow = quarters()
    shallow.save(tmp_path / "key.png", transparency=(220, 30, 30))
    assert np.asarray(open_image(tmp_path / "key.png"))[0, [0, 16]].tolist() == [[255] * 3, [30, 200, 30]]


@pytest.mark.parametrize(
    ("bits", "row", "key", "shown"),
    [
        (4, b"\x7f\x07", 7, [255, 255, 0, 255]),
        (4, b"\x7f\x07", 15, [119, 255, 0, 119]),
        (2, b"\x1b", 1, [0, 255, 170, 255]),
        (2, b"\x1b", 0, [255, 85, 170, 255]),
        (1, b"\x50", 0, [255, 255, 255, 255]),
        (8, b"\1\2\3\4", 2, [1, 255, 3, 4]),
    ],
)
def test_a_transparent_grey_of_few_bits_lies_on_white(
    tmp_path: Path, bits: int, row: bytes, key: int, shown: list[int]
) -> None:
    file = written(tmp_path, (4, 2, bits, 0), [row, row], (b"tRNS", struct.pack(">H", key)))
    assert np.asarray(open_image(file))[0, :, 0].tolist() == shown


@pytest.mark.parametrize("mode", ["P", "1", "L", "LA", "RGBA", "YCbCr"])
def test_palettes_greys_and_other_kinds_of_pixels_show_what_they_mean(tmp_path: Path, mode: str) -> None:
    image = quarters().convert("L").convert(mode) if mode in ("LA", "1") else quarters().convert(mode)
    image.save(tmp_path / "kind.tif")
    right = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(np.asarray(open_image(tmp_path / "kind.tif")).astype(int) - right).max() <= 2


def test_pages_are_refused_and_smaller_copies_are_no_pages(tmp_path: Path) -> None:
    quarters().save(tmp_path / "pages.tif", save_all=True, append_images=[quarters()])
    for read in (open_image, check_header):
        with pytest.raises(InputError, match=r"pages\.tif: has several pages; save the page that counts"):
            read(tmp_path / "pages.tif")
    small = quarters().resize((8, 4))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    quarters().save(tmp_path / "copy.tif", save_all=True, append_images=[small])
    with Image.open(tmp_path / "copy.tif") as image:
        image.seek(1)
        assert image.tag_v2[254] == 1  # type: ignore[attr-defined]
    assert np.array_equal(np.asarray(open_image(tmp_path / "copy.tif")), np.asarray(quarters()))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_a_large_text_does_not_make_the_pixels_unreadable(tmp_path: Path, packed: bool, after: bool) -> None:
    text = PngImagePlugin.PngInfo()
    for key in ("workflow", "prompt"):
        text.add_text(key, json.dumps({"nodes": [{"id": 0, "note": "x" * 2_000_000}]}), zip=packed)
    if after:
        text.chunks = [(name, data, True) for name, data, *_ in text.chunks]
    quarters().save(tmp_path / "ComfyUI_00001_.png", pnginfo=text)
    check_header(tmp_path / "ComfyUI_00001_.png")
    assert np.array_equal(np.asarray(open_image(tmp_path / "ComfyUI_00001_.png")), np.asarray(quarters()))


def test_a_text_that_says_how_the_image_is_turned_is_kept(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    text.add_itxt("XML:com.adobe.xmp", xmp)
    quarters().save(tmp_path / "xmp.png", pnginfo=text)
    assert open_image(tmp_path / "xmp.png").size == (16, 32)


@pytest.mark.parametrize("suffix", ["tif", "gif", "bmp", "avif", "jfif"])
def test_works_in_the_formats_of_archives_and_browsers_are_read(tmp_path: Path, suffix: str) -> None:
    buffer = io.BytesIO()
    quarters().save(buffer, {"tif": "TIFF", "jfif": "JPEG"}.get(suffix, suffix.upper()))
    (tmp_path / f"work.{suffix}").write_bytes(buffer.getvalue())
    found = np.asarray(open_image(tmp_path / f"work.{suffix}")).astype(int)
    assert np.abs(found - np.asarray(quarters()).astype(int)).mean() < 8
