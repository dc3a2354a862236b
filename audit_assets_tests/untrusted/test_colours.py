"""Colours that a file states are converted to sRGB. The right values are computed here by the formulas of the standards."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from audit_assets.errors import InputError
from audit_assets.untrusted import colours
from audit_assets.untrusted.images import HEIC_IS_READ, check_header, open_image
from audit_assets_tests.untrusted import profiles

SRGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
ADOBE = np.array(
    [[0.5767309, 0.1855540, 0.1881852], [0.2973769, 0.6273491, 0.0752741], [0.0270343, 0.0706872, 0.9911085]]
)
P3 = np.array([[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]])
TO_D50 = np.array(
    [[1.0478112, 0.0228866, -0.0501270], [0.0295424, 0.9904844, -0.0170491], [-0.0092345, 0.0150436, 0.7521316]]
)
"""RGB to XYZ of three spaces, and Bradford's adaptation from D65 to D50 (B. Lindbloom's tables)."""
PATCHES = np.array(
    [[200, 150, 120], [120, 160, 130], [90, 100, 160], [128, 128, 128], [0, 0, 0], [255, 255, 255], [180, 90, 90], [30, 40, 35]],
    np.uint8,
)  # fmt: skip


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB's curve, in levels."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decoded(levels: np.ndarray) -> np.ndarray:
    v = levels / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def expected(levels: np.ndarray, space: np.ndarray, gamma: float | None) -> np.ndarray:
    linear = decoded(levels) if gamma is None else (levels / 255) ** gamma
    return encoded(linear @ (np.linalg.inv(SRGB) @ space).T)


def patches(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.repeat(np.repeat(PATCHES[None], 8, 0), 8, 1)).convert(mode)


def seen(path: Path) -> np.ndarray:
    check_header(path)
    image = open_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)[4, 4::8].astype(float)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp", "avif"])
@pytest.mark.parametrize(("space", "gamma"), [(ADOBE, 563 / 256), (P3, 563 / 256)])
def test_a_wide_gamut_profile_gives_the_colours_of_the_formula(
    tmp_path: Path, suffix: str, space: np.ndarray, gamma: float
) -> None:
    exact: dict[str, dict] = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}, "avif": {"quality": 100, "subsampling": "4:4:4"}}  # fmt: skip
    patches().save(tmp_path / f"p.{suffix}", icc_profile=profiles.rgb(TO_D50 @ space, gamma), **exact.get(suffix, {}))
    found, right = seen(tmp_path / f"p.{suffix}"), expected(PATCHES, space, gamma)
    assert np.abs(found - right).max() < (1.6 if suffix in ("png", "tif", "webp") else 4)
    assert np.abs(found - PATCHES).max() > 5  # what reading without the profile would give


@pytest.mark.skipif(not HEIC_IS_READ, reason="pillow-heif is not installed")
def test_a_heic_work_is_read_with_its_profile(tmp_path: Path) -> None:
    patches().save(tmp_path / "p.heic", quality=-1, chroma=444, icc_profile=profiles.rgb(TO_D50 @ P3, 563 / 256))
    assert np.abs(seen(tmp_path / "p.heic") - expected(PATCHES, P3, 563 / 256)).max() < 4


def test_the_profile_of_srgb_and_no_profile_change_no_value(tmp_path: Path) -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile in (("with.png", own), ("without.png", None)):
        patches().save(tmp_path / name, icc_profile=profile)
        assert np.array_equal(seen(tmp_path / name), PATCHES)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile_gives_the_tones_of_its_curve(tmp_path: Path, mode: str) -> None:
    tones = np.arange(0, 256, 5, dtype=np.uint8)[None].repeat(8, 0)
    image = Image.fromarray(tones.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(tones).convert(mode)
    image.save(tmp_path / "grey.png", icc_profile=profiles.grey(1.0))
    found = np.asarray(open_image(tmp_path / "grey.png"))[4]
    assert np.ptp(found, axis=1).max() == 0
    assert np.abs(found[:, 0] - encoded(tones[0] / 255)).max() < 1.6


def inks() -> tuple[np.ndarray, np.ndarray]:
    """The Lab of the sixteen solid combinations of an invented press, and the inks as CMYK levels."""
    on = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1)
    full = np.array([[62, -31, -40], [50, 70, -4], [88, -5, 85], [20, 0, 0]], dtype=float) - [100, 0, 0]
    lab = np.clip(np.array([100, 0, 0]) + (on[..., None] * full).sum(axis=-2), [5, -80, -80], [100, 80, 80])
    return lab, (on * 255).astype(np.uint8)


def of_lab(lab: np.ndarray) -> np.ndarray:
    """CIE Lab (D50) to sRGB levels."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * profiles.D50
    return encoded(xyz @ np.linalg.inv(TO_D50 @ SRGB).T)


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_with_a_profile_gives_the_colours_of_its_inks(tmp_path: Path, suffix: str) -> None:
    lab, levels = inks()
    solid = levels.reshape(-1, 4)
    image = Image.frombytes("CMYK", (8 * len(solid), 8), np.repeat(np.repeat(solid[None], 8, 0), 8, 1).tobytes())
    image.save(tmp_path / f"c.{suffix}", icc_profile=profiles.cmyk(lab), quality=100)
    found, right = seen(tmp_path / f"c.{suffix}"), of_lab(lab.reshape(-1, 3))
    light = lab.reshape(-1, 3)[:, 0] > 40  # black point compensation moves dark colours; the darkest becomes black
    assert np.abs(found - right)[light].max() < 2.6
    formula = np.asarray(image.convert("RGB"))[4, 4::8].astype(float)
    assert np.abs(formula - right)[light].mean() > 20


def test_cmyk_without_a_profile_is_refused_with_the_remedy(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "c.jpg")
    for read in (open_image, check_header):
        with pytest.raises(InputError, match=r"c\.jpg: is in CMYK without a colour profile.*convert it to sRGB"):
            read(tmp_path / "c.jpg")


def test_a_profile_of_another_kind_of_image_is_refused_and_a_grey_picture_in_rgb_is_not(tmp_path: Path) -> None:
    lab, _ = inks()
    patches().save(tmp_path / "wrong.png", icc_profile=profiles.cmyk(lab))
    with pytest.raises(InputError, match=r"wrong\.png: has the colour profile of another kind of image \(CMYK"):
        open_image(tmp_path / "wrong.png")
    patches("L").save(tmp_path / "grey.png", icc_profile=profiles.rgb(TO_D50 @ P3, 563 / 256))
    tones = np.repeat(np.asarray(patches("L"))[4, 4::8, None], 3, 1)
    assert np.abs(seen(tmp_path / "grey.png") - expected(tones, P3, 563 / 256)).max() < 1.6
    patches("L").convert("RGB").save(tmp_path / "three.png", icc_profile=profiles.grey(1.0))
    assert np.abs(seen(tmp_path / "three.png") - encoded(tones / 255)).max() < 1.6


@pytest.mark.parametrize("content", [b"profile", b"\0" * 200])
def test_a_damaged_profile_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    patches().save(tmp_path / "damaged.jpg", icc_profile=content)
    with pytest.raises(InputError, match=r"damaged\.jpg: has a damaged colour profile"):
        open_image(tmp_path / "damaged.jpg")


def test_a_jpeg_that_lost_a_part_of_its_profile_is_refused(tmp_path: Path) -> None:
    patches().save(tmp_path / "part.jpg", icc_profile=profiles.rgb(TO_D50 @ P3, 2.2) + bytes(70_000))
    content = (tmp_path / "part.jpg").read_bytes()
    at = content.rindex(b"ICC_PROFILE\0") - 4
    (length,) = struct.unpack_from(">H", content, at + 2)
    (tmp_path / "part.jpg").write_bytes(content[:at] + content[at + 2 + length :])
    with Image.open(tmp_path / "part.jpg") as image:
        assert image.info["icc_profile"] is None
    with pytest.raises(InputError, match=r"part\.jpg: has a damaged colour profile"):
        open_image(tmp_path / "part.jpg")


def png_with(tmp_path: Path, *chunks: tuple[bytes, bytes]) -> Path:
    buffer = io.BytesIO()
    patches().save(buffer, "PNG")
    content = buffer.getvalue()
    more = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    (tmp_path / "chunks.png").write_bytes(content[:33] + more + content[33:])
    return tmp_path / "chunks.png"


def chrm(*values: float) -> bytes:
    return struct.pack(">8I", *(round(v * 100_000) for v in values))


SRGB_POINTS = chrm(0.3127, 0.329, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_POINTS = chrm(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def test_gamma_and_primaries_of_a_png_are_heard(tmp_path: Path) -> None:
    usual = struct.pack(">I", 45455)
    assert np.array_equal(seen(png_with(tmp_path, (b"gAMA", usual), (b"cHRM", SRGB_POINTS))), PATCHES)
    assert np.array_equal(seen(png_with(tmp_path, (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000)))), PATCHES)
    linear = seen(png_with(tmp_path, (b"gAMA", struct.pack(">I", 100_000))))
    assert np.abs(linear - encoded(PATCHES / 255)).max() < 1.6
    wide = seen(png_with(tmp_path, (b"gAMA", usual), (b"cHRM", P3_POINTS)))
    assert np.abs(wide - expected(PATCHES, P3, None)).max() < 1.6


def test_code_points_of_a_png_are_heard_and_high_dynamic_range_is_refused(tmp_path: Path) -> None:
    assert np.array_equal(seen(png_with(tmp_path, (b"cICP", bytes([1, 13, 0, 1])))), PATCHES)
    wide = seen(png_with(tmp_path, (b"cICP", bytes([12, 13, 0, 1]))))
    assert np.abs(wide - expected(PATCHES, P3, None)).max() < 1.6
    with pytest.raises(InputError, match=r"chunks\.png: has high dynamic range"):
        open_image(png_with(tmp_path, (b"cICP", bytes([9, 16, 0, 1]))))
    with pytest.raises(InputError, match=r"states colours by the codes 77 and 13"):
        open_image(png_with(tmp_path, (b"cICP", bytes([77, 13, 0, 1]))))


def test_code_points_of_an_avif_are_heard(tmp_path: Path) -> None:
    patches().save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    content = (tmp_path / "a.avif").read_bytes()
    at = content.index(b"colrnclx") + 8
    plain = seen(tmp_path / "a.avif")
    (tmp_path / "a.avif").write_bytes(content[:at] + struct.pack(">HH", 12, 13) + content[at + 4 :])
    assert np.abs(seen(tmp_path / "a.avif") - expected(plain, P3, None)).max() < 2.6
    (tmp_path / "a.avif").write_bytes(content[:at] + struct.pack(">HH", 9, 18) + content[at + 4 :])
    with pytest.raises(InputError, match="high dynamic range"):
        open_image(tmp_path / "a.avif")


def test_a_cameras_mark_of_adobe_rgb_is_heard(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    patches().save(tmp_path / "camera.jpg", exif=exif, quality=100, subsampling=0)
    assert np.abs(seen(tmp_path / "camera.jpg") - expected(PATCHES, ADOBE, 563 / 256)).max() < 4


@given(st.tuples(*[st.floats(0.01, 0.9)] * 8), st.floats(0.05, 5))
def test_any_stated_primaries_give_colours_or_bad_input(points: tuple[float, ...], gamma: float) -> None:
    try:
        found = colours.to_srgb(patches(), colours.by_gamma(gamma, points))  # type: ignore[arg-type]
    except InputError:
        return
    assert found.mode == "RGB"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_spoilt_profile_gives_an_image_or_bad_input(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(profiles.rgb(TO_D50 @ P3, 2.2))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    patches().save(tmp_path / "spoilt.png", icc_profile=bytes(content))
    try:
        assert open_image(tmp_path / "spoilt.png").mode == "RGB"
    except InputError:
        return
