import hashlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from audit_assets.errors import InputError
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.images import ImageStore, image_bytes, is_blank


def noise(width: int = 24, height: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8))


def test_an_image_is_stored_under_the_hash_of_its_bytes_and_comes_back_the_same(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    sha256 = store.put(noise())
    assert hashlib.sha256(store.path(sha256).read_bytes()).hexdigest() == sha256
    assert store.path(sha256) == tmp_path / sha256[:2] / f"{sha256}.png"
    assert np.array_equal(np.asarray(store.get(sha256)), np.asarray(noise()))


def test_equal_pixels_give_equal_bytes_whatever_the_metadata() -> None:
    described = noise()
    described.info.update(dpi=(72, 72), icc_profile=b"profile", parameters="a prompt")
    assert image_bytes(described) == image_bytes(noise())


def test_writing_twice_is_writing_once(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    path = store.path(store.put(noise()))
    written = path.stat().st_mtime_ns
    assert store.path(store.put(noise())) == path
    assert path.stat().st_mtime_ns == written


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "store")
    content = image_bytes(noise())
    target = store.path(hashlib.sha256(content).hexdigest())
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(content) // 2}, {len(content) // 2}))"
    script = (
        f"{full}; import sys; from pathlib import Path; from PIL import Image; "
        "from audit_assets.warehouse.images import ImageStore; "
        "ImageStore(Path(sys.argv[1])).put(Image.open(sys.argv[2]))"
    )
    (tmp_path / "original.png").write_bytes(content)
    failed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "store"), str(tmp_path / "original.png")])
    assert failed.returncode != 0
    assert not [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
    assert store.path(store.put(noise())) == target
    assert [p for p in (tmp_path / "store").rglob("*") if p.is_file()] == [target]


def test_an_altered_or_missing_file_is_named(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    path = store.path(sha256 := store.put(noise()))
    path.write_bytes(image_bytes(noise(8, 8)))
    with pytest.raises(InputError, match=f"{sha256}.png: was altered"):
        store.get(sha256)
    path.unlink()
    with pytest.raises(InputError, match=f"{sha256}.png: is missing"):
        store.get(sha256)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_only_a_hash_names_a_file_of_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a sha256"):
        ImageStore(tmp_path).path(name)


@pytest.mark.parametrize("colour", ["black", "white", "grey"])
def test_an_image_of_one_colour_is_blank(colour: str) -> None:
    assert is_blank(Image.new("RGB", (16, 16), colour))


def test_an_image_with_one_stroke_is_not_blank() -> None:
    stroke = Image.new("RGB", (16, 16), "black")
    stroke.paste("white", (0, 0, 16, 1))
    assert not is_blank(stroke)
    assert not is_blank(noise())


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.integers(0, 255), st.integers(0, 6))
def test_blank_is_what_the_deviation_of_all_values_says(
    seed: int, width: int, height: int, level: int, spread: int
) -> None:
    values = np.random.default_rng(seed).integers(level, level + spread + 1, (height, width, 3)).clip(0, 255)
    if abs(values.std() - 1.0) > 1e-9:
        assert is_blank(Image.fromarray(values.astype(np.uint8))) == bool(values.std() < 1.0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "YCbCr", "LAB", "I;16"])
def test_every_usual_mode_opens_as_rgb(tmp_path: Path, mode: str) -> None:
    base = noise() if mode != "LA" else noise().convert("L")
    base = (
        base.convert("L").convert(mode)
        if mode in ("1", "I;16")
        else base.convert("P").convert(mode)
        if mode == "PA"
        else base.convert(mode)
    )
    base.save(tmp_path / "image.tif")
    assert open_image(tmp_path / "image.tif").mode == "RGB"


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    palette = Image.new("P", (4, 4))
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "palette.png", transparency=0)
    for name in ("clear.png", "palette.png"):
        assert np.asarray(open_image(tmp_path / name)).min() == 255


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_a_16_bit_grey_scan_keeps_its_tones(tmp_path: Path, extension: str) -> None:
    tones = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    Image.fromarray(tones).save(tmp_path / f"scan.{extension}")
    assert np.array_equal(np.asarray(open_image(tmp_path / f"scan.{extension}"))[..., 0].ravel(), np.arange(256))


def test_32_bit_values_are_bad_input(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match=r"float\.tif: has 32-bit or signed values"):
        open_image(tmp_path / "float.tif")


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "avif"])
def test_an_animation_is_bad_input(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"moving.{extension}"
    noise().save(path, save_all=True, append_images=[Image.new("RGB", (24, 16), "red")])
    with pytest.raises(InputError, match=rf"moving\.{extension}: is animated"):
        open_image(path)


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "avif"])
def test_a_still_in_a_format_that_can_move_opens(tmp_path: Path, extension: str) -> None:
    noise().save(tmp_path / f"still.{extension}")
    assert open_image(tmp_path / f"still.{extension}").size == (24, 16)


def test_a_photograph_with_a_preview_behind_it_is_no_animation(tmp_path: Path) -> None:
    noise().save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[noise(8, 8)])
    assert open_image(tmp_path / "photo.jpg").size == (24, 16)


def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    half = Image.new("RGB", (32, 16), "black")
    half.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    half.save(tmp_path / "turned.jpg", exif=exif)
    turned = open_image(tmp_path / "turned.jpg")
    assert turned.size == (16, 32)
    assert np.asarray(turned)[:8].mean() > 240 > 15 > np.asarray(turned)[-8:].mean()


def test_a_jpeg_cut_short_is_bad_input(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    noise(64, 64).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(InputError, match=r"cut\.jpg: cannot be read as an image .* save it again"):
        open_image(tmp_path / "cut.jpg")


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\xff\xd8\xff", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_a_file_that_is_no_image_is_bad_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "work.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"work\.jpg: cannot be read as an image"):
        open_image(tmp_path / "work.jpg")


def test_a_missing_file_and_a_folder_are_bad_input(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "a folder is in its place"), (tmp_path / "missing.png", "put it there")):
        with pytest.raises(InputError, match=rf"cannot be read \(.*\); {why}"):
            open_image(path)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_an_image_too_large_by_its_header_is_never_decoded(tmp_path: Path, side: int) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(PngImagePlugin._MAGIC + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"bomb\.png: .*reduce it to at most 64 megapixels"):
        open_image(tmp_path / "bomb.png")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"]), st.data())
def test_damaged_bytes_give_an_image_or_bad_input_and_nothing_else(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    buffer = io.BytesIO()
    noise().save(buffer, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP") else {}))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert open_image(tmp_path / "damaged").mode == "RGB"
    except InputError:
        return
