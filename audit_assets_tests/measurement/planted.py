"""Copies of works as people make them: cropped, mirrored, saved as JPEG, recoloured, resized, turned, framed."""

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from audit_assets.measurement.registration import SIDE
from audit_assets.warehouse.images import grey_picture

Draw = np.random.Generator


def grey(images: list[Image.Image]) -> np.ndarray:
    """The pictures that are compared: (images, SIDE, SIDE)."""
    return np.frombuffer(b"".join(grey_picture(i) for i in images), dtype=np.uint8).reshape(-1, SIDE, SIDE)


def jpeg(image: Image.Image, draw: Draw) -> Image.Image:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=int(draw.integers(30, 91)))
    return Image.open(content).convert("RGB")


def crop(image: Image.Image, draw: Draw) -> Image.Image:
    """60 to 90 % of either side, so 36 to 81 % of the work."""
    share = draw.uniform(0.6, 0.9)
    width, height = (round(side * share) for side in image.size)
    left, top = (
        int(draw.integers(0, whole - part + 1)) for whole, part in zip(image.size, (width, height), strict=True)
    )
    return image.crop((left, top, left + width, top + height))


def recoloured(image: Image.Image, draw: Draw) -> Image.Image:
    """Hue by up to 20 degrees, saturation, brightness and contrast by a fifth to two fifths."""
    hsv = np.asarray(image.convert("HSV")).copy()
    hsv[..., 0] = (hsv[..., 0].astype(int) + draw.integers(-14, 15)) % 256
    image = Image.frombytes("HSV", image.size, hsv.tobytes()).convert("RGB")
    image = ImageEnhance.Color(image).enhance(draw.uniform(0.6, 1.4))
    image = ImageEnhance.Brightness(image).enhance(draw.uniform(0.8, 1.2))
    return ImageEnhance.Contrast(image).enhance(draw.uniform(0.7, 1.3))


def turned(image: Image.Image, draw: Draw) -> Image.Image:
    mean = np.asarray(image).reshape(-1, 3).mean(axis=0)
    angle = draw.uniform(2, 6) * draw.choice([-1, 1])
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=tuple(int(c) for c in mean))


def framed(image: Image.Image, draw: Draw) -> Image.Image:
    colour = tuple(int(c) for c in draw.integers(0, 256, 3))
    return ImageOps.expand(image, max(1, round(image.width * draw.uniform(0.04, 0.12))), fill=colour)


def resized(image: Image.Image, draw: Draw) -> Image.Image:
    factor = draw.uniform(0.5, 2)
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


PLANTED: Mapping[str, Callable[[Image.Image, Draw], Image.Image]] = {
    "crop": crop,
    "mirror": lambda image, _: ImageOps.mirror(image),
    "jpeg": jpeg,
    "colour": recoloured,
    "turn": turned,
    "frame": framed,
    "size": resized,
    "crop and jpeg": lambda image, draw: jpeg(crop(image, draw), draw),
    "mirror, crop and colour": lambda image, draw: recoloured(crop(ImageOps.mirror(image), draw), draw),
}
