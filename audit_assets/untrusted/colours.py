"""These functions convert the colours that a file states to sRGB, which encoders and models expect.

A file states its colours by an ICC profile, by code points (AVIF, HEIC, PNG), by a gamma and primaries (PNG), or by the
interoperability mark of a camera (Adobe RGB). A file without any of these is in sRGB, as every browser takes it to be.
"""

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from audit_assets.errors import InputError

Primaries = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue, in the order of the PNG chunk cHRM."""

_D65 = (0.3127, 0.3290)
_SRGB: Primaries = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE: Primaries = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_BY_CODE: dict[int, Primaries] = {
    1: _SRGB,
    2: _SRGB,  # not specified
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_CURVES: dict[int, tuple[float, ...]] = {
    **dict.fromkeys((1, 2, 6, 13, 14, 15), _SRGB_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
}
"""Transfer functions by code point (ITU-T H.273). Video's own curve is shown as sRGB by browsers."""
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])
_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
_REMEDY = "convert it to sRGB in the program that made it, and save it again"


def adobe_rgb() -> bytes:
    """Return a profile of Adobe RGB (1998)."""
    return _matrix_profile(_ADOBE, (563 / 256,))


def by_codes(primaries: int, transfer: int) -> bytes | None:
    """Return a profile for code points of ITU-T H.273. It is None for sRGB.

    InputError is raised for high dynamic range and for codes that no still image has.
    """
    if transfer in (16, 18):
        raise InputError(
            f"has high dynamic range (code {transfer}), whose colours no sRGB image can hold; save it as sRGB."
        )
    if primaries not in _BY_CODE or transfer not in _CURVES:
        raise InputError(f"states colours by the codes {primaries} and {transfer}, which are not known; {_REMEDY}.")
    found = _BY_CODE[primaries], _CURVES[transfer]
    return None if found == (_SRGB, _SRGB_CURVE) else _matrix_profile(*found)


def by_gamma(gamma: float | None, primaries: Primaries | None) -> bytes | None:
    """Return a profile for the chunks gAMA and cHRM of a PNG. It is None for sRGB, or if both are missing.

    A gamma of 1 / 2.2 stands for the curve of sRGB, as the standard advises encoders.
    """
    near = primaries is None or bool(np.allclose(primaries, _SRGB, atol=0.002))
    usual = gamma is None or abs(gamma - 0.45455) < 0.01
    if near and usual:
        return None
    if primaries is not None and min(primaries[1::2]) <= 0:
        raise InputError(f"states primaries that no colour has; {_REMEDY}.")
    if gamma is not None and not 0.1 <= gamma <= 4:
        raise InputError(f"states a gamma of {gamma:g}, which no display has; {_REMEDY}.")
    return _matrix_profile(_SRGB if near or primaries is None else primaries, _SRGB_CURVE if usual or gamma is None else (1 / gamma,))  # fmt: skip


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image of mode L, RGB, CMYK or LAB, with eight bits, as RGB in sRGB. `profile`: ICC, None for sRGB.

    The conversion is relative colorimetric with black point compensation, as image editors do it. A profile that is
    sRGB's own changes nothing. InputError is raised for a profile that is damaged or belongs to other pixels, and for
    CMYK without a profile.
    """
    if image.mode == "LAB" or profile is None:
        if image.mode == "CMYK":
            raise InputError(f"is in CMYK without a colour profile, so that its colours are not known; {_REMEDY}.")
        return image.convert("RGB")
    space = _space(profile)
    if space == "RGB " and image.mode == "L":
        image = image.convert("RGB")
    if space == "GRAY" and image.mode == "RGB" and len({band.tobytes() for band in image.split()}) == 1:
        image = image.getchannel(0)
    if _SPACES[image.mode] != space:
        raise InputError(
            f"has the colour profile of another kind of image ({space.strip()}, and its pixels are {image.mode}); {_REMEDY}."
        )
    transform = _transform(profile, image.mode)
    if transform is None:
        return image.convert("RGB")
    try:
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise InputError(f"has a colour profile that cannot be used ({error}); {_REMEDY}.") from None
    assert converted is not None
    return converted


@lru_cache(maxsize=64)
def _space(profile: bytes) -> str:
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"has a damaged colour profile ({error}); {_REMEDY}.") from None
    if found.device_class.strip() in ("link", "abst", "nmcl"):
        raise InputError(f"has a colour profile that describes no image ({found.device_class}); {_REMEDY}.")
    return str(found.xcolor_space)


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB. It is None if it changes no colour by more than one level."""
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION
            # The table to which a grey curve is simplified has too few steps in the shadows.
            | (ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.HIGHRESPRECALC),
        )
        if mode == "CMYK":
            return transform
        grid = _grid(mode)
        seen = ImageCms.applyTransform(grid, transform)
        assert seen is not None
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise InputError(f"has a colour profile that cannot be used ({error}); {_REMEDY}.") from None
    moved = np.abs(np.asarray(seen, dtype=np.int16) - np.asarray(grid.convert("RGB"), dtype=np.int16))
    return None if moved.max() <= 1 else transform


def _grid(mode: str) -> Image.Image:
    """Return an image with every grey, or with colours all over the cube."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    steps = np.linspace(0, 255, 18).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(18, 18 * 18, 3))


def _matrix_profile(primaries: Primaries, curve: tuple[float, ...]) -> bytes:
    """Return an ICC profile with three colorants and one curve: an exponent, or the five numbers of sRGB's form."""
    white, *colours = np.asarray(primaries, dtype=np.float64).reshape(4, 2)
    xyz = np.stack([[x / y, 1.0, (1 - x - y) / y] for x, y in colours], axis=1)
    own = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    try:
        matrix = xyz * np.linalg.solve(xyz, own)
    except np.linalg.LinAlgError:
        raise InputError(f"states primaries that span no colours; {_REMEDY}.") from None
    adapted = np.linalg.solve(_BRADFORD, np.diag((_BRADFORD @ _D50) / (_BRADFORD @ own)) @ _BRADFORD) @ matrix
    shape = struct.pack(">4sIHH", b"para", 0, 0 if len(curve) == 1 else 3, 0) + b"".join(map(_fixed, curve))
    tags = {b"wtpt": b"XYZ \0\0\0\0" + b"".join(map(_fixed, _D50))}
    for letter, column in zip(b"rgb", adapted.T, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + b"".join(map(_fixed, column))
        tags[bytes([letter]) + b"TRC"] = shape
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x04000000, b"mntr", b"RGB ", b"XYZ ") + b"\0" * 12
    head += b"acsp" + b"\0" * 28 + b"".join(map(_fixed, _D50)) + b"\0" * 48
    return head + struct.pack(">I", len(tags)) + table + body


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(float(np.clip(value, -32000, 32000)) * 65536))
