"""Lines of values, one below the other, on one axis: one artist's pictures beside those of other names.

The pages of all artists hold many of these drawings, so they are written as short SVG: matplotlib takes a tenth of a second for each
and writes four times as much. Every text is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from audit_assets.publication.drawings.paper_figures import INK, OURS

QUANTILES = 100
GREY = "#6b6b6b"
_WIDTH, _MARGIN, _LINE, _AXIS = 640, 12, 46, 44


@dataclass(frozen=True)
class Strip:
    """One line of a chart: ``values`` as points that show ``names`` on hovering, or as marks if there are no names."""

    label: str
    values: Sequence[float]
    names: Sequence[str] = ()
    own: bool = False


def strips(lines: Sequence[Strip], label: str, alt: str, *, logarithmic: bool, floor: float = 1e-6) -> Markup:
    """One ``<svg role="img">``. A median is a tall mark. The same lines give the same bytes.

    More than QUANTILES values without names are drawn as that many quantiles, so that a chart of 2,500 images is not larger than
    one of 200. On a log axis a value below ``floor`` is drawn at ``floor``. Raises ValueError if a value is missing.
    """
    values = [np.asarray(line.values, dtype=float) for line in lines]
    for line, own in zip(lines, values, strict=True):
        if np.isnan(own).any():
            raise ValueError(f"{line.label}: a value is missing; leave it out")
    if logarithmic:
        values = [np.log10(np.clip(own, floor, 1.0)) for own in values]
        ticks = np.arange(round(np.log10(floor)), 1.0)
        low, high = ticks[0] - 0.1, 0.1
    else:
        every = np.concatenate(values) if values else np.empty(0)
        least, most = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
        pad = 0.04 * (most - least) or 0.05
        low, high = least - pad, most + pad
        ticks = np.array([t for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high])

    def across(found: np.ndarray) -> np.ndarray:
        return np.asarray(_MARGIN + (found - low) / (high - low) * (_WIDTH - 2 * _MARGIN))

    height = _LINE * len(lines) + _AXIS
    bottom = _LINE * len(lines)
    drawn = [
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="strips" role="img" aria-label="{}" viewBox="0 0 {} {}" style="max-width: {}px">'
        ).format(alt, _WIDTH, height, _WIDTH)
    ]
    drawn += [
        _line(line, across(own), _LINE * place + _LINE - 14)
        for place, (line, own) in enumerate(zip(lines, values, strict=True))
    ]
    drawn.append(
        Markup('<path class="ink" d="M{} {}H{}" stroke="{}" stroke-width="1" fill="none"/>').format(
            _MARGIN, bottom, _WIDTH - _MARGIN, INK
        )
    )
    for tick, at in zip(ticks, across(ticks), strict=True):
        shown = f"{10.0**tick:g}" if logarithmic else f"{tick:.3g}"
        drawn.append(
            Markup(
                '<path class="ink" d="M{0:.1f} {1}v5" stroke="{2}"/><text x="{0:.1f}" y="{3}" text-anchor="middle" font-size="12" fill="{2}">{4}</text>'
            ).format(float(at), bottom, INK, bottom + 18, shown)
        )
    drawn.append(
        Markup('<text x="{}" y="{}" font-size="13" fill="{}">{}</text>').format(_MARGIN, height - 6, INK, label)
    )
    return Markup("").join([*drawn, Markup("</svg>")])


def _line(line: Strip, at: np.ndarray, middle: float) -> Markup:
    colour, kind = (OURS, "own") if line.own else (GREY, "other")
    drawn = [
        Markup('<text x="{}" y="{}" font-size="13" fill="{}">{} ({})</text>').format(
            _MARGIN, middle - 15, INK, line.label, len(line.values)
        )
    ]
    if line.names:
        # Neighbours are drawn at three heights, so that equal values do not hide each other.
        order = np.argsort(np.argsort(at, kind="stable"))
        for x, rank, name in zip(at, order, line.names, strict=True):
            y = middle + (int(rank) % 3 - 1) * 5
            drawn.append(
                Markup(
                    '<circle class="{}" cx="{:.1f}" cy="{}" r="4" fill="{}" fill-opacity="0.8"><title>{}</title></circle>'
                ).format(kind, float(x), y, colour, name)
            )
    elif len(at):
        # Quantiles of the places: the axis grows with the value, so they are the places of the quantiles.
        marks = np.quantile(at, (np.arange(QUANTILES) + 0.5) / QUANTILES) if len(at) > QUANTILES else at
        path = "".join(f"M{x:.1f} {middle - 6:.0f}v12" for x in marks)
        drawn.append(
            Markup('<path class="{}" d="{}" stroke="{}" stroke-opacity="0.5" fill="none"/>').format(kind, path, colour)
        )
    if len(at):
        drawn.append(
            Markup('<path class="ink" d="M{:.1f} {:.0f}v22" stroke="{}" stroke-width="2.5" fill="none"/>').format(
                float(np.median(at)), middle - 11, INK
            )
        )
    return Markup("").join(drawn)
