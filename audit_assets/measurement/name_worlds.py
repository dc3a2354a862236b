"""Worlds with known truth for identification: what a name suggests, and what a model was taught.

Each name has an origin. The model draws what the origin suggests, and beyond that either something of its own for each
name (a name without training images) or, with the strength ``effect``, what the encoder associates with exactly this
name (known). The encoder's label of a name holds its origin and the name. So the images of an unknown artist whose
origin no control name shares are found again always, although the model knows no hand: controls must be matched on
origin, and here they are or are not.

``study`` makes the tables of ``docs/statistics.md`` on identification.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit_assets.measurement.name_controls import beside_names
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray

DEFAULT_LABELS = 3


@dataclass(frozen=True)
class NameWorld:
    """What is true.

    ``artists`` are audited, in turn of the ``origins``; ``names`` control names belong to every origin if ``matched``,
    and else to the first origin alone, and artists are then compared with all of them. ``images`` are drawn per name,
    of which a share ``blank`` shows nothing; if ``unequal``, each artist and name has between six images and
    ``images``.

    ``cue``: length of what a name suggests of its origin, in images and labels (a name itself has length 1). ``icc``:
    correlation of two images of one name beside that. ``known``: artists whom the model was trained on, the first ones,
    with the strength ``effect``: the cosine between the centre of their images and the direction of their own label.
    ``own_labels``: artists compete against the labels of artists, names against those of names, as in the paper;
    otherwise all compete against all.
    """

    artists: int = 20
    origins: int = 5
    names: int = 99
    matched: bool = True
    images: int = 10
    blank: float = 0.0
    unequal: bool = False
    cue: float = 1.0
    icc: float = 0.5
    known: int = 0
    effect: float = 0.0
    own_labels: bool = False
    dimension: int = 48


@dataclass(frozen=True)
class NamesDrawn:
    """One audit: ``subjects`` and ``names`` as ``name_controls.beside_names`` takes them, and whom the model truly
    knows, (artists,)."""

    subjects: pd.DataFrame
    names: pd.DataFrame
    known: BoolArray


def draw(world: NameWorld, rng: np.random.Generator) -> NamesDrawn:
    """One audit of a world: labels and images are drawn, images are classified, and counts are taken.

    Raises ValueError on a world without artists, origins or images, or with an impossible effect.
    """
    if min(world.artists, world.origins, world.images) < 1 or not 0 <= world.effect <= 1 or world.known > world.artists:
        raise ValueError(f"{world} cannot be drawn; pass artists, origins and images, and an effect between 0 and 1.")
    d = world.dimension
    origins = _unit(rng.normal(size=(world.origins, d)))
    of_artist = np.arange(world.artists) % world.origins
    of_name = np.repeat(np.arange(world.origins if world.matched else min(1, world.origins)), world.names)
    origin = np.r_[of_artist, of_name]
    n = len(origin)
    known = np.arange(n) < world.known
    own = _unit(rng.normal(size=(n, d)))
    labels = _unit(world.cue * origins[origin] + own)
    effect = np.where(known, world.effect, 0.0)[:, None]
    centres = effect * own + np.sqrt(1 - effect**2) * _unit(rng.normal(size=(n, d)))
    correct = _correct(world, origins[origin], centres, labels, rng)
    shown = rng.random(correct.shape) >= world.blank
    if world.unequal:
        fewest = min(6, world.images)
        shown &= np.arange(world.images) < rng.integers(fewest, world.images + 1, size=n)[:, None]
    counts = pd.DataFrame({"shown": shown.sum(axis=1), "identified": (shown & correct).sum(axis=1)})
    artist = np.arange(n) < world.artists
    total = {True: world.artists, False: n - world.artists} if world.own_labels else {True: n, False: n}
    counts["labels"] = np.where(artist, total[True], total[False]) + DEFAULT_LABELS
    counts["label_kind"] = "own" if world.own_labels else "joint"
    counts["locale"] = [f"o{i}" for i in origin]
    counts["script"] = "Latin"
    subjects = counts[artist].reset_index(drop=True)
    subjects["subject"] = [f"artist {i}" for i in range(world.artists)]
    subjects["stratum"] = [f"locale o{i}" if world.matched else "audit" for i in of_artist]
    return NamesDrawn(subjects, counts[~artist].reset_index(drop=True), known[artist])


def _correct(
    world: NameWorld, origin: FloatArray, centres: FloatArray, labels: FloatArray, rng: np.random.Generator
) -> BoolArray:
    """Whether each image is classified as its own name, (names, images)."""
    n, d = centres.shape
    defaults = _unit(rng.normal(size=(DEFAULT_LABELS, d)))
    groups = [np.arange(n)]
    if world.own_labels:
        groups = [np.arange(world.artists), np.arange(world.artists, n)]
    correct = np.zeros((n, world.images), dtype=np.bool_)
    for members in groups:
        choices = np.concatenate([labels[members], defaults])
        for start in range(0, len(members), 256):  # blocks keep the memory flat
            some: IntArray = members[start : start + 256]
            noise = rng.normal(size=(len(some), world.images, d)) / np.sqrt(d)
            images = world.cue * origin[some][:, None] + np.sqrt(world.icc) * centres[some][:, None]
            images = images + np.sqrt(1 - world.icc) * noise
            won = (images @ choices.T).argmax(axis=2)
            correct[some] = won == np.arange(start, start + len(some))[:, None]
    return correct


def study(worlds: Iterable[NameWorld], *, audits: int, seed: int) -> pd.DataFrame:
    """Who passes beside control names, over ``audits`` drawn audits of each world; one row per world.

    ``false_pass``: share of the tested artists unknown to the model whose answer is "yes"; ``power``: share of all
    known artists whose answer is "yes"; ``untested``: share of artists that could not be tested;
    ``identified_unknown``: share of the shown images of unknown artists that are identified. ``..._error``: standard
    error over audits. NaN if there is no such artist.
    """
    lines = []
    for number, world in enumerate(worlds):
        rng = np.random.default_rng([seed, number])
        figures = np.array([_figures(draw(world, rng)) for _ in range(audits)])
        line: dict[str, object] = vars(world) | {"audits": audits}
        for name, column in zip(("false_pass", "power", "untested", "identified_unknown"), figures.T, strict=True):
            held = column[~np.isnan(column)]
            line[name] = float(held.mean()) if len(held) else np.nan
            line[f"{name}_error"] = float(held.std(ddof=1) / np.sqrt(len(held))) if len(held) > 1 else np.nan
        lines.append(line)
    return pd.DataFrame(lines)


def _figures(drawn: NamesDrawn) -> tuple[float, float, float, float]:
    answers = beside_names(drawn.subjects, drawn.names)
    yes, tested = (answers["answer"] == "yes").to_numpy(), (answers["answer"] != "could not be tested").to_numpy()
    unknown = ~drawn.known
    shown, identified = (drawn.subjects[c].to_numpy()[unknown].sum() for c in ("shown", "identified"))
    return (
        _mean(yes[unknown & tested]),
        _mean(yes[drawn.known]),
        float(np.mean(~tested)),
        float(identified / shown) if shown else np.nan,
    )


def _mean(values: BoolArray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
