"""Worlds of known truth for matching: who is imitated is known, because the world drew it.

A world gives embeddings, as an encoder would, and the tests run on them as in an audit. Each oddity that could make matching
call an artist who is not imitated, or miss one who is, is a field here, so that the level and the power that
``docs/statistics.md`` prints can be measured again.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from audit_assets.measurement.own_cell import OwnCells, own_cells
from audit_assets.measurement.similarities import Similarities, similarities
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray

Shape = Literal["plain", "heavy_tails", "anisotropic", "coherent", "dull_names", "hubs", "few_dimensions", "loud_names"]
SHAPES: tuple[Shape, ...] = (
    "plain", "heavy_tails", "anisotropic", "coherent", "dull_names", "hubs", "few_dimensions", "loud_names",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """What is true. The first ``imitated`` of the ``audited`` artists are imitated; all other names are unrelated to works.

    ``audited``, ``background``: artists with works. ``names``: control names. ``images`` per name, ``works`` per artist.
    ``effect``: cosine between an imitated artist's hand and the centre of the images of the name.
    ``image_alike``, ``work_alike``: correlation of two images of one name, of two works of one artist, in each coordinate.

    ``shape``: how centres are distributed. heavy_tails: Student's t, 2 degrees of freedom. anisotropic: few coordinates carry
    most of the variance, and all embeddings share an offset. coherent: works of audited artists are more alike than others'.
    dull_names: control names draw nearly the same images. hubs: some works and images are near to everything.
    few_dimensions: control names vary in five dimensions. loud_names: names of audited artists steer strongly, control names
    hardly.

    ``fewest_works``: artists have between this many and ``works`` works (0: all have ``works``). ``audited_works``: works of
    audited artists (0: as the others). ``series``: works per series; two works of one series correlate by ``series_alike``.
    ``house_style``: length of a direction that all images share, and some artists' works too. ``contaminated``: works of each
    audited artist that are images of the artist's name from the model. ``origins``: origins that names come from (0: none);
    names and artists of one origin share a direction by the cosine ``cue``. ``matched``: control names have the origins of the
    audited artists; otherwise all come from the first origin. ``hand_dimension``: coordinates in which hands and images differ
    (0: all); single works differ in all. ``gap``: length of a direction that all works share and no image has, because works are no
    images of the model (paper, scan, photograph), in lengths of a typical work.
    """

    audited: int = 1
    background: int = 20
    names: int = 199
    images: int = 10
    works: int = 10
    dimension: int = 48
    imitated: int = 0
    effect: float = 0.0
    image_alike: float = 0.5
    work_alike: float = 0.3
    shape: Shape = "plain"
    fewest_works: int = 0
    audited_works: int = 0
    series: int = 1
    series_alike: float = 0.6
    house_style: float = 0.0
    contaminated: int = 0
    origins: int = 0
    cue: float = 0.6
    matched: bool = True
    hand_dimension: int = 0
    gap: float = 0.0


@dataclass(frozen=True)
class DrawnWorld:
    """One audit: unit vectors ``works`` (n, d) and ``images`` (m, d), whose they are, and the truth.

    ``artist`` (n,): audited artists first; ``name`` (m,): names of audited artists first, then controls. ``series`` (n,).
    ``imitated`` (audited,). ``origin_of_artist`` (pool,), ``origin_of_name`` (names,): 0 if the world has no origins.
    """

    works: FloatArray
    artist: IntArray
    series: IntArray
    images: FloatArray
    name: IntArray
    imitated: BoolArray
    origin_of_artist: IntArray
    origin_of_name: IntArray

    @property
    def audited(self) -> int:
        return len(self.imitated)

    def cells(self) -> tuple[Similarities, OwnCells]:
        """The matrix of matching, and the own cells of the audited artists in it."""
        pool, names = len(self.origin_of_artist), len(self.origin_of_name)
        matrix = similarities(self.works, self.artist, self.images, self.name, pool=pool, names=names, fewest_images=1)
        return matrix, own_cells(matrix, np.arange(self.audited), np.arange(self.audited))


def draw(world: World, rng: np.random.Generator) -> DrawnWorld:
    """Draw an audit: centres of images, hands of artists, observations about them, scaled to length 1."""
    pool, columns = world.audited + world.background, world.audited + world.names
    hands, centres, artist_origin, name_origin = _centres(world, rng)
    hit = np.arange(world.imitated)
    centres[hit] = world.effect * hands[hit] + np.sqrt(1 - world.effect**2) * centres[hit]
    within, alike = np.full(pool, world.work_alike), np.full(columns, world.image_alike)
    if world.shape == "coherent":
        within[: world.audited] = 0.9
    if world.shape in ("dull_names", "loud_names"):
        alike[world.audited :], alike[: world.audited] = (0.6, 0.8) if world.shape == "dull_names" else (0.05, 0.9)
    artist, name = np.repeat(np.arange(pool), _counts(world, rng)), np.repeat(np.arange(columns), world.images)
    series, noise = _noise(world, artist, rng)
    works = np.sqrt(within)[artist, None] * hands[artist] + np.sqrt(1 - within)[artist, None] * noise
    images = np.sqrt(alike)[name, None] * centres[name]
    images = images + np.sqrt(1 - alike)[name, None] * rng.normal(size=(len(name), world.dimension))
    _common(world, rng, works, artist, images, name)
    works, images = _unit(works), _unit(images)
    if world.contaminated:
        for a in range(world.audited):
            copies = np.flatnonzero(artist == a)[: world.contaminated]
            works[copies] = images[np.flatnonzero(name == a)[: len(copies)]]
    truth = np.arange(world.audited) < world.imitated
    return DrawnWorld(works, artist, series, images, name, truth, artist_origin, name_origin)


def _centres(world: World, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    pool, columns, d = world.audited + world.background, world.audited + world.names, world.dimension
    hands, centres = rng.normal(size=(pool, d)), rng.normal(size=(columns, d))
    if world.shape == "heavy_tails":
        hands, centres = rng.standard_t(2, size=(pool, d)), rng.standard_t(2, size=(columns, d))
    if world.shape == "dull_names":
        centres[world.audited :] = 0.2 * centres[world.audited :] + rng.normal(size=d)
    if world.shape == "few_dimensions":
        centres[world.audited :] = rng.normal(size=(world.names, 5)) @ rng.normal(size=(5, d)) / np.sqrt(5)
    if world.hand_dimension:
        only = np.where(np.arange(d) < world.hand_dimension, np.sqrt(d / world.hand_dimension), 0.0)
        hands, centres = hands * only, centres * only
    if not world.origins:
        return hands, centres, np.zeros(pool, dtype=np.int64), np.zeros(columns, dtype=np.int64)
    direction = rng.normal(size=(world.origins, d))
    of_artist, of_name = rng.integers(world.origins, size=pool), np.zeros(columns, dtype=np.int64)
    of_name[: world.audited] = of_artist[: world.audited]
    if world.matched:
        of_name[world.audited :] = of_artist[np.arange(world.names) % world.audited]
    rest = np.sqrt(1 - world.cue**2)
    hands, centres = world.cue * direction[of_artist] + rest * hands, world.cue * direction[of_name] + rest * centres
    return hands, centres, of_artist, of_name


def _counts(world: World, rng: np.random.Generator) -> IntArray:
    pool = world.audited + world.background
    counts = np.full(pool, world.works, dtype=np.int64)
    if world.fewest_works:
        counts = rng.integers(world.fewest_works, world.works + 1, size=pool)
    if world.audited_works:
        counts[: world.audited] = world.audited_works
    return counts


def _noise(world: World, artist: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
    """The series of each work, and its deviation from the artist's hand, which works of one series share in part."""
    first = np.searchsorted(artist, artist)
    series = np.unique(
        np.stack([artist, (np.arange(len(artist)) - first) // world.series]), axis=1, return_inverse=True
    )[1]
    noise = rng.normal(size=(len(artist), world.dimension))
    if world.series == 1:
        return series.astype(np.int64), noise
    shared = rng.normal(size=(series.max() + 1, world.dimension))[series]
    return series.astype(np.int64), np.sqrt(world.series_alike) * shared + np.sqrt(1 - world.series_alike) * noise


def _common(
    world: World, rng: np.random.Generator, works: FloatArray, artist: IntArray, images: FloatArray, name: IntArray
) -> None:
    """Add what many works or images share, in place."""
    if world.shape == "hubs":
        direction = rng.normal(size=world.dimension)
        works += 0.5 * rng.exponential(size=(artist.max() + 1, 1))[artist] * direction
        images += 0.5 * rng.exponential(size=(name.max() + 1, 1))[name] * direction
    if world.house_style:
        direction = rng.normal(size=world.dimension)
        has = rng.random(size=(artist.max() + 1, 1)) < 0.3
        works += world.house_style * has[artist] * direction
        images += world.house_style * rng.uniform(0.5, 1.5, size=(name.max() + 1, 1))[name] * direction
    if world.gap:
        works += world.gap * rng.normal(size=world.dimension)
    if world.shape == "anisotropic":
        scale = np.arange(1, world.dimension + 1) ** -1.0
        works *= scale
        images *= scale
        works += 3 * scale
        images += 3 * scale


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
