"""Charts that the paper does not have: artists with their intervals, dose and response.

Each function returns the figure, and the text of each point, which the page shows on hovering (``svg.inline``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from audit_assets.publication.drawings.paper_figures import CONTROL, INK, OURS, bare, canvas, plain
from audit_assets.publication.words.measures import IDENTIFIED, LIKENESS

PANEL = 40
"""Artists per drawing, so that it fits on a printed page."""

VERDICT_MARKS = {
    "imitated": ("o", OURS),
    "not shown to be imitated": ("X", CONTROL),
    "not auditable": ("s", "#6b6b6b"),
}
Hover = dict[str, list[str]]


@dataclass(frozen=True)
class ForestRow:
    """One artist: figures with 95 % intervals, (value, low, high); None if not measured."""

    label: str
    name: str
    verdict: str
    identified: tuple[float, float, float] | None
    auc: tuple[float, float, float] | None


def forest(rows: Sequence[ForestRow], needed: float | None) -> tuple[Figure, Hover]:
    """Artists from the top, share of images identified on the left, AUC of the matching on the right.

    ``needed``: the smallest share of images at which a name counts as identified. More than PANEL rows are not legible.
    """
    figure = canvas(9.0, 1.1 + 0.215 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.1, 1))
    hover: Hover = {}
    for axes, name, scale, shares in (
        (left, "identified", 100.0, [r.identified for r in rows]),
        (right, "auc", 1.0, [r.auc for r in rows]),
    ):
        bare(axes)
        axes.grid(axis="x", color="#e3e3e3", lw=0.8)
        axes.set_axisbelow(True)
        for verdict, (marker, colour) in VERDICT_MARKS.items():
            places = [i for i, r in enumerate(rows) if r.verdict == verdict and shares[i] is not None]
            found = np.array([shares[i] for i in places], dtype=float).reshape(-1, 3) * scale
            axes.hlines(places, found[:, 1], found[:, 2], color=colour, lw=1.6)
            points = axes.scatter(found[:, 0], places, s=30, marker=marker, color=colour, label=verdict, zorder=3)
            gid = f"{name}-{verdict.replace(' ', '-')}"
            points.set_gid(gid)
            hover[gid] = [
                f"{rows[i].name}: {value:.{0 if scale == 100 else 2}f} ({low:.{0 if scale == 100 else 2}f} to {high:.{0 if scale == 100 else 2}f}), {verdict}"
                for i, (value, low, high) in zip(places, found, strict=True)
            ]
    left.set_yticks(range(len(rows)), [r.label for r in rows], fontsize=9)
    for text in left.get_yticklabels():
        plain(text)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_xlim(-3, 103)
    right.set_xlim(-0.03, 1.03)
    if needed is not None:
        left.axvline(100 * needed, color=INK, lw=1, ls="--")
    right.axvline(0.5, color=INK, lw=1, ls="--")
    left.set_xlabel(f"{IDENTIFIED} (%)", color=INK)
    right.set_xlabel(f"{LIKENESS}; 0.5: none", color=INK)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return figure, hover


@dataclass(frozen=True)
class Change:
    """The number of captions that splits the artists best, with its interval, the means on both sides, and p of no change."""

    threshold: float
    low: float
    high: float
    below: float
    above: float
    p_value: float


def dose_response(
    mentions: Sequence[float], response: Sequence[float], names: Sequence[str], change: Change | None
) -> tuple[Figure, Hover]:
    """Images identified against the number of captions that name the artist, one point per artist."""
    figure = canvas(9.0, 4.2)
    axes = figure.add_subplot()
    bare(axes)
    x, y = np.asarray(mentions, dtype=float), 100 * np.asarray(response, dtype=float)
    if change is not None:
        axes.axvspan(change.low, change.high, color="#dbe6f1", label="95 % interval")
        axes.axvline(change.threshold, color=INK, lw=1.2, ls="--", label=f"best split: {change.threshold:.0f} captions")
        for mean, start, end in (
            (change.below, x.min(), change.threshold),
            (change.above, change.threshold, x.max()),
        ):
            axes.hlines(100 * mean, start, end, color=CONTROL, lw=2)
    points = axes.scatter(x, y, s=30, color=OURS, alpha=0.75, linewidths=0, zorder=3)
    points.set_gid("artists")
    wide = x.max() > 20 * max(1.0, x.min())
    if wide:
        axes.set_xscale("symlog", linthresh=10)
    axes.set_ylim(-4, 104)
    axes.set_xlabel(f"captions that name the artist{' (log scale)' if wide else ''}", color=INK)
    axes.set_ylabel(f"{IDENTIFIED} (%)", color=INK)
    if change is not None:
        figure.legend(frameon=False, fontsize=9, loc="outside upper left", ncols=2)
    return figure, {
        "artists": [f"{n}: {v:.0f} % of images, {m:.0f} captions" for n, v, m in zip(names, y, x, strict=True)]
    }
