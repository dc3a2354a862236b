"""Styles and works of synthetic artists. A style has a palette, a ground, a rendering, a composition and a texture. A work is one drawing in a style.

Seeds determine every work, so works are drawn when they are needed and are never stored. Shapes are drawn at three times the
final size and then reduced, which gives soft edges that a small autoencoder can learn.
"""

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = 32
"""Pixels along each side of a work."""

_UNITS = 64.0  # compositions are laid out on a canvas of 64 x 64 units
_CANVAS = SIZE * 3
_SCALE = _CANVAS / _UNITS

type_point = tuple[float, float]


def _ellipse(
    cx: float, cy: float, rx: float, ry: float, n: int = 20, start: float = 0.0, end: float = math.tau
) -> list[type_point]:
    angles = [start + (end - start) * k / n for k in range(n + 1)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def _star(points: int, outer: float, inner: float) -> list[type_point]:
    radii = [outer if k % 2 == 0 else inner for k in range(2 * points)]
    return [(r * math.sin(math.pi * k / points), -r * math.cos(math.pi * k / points)) for k, r in enumerate(radii)]


def _heart() -> list[type_point]:
    return [
        (
            0.9 * 16 * math.sin(t) ** 3 / 17,
            -0.9 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17,
        )
        for t in np.linspace(0, math.tau, 28).tolist()
    ]


_LEAF = [
    (0.0, -1.0),
    *_ellipse(0, 0, 0.5, 0.8, 10, -math.pi / 2, math.pi / 2),
    (0.0, 1.0),
    *_ellipse(0, 0, 0.5, 0.8, 10, math.pi / 2, math.pi * 1.5),
]
_MOON = _ellipse(0, 0, 0.85, 0.85, 20, math.pi * 0.3, math.pi * 1.7) + _ellipse(
    0.35, 0, 0.62, 0.62, 20, math.pi * 1.7, math.pi * 0.3
)

# Each motif has polygons in [-1, 1]^2, each with the palette slot that fills it.
MOTIFS: dict[str, list[tuple[list[type_point], int]]] = {
    "sun": [(_star(10, 1, 0.62), 0), (_ellipse(0, 0, 0.5, 0.5), 1)],
    "moon": [(_MOON, 0)],
    "star": [(_star(5, 1, 0.42), 0)],
    "tree": [
        ([(-0.14, 0.1), (0.14, 0.1), (0.18, 1), (-0.18, 1)], 2),
        (_ellipse(0, -0.3, 0.68, 0.68), 0),
        (_ellipse(-0.25, -0.4, 0.25, 0.25), 1),
    ],
    "pine": [
        ([(-0.12, 0.6), (0.12, 0.6), (0.12, 1), (-0.12, 1)], 2),
        ([(0, -1), (0.7, 0.7), (-0.7, 0.7)], 0),
        ([(0, -0.9), (0.42, 0.0), (-0.42, 0.0)], 1),
    ],
    "house": [
        ([(-0.7, -0.1), (0.7, -0.1), (0.7, 0.9), (-0.7, 0.9)], 0),
        ([(0, -0.95), (0.95, -0.1), (-0.95, -0.1)], 1),
        ([(-0.2, 0.3), (0.2, 0.3), (0.2, 0.9), (-0.2, 0.9)], 2),
    ],
    "boat": [
        ([(-0.9, 0.35), (0.9, 0.35), (0.55, 0.85), (-0.55, 0.85)], 0),
        ([(0.05, -0.95), (0.05, 0.25), (0.75, 0.25)], 1),
        ([(-0.05, -0.7), (-0.05, 0.25), (-0.6, 0.25)], 2),
    ],
    "fish": [
        (_ellipse(-0.15, 0, 0.7, 0.42), 0),
        ([(0.4, 0), (0.98, -0.5), (0.98, 0.5)], 1),
        (_ellipse(-0.5, -0.1, 0.1, 0.1), 2),
    ],
    "flower": [
        *[(_ellipse(0.48 * math.cos(k * 1.2566), 0.48 * math.sin(k * 1.2566), 0.38, 0.38), 0) for k in range(5)],
        (_ellipse(0, 0, 0.3, 0.3), 1),
    ],
    "mountain": [
        ([(-1, 0.8), (-0.25, -0.75), (0.35, 0.8)], 0),
        ([(-0.2, 0.8), (0.4, -0.35), (1, 0.8)], 1),
        ([(-0.45, -0.35), (-0.25, -0.75), (-0.05, -0.3)], 2),
    ],
    "bird": [
        (_ellipse(0, 0.1, 0.6, 0.38), 0),
        (_ellipse(0.55, -0.3, 0.27, 0.27), 0),
        ([(0.78, -0.35), (1.05, -0.2), (0.78, -0.15)], 2),
        ([(-0.1, 0.0), (-0.7, -0.7), (0.35, -0.05)], 1),
    ],
    "heart": [(_heart(), 0)],
    "leaf": [(_LEAF, 0), ([(-0.04, -0.8), (0.04, -0.8), (0.04, 0.95), (-0.04, 0.95)], 1)],
    "mushroom": [
        ([(-0.22, 0.0), (0.22, 0.0), (0.3, 0.95), (-0.3, 0.95)], 2),
        (_ellipse(0, 0, 0.9, 0.8, 16, math.pi, math.tau), 0),
        (_ellipse(-0.3, -0.35, 0.15, 0.15), 1),
        (_ellipse(0.3, -0.3, 0.18, 0.18), 1),
    ],
    "cat": [
        (_ellipse(0, 0.15, 0.7, 0.62), 0),
        ([(-0.68, 0.05), (-0.6, -0.85), (-0.1, -0.4)], 0),
        ([(0.68, 0.05), (0.6, -0.85), (0.1, -0.4)], 0),
        (_ellipse(-0.27, 0.08, 0.12, 0.14), 1),
        (_ellipse(0.27, 0.08, 0.12, 0.14), 1),
    ],
    "kite": [
        ([(0, -1), (0.62, -0.2), (0, 0.7), (-0.62, -0.2)], 0),
        ([(0, -1), (0.62, -0.2), (0, -0.2)], 1),
        ([(-0.04, 0.6), (0.04, 0.6), (0.15, 1), (0.05, 1)], 2),
    ],
}
MOTIF_NAMES = list(MOTIFS)
_PLURALS = {"fish": "fishes", "leaf": "leaves"}

GROUNDS = [
    "flat",
    "gradient",
    "horizontal stripes",
    "vertical stripes",
    "diagonal stripes",
    "dots",
    "checks",
    "hatching",
]
RENDERINGS = ["filled", "outlined", "inked", "shadowed", "hatched", "nested"]
COMPOSITIONS = ["single", "scatter", "grid", "horizon", "ring", "diagonal", "pair", "border"]
TEXTURES = ["smooth", "grain", "scan lines", "blur", "pixels", "vignette"]
SCHEMES: dict[str, tuple[float, float, float]] = {
    "mono": (0, 0.02, -0.02),
    "analog": (0.06, -0.08, 0.12),
    "complementary": (0.5, 0.45, 0.55),
    "triad": (0.33, 0.66, 0.4),
}
HUES = ["red", "orange", "yellow", "green", "teal", "cyan", "blue", "purple", "magenta", "pink"]

type_rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """The properties that an artist's works share."""

    hue: float
    scheme: str
    dark: bool
    saturation: float
    background: type_rgb
    background2: type_rgb
    foreground: tuple[type_rgb, type_rgb, type_rgb]
    ink: type_rgb
    ground: str
    rendering: str
    composition: str
    second_composition: str
    texture: str
    wobble: float
    rotation: float
    motifs: tuple[str, ...]
    pitch: int
    line_width: float

    def describe(self) -> str:
        """The style in words, without a name. It is the `indirect_prompt` of an artist."""
        light = "dark" if self.dark else "light"
        hue = HUES[int(self.hue * len(HUES)) % len(HUES)]
        return f"{light} {hue} {self.rendering} {self.motifs[0]} and {self.motifs[1]}, {self.composition}, {self.ground}, {self.texture}"


def _rgb(h: float, s: float, v: float) -> type_rgb:
    r, g, b = colorsys.hsv_to_rgb(h % 1, min(1.0, max(0.0, s)), min(1.0, max(0.0, v)))
    return int(255 * r), int(255 * g), int(255 * b)


def style(seed: tuple[int, ...]) -> Style:
    """A style drawn from `seed`."""
    r = np.random.default_rng(seed)
    hue = float(r.random())
    scheme = str(r.choice(list(SCHEMES)))
    dark = bool(r.random() < 0.4)
    saturation = float(r.choice([0.25, 0.6, 0.95]))
    offsets = SCHEMES[scheme]
    base = hue + (offsets[0] if r.random() < 0.5 else 0)
    background = _rgb(
        base, saturation * (0.8 if dark else 0.5), 0.12 + 0.2 * r.random() if dark else 0.95 - 0.15 * r.random()
    )
    foreground = [
        _rgb(
            hue + o,
            max(0.15, saturation * (0.8 + 0.3 * r.random())),
            (0.65 if dark else 0.35) + (0.35 if dark else 0.45) * r.random(),
        )
        for o in offsets
    ]
    return Style(
        hue=hue,
        scheme=scheme,
        dark=dark,
        saturation=saturation,
        background=background,
        background2=_rgb(base + 0.04, saturation * 0.6, 0.38 if dark else 0.8),
        foreground=(foreground[0], foreground[1], foreground[2]),
        ink=(240, 238, 225) if dark else (20, 20, 30),
        ground=str(r.choice(GROUNDS)),
        rendering=str(r.choice(RENDERINGS)),
        composition=str(r.choice(COMPOSITIONS)),
        second_composition=str(r.choice(COMPOSITIONS)),
        texture=str(r.choice(TEXTURES)),
        wobble=float(r.choice([0, 0, 0.05, 0.1])),
        rotation=float(r.choice([0, 0.15, 0.6])),
        motifs=tuple(MOTIF_NAMES[i] for i in r.permutation(len(MOTIF_NAMES))[:5]),
        pitch=int(r.integers(5, 10)),
        line_width=float(r.choice([1.5, 2.5, 3.5])),
    )


def resemblance(a: Style, b: Style) -> float:
    """The similarity of two styles, from 0 to 7: the number of shared traits plus the nearness of hue."""
    shared = sum(getattr(a, t) == getattr(b, t) for t in ("ground", "rendering", "composition", "texture", "dark"))
    distance = abs(a.hue - b.hue)
    return shared + 2 * max(0.0, 1 - 6 * min(distance, 1 - distance))


def distinct_styles(n: int, seed: int, tries: int = 60) -> list[Style]:
    """`n` styles that an attentive eye can tell apart. Each is the candidate, among `tries`, that resembles the earlier styles least."""
    chosen: list[Style] = []
    for i in range(n):
        candidates = [style((seed, i, k)) for k in range(tries)]
        chosen.append(min(candidates, key=lambda c: max((resemblance(c, other) for other in chosen), default=0.0)))
    return chosen


def _ground(st: Style, r: np.random.Generator) -> Image.Image:
    n = _CANVAS
    image = Image.new("RGB", (n, n), st.background)
    draw = ImageDraw.Draw(image)
    pitch = max(4, round(st.pitch * _SCALE))
    offset = int(r.integers(pitch))
    if st.ground == "gradient":
        t = np.linspace(0, 1, n)[:, None, None]
        rows = np.array(st.background) * (1 - t) + np.array(st.background2) * t
        return Image.fromarray(np.broadcast_to(rows, (n, n, 3)).astype(np.uint8).copy())
    if st.ground == "horizontal stripes":
        for y in range(-offset, n, pitch * 2):
            draw.rectangle([0, y, n, y + pitch], fill=st.background2)
    elif st.ground == "vertical stripes":
        for x in range(-offset, n, pitch * 2):
            draw.rectangle([x, 0, x + pitch, n], fill=st.background2)
    elif st.ground == "diagonal stripes":
        for x in range(-n - offset, n, pitch * 2):
            draw.polygon([(x, 0), (x + pitch, 0), (x + pitch + n, n), (x + n, n)], fill=st.background2)
    elif st.ground == "dots":
        for y in range(-offset, n + pitch, pitch):
            for x in range(-offset, n + pitch, pitch):
                draw.ellipse(
                    [x - pitch * 0.28, y - pitch * 0.28, x + pitch * 0.28, y + pitch * 0.28], fill=st.background2
                )
    elif st.ground == "checks":
        for j, y in enumerate(range(-offset, n, pitch)):
            for i, x in enumerate(range(-offset, n, pitch)):
                if (i + j) % 2:
                    draw.rectangle([x, y, x + pitch - 1, y + pitch - 1], fill=st.background2)
    elif st.ground == "hatching":
        for x in range(-n - offset, n, pitch):
            draw.line([(x + n, 0), (x, n)], fill=st.background2, width=2)
    return image


def _put(
    image: Image.Image, st: Style, motif: str, cx: float, cy: float, size: float, r: np.random.Generator, slot: int = 0
) -> None:
    """Draw one motif centred on (cx, cy), `size` units from centre to edge, in the style's rendering."""
    draw = ImageDraw.Draw(image)
    angle = st.rotation * r.normal()
    cos, sin = math.cos(angle), math.sin(angle)
    for polygon, colour in MOTIFS[motif]:
        points = []
        for x, y in polygon:
            if st.wobble:
                x, y = x + r.normal() * st.wobble, y + r.normal() * st.wobble
            points.append(((cx + size * (cos * x - sin * y)) * _SCALE, (cy + size * (sin * x + cos * y)) * _SCALE))
        fill = st.foreground[(colour + slot) % 3]
        width = max(2, int(st.line_width * _SCALE * max(0.45, size / 22)))
        closed = [*points, points[0]]
        if st.rendering == "filled":
            draw.polygon(points, fill=fill)
        elif st.rendering == "outlined":
            draw.line(closed, fill=fill, width=width, joint="curve")
        elif st.rendering == "inked":
            draw.polygon(points, fill=fill)
            draw.line(closed, fill=st.ink, width=max(2, int(width * 0.8)), joint="curve")
        elif st.rendering == "shadowed":
            shift = size * 0.16 * _SCALE
            r_, g_, b_ = st.background2
            draw.polygon([(x + shift, y + shift) for x, y in points], fill=(r_ // 2, g_ // 2, b_ // 2))
            draw.polygon(points, fill=fill)
        elif st.rendering == "hatched":
            mask = Image.new("L", image.size, 0)
            ImageDraw.Draw(mask).polygon(points, fill=255)
            lines = ImageDraw.Draw(mask)
            for y in range(0, image.size[1], 5):
                lines.line([(0, y), (image.size[0], y)], fill=0, width=2)
            image.paste(fill, (0, 0), mask)
            draw.line(closed, fill=fill, width=max(2, width // 2), joint="curve")
        elif st.rendering == "nested":
            gx, gy = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
            for k, t in enumerate((1, 0.7, 0.42)):
                draw.polygon(
                    [(gx + (x - gx) * t, gy + (y - gy) * t) for x, y in points], fill=fill if k % 2 == 0 else st.ink
                )


def _plural(motif: str) -> str:
    return _PLURALS.get(motif, motif + "s")


def _compose(image: Image.Image, st: Style, composition: str, s1: str, s2: str, r: np.random.Generator) -> str:
    """Draw the motifs in a composition, and return the title of the work."""

    def j(a: float) -> float:
        return float(a * r.normal())

    draw = ImageDraw.Draw(image)
    n = _CANVAS
    if composition == "single":
        _put(image, st, s1, 32 + j(2), 32 + j(2), 22 + j(1.5), r, int(r.integers(2)))
        return s1
    if composition == "pair":
        _put(image, st, s1, 20 + j(1.5), 24 + j(2.5), 15 + j(1), r)
        _put(image, st, s2, 44 + j(1.5), 41 + j(2.5), 15 + j(1), r, 1)
        return f"{s1} and {s2}"
    if composition == "scatter":
        for k in range(int(r.integers(9, 14))):
            _put(image, st, s1 if k % 3 else s2, r.random() * 64, r.random() * 64, 5 + 3 * r.random(), r, k)
        return f"many {_plural(s1)} and {_plural(s2)}"
    if composition == "grid":
        for a in range(3):
            for b in range(3):
                _put(image, st, s1 if (a + b) % 2 == 0 else s2, 11 + 21 * a, 11 + 21 * b, 8, r, a + b)
        return f"pattern of {_plural(s1)} and {_plural(s2)}"
    if composition == "horizon":
        y = 40 + j(2)
        draw.rectangle([0, int(y * _SCALE), n, n], fill=st.foreground[2])
        _put(image, st, s1, 20 + j(6), y - 10, 13 + j(1), r)
        _put(image, st, s2, 46 + j(5), 14 + j(2), 8, r, 1)
        return f"{s1} on the horizon"
    if composition == "ring":
        count = int(r.integers(6, 9))
        for k in range(count):
            _put(
                image,
                st,
                s1,
                32 + 22 * math.cos(math.tau * k / count),
                32 + 22 * math.sin(math.tau * k / count),
                7,
                r,
                k,
            )
        _put(image, st, s2, 32, 32, 10, r, 1)
        return f"circle of {_plural(s1)}"
    if composition == "diagonal":
        for k in range(4):
            _put(image, st, s1 if k % 2 else s2, 10 + 15 * k + j(1), 54 - 15 * k + j(1), 9, r, k)
        return f"row of {_plural(s1)} and {_plural(s2)}"
    draw.rectangle([0, 0, n - 1, n - 1], outline=st.foreground[1], width=int(7 * _SCALE))
    draw.rectangle([9 * _SCALE, 9 * _SCALE, 55 * _SCALE, 55 * _SCALE], outline=st.ink, width=max(1, int(1.5 * _SCALE)))
    _put(image, st, s1, 32 + j(1.5), 32 + j(1.5), 17, r)
    return f"framed {s1}"


def _finish(image: Image.Image, st: Style, r: np.random.Generator) -> np.ndarray:
    if st.texture == "blur":
        image = image.filter(ImageFilter.GaussianBlur(2.1))
    image = image.resize((SIZE, SIZE), Image.Resampling.BOX)
    if st.texture == "pixels":
        image = image.resize((11, 11), Image.Resampling.BOX).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    pixels = np.asarray(image).astype(np.float32)
    if st.texture == "grain":
        pixels += r.normal(0, 14, (SIZE, SIZE, 1))
    elif st.texture == "scan lines":
        pixels[::2] *= 0.68
    elif st.texture == "vignette":
        y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
        pixels *= (1 - 0.62 * np.clip(x * x + y * y - 0.15, 0, 1))[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def work(st: Style, seed: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """One work in a style: ((SIZE, SIZE, 3) uint8, title). An artist mostly uses favourite motifs and compositions."""
    r = np.random.default_rng(seed)
    image = _ground(st, r)
    s1, s2 = (str(r.choice(st.motifs)) if r.random() < 0.8 else str(r.choice(MOTIF_NAMES)) for _ in range(2))
    composition = st.composition if r.random() < 0.75 else st.second_composition
    title = _compose(image, st, composition, s1, s2, r)
    return _finish(image, st, r), title
