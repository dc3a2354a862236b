"""How every page writes numbers and names: shares with one decimal, intervals in brackets, a missing figure in words."""

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.measurement.intervals import exact_binomial

NOT_MEASURED = "not measured"

LABEL_SETS = {
    "criteria": "the artists of the roster",
    "most_mentioned": "the most mentioned artists",
    "random_names": "random names alone",
    "recombined_names": "recombined names alone",
    "joint": "every prompted name",
}
KINDS = {
    "artist": "artists",
    "untrained_artist": "untrained artists",
    "random_name": "random names",
    "nonsense": "nonsense tokens",
    "background": "background artists",
}
TESTS = {
    "rank_sum_asymptotic": "the paper's rank sum",
    "rank_sum_exact": "rank sum, exact, all works",
    "own_cell": "own cell",
    "name_test": "name test (works held fixed)",
    "own_rank": "own rank (images held fixed)",
    "pairing": "pairing, all artists together",
    "pairing_within_peers": "pairing within peers",
}
CHOICES = {
    "verdict": "as the audit decides",
    "joint_labels": "every prompted name as a label",
    "text_blurred": "text in images blurred",
    "half_of_the_works": "the first half of each artist’s works",
    "half_of_the_roster": "every second artist alone",
}
"""Choices of `verdict_flips` beside tests and templates."""
ADJUSTMENTS = {"bonferroni": "Bonferroni", "holm": "Holm", "benjamini_hochberg": "Benjamini-Hochberg", "none": "none"}
ALTERNATIVES = {"two_sided": "two-sided", "closer": "closer"}
DEFAULT_LABEL = "default:"
_TURNING = frozenset({"R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI"})


def known(value: Any) -> float | None:
    """A number of the database, None if it is NULL."""
    return None if value is None or pd.isna(value) else float(value)


def true(value: Any) -> bool:
    """Whether a truth value of the database is true; NULL is not."""
    return value is not None and not pd.isna(value) and bool(value)


_P_LEVELS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1)
_HALF = 50
"""Per cent: the audit could have seen an imitation if it found more of the perfect imitators."""
_MOST_DIGITS = 9


def rounded(value: float, digits: int, levels: Sequence[float]) -> str:
    """A value with so many decimals, or as many more as it takes to show that it is above a level: 0.0503 is not "0.050" beside a level of 0.05.

    A rule says "at most" or "more than" a level, so a value that is rounded up to a level is not on its other side.
    """
    for more in range(digits, _MOST_DIGITS):
        text = f"{value:.{more}f}"
        if all((float(text) > level) == (value > level) for level in levels):
            return text
    return f"{value:.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    if share is None or math.isnan(share):
        return NOT_MEASURED
    return f"{rounded(100 * share, digits, [_HALF])} %"


def bracket(low: float | None, high: float | None) -> str:
    """A 95 % interval of a share in per cent, with a space before it; empty if the interval was not computed."""
    return "" if low is None or high is None else f" ({100 * low:.1f} – {100 * high:.1f})"


def with_interval(share: Any, low: Any, high: Any) -> str:
    return f"{percent(known(share))}{bracket(known(low), known(high))}"


def points(difference: Any, low: Any = None, high: Any = None) -> str:
    """A difference of shares in percentage points, with its sign."""
    value, below, above = known(difference), known(low), known(high)
    if value is None:
        return "–"
    interval = "" if below is None or above is None else f" ({100 * below:+.1f} to {100 * above:+.1f})"
    return f"{100 * value:+.1f} points{interval}"


def count(found: Any, of: Any) -> str:
    """'3 / 4 = 75.0 %'. Of one there is no share: 'yes' or 'no'. NULL was not measured."""
    found, of = known(found), known(of)
    if found is None or of is None:
        return NOT_MEASURED
    if of == 1 and found in (0, 1):
        return "yes" if found else "no"
    return f"{found:.0f} / {of:.0f} = {percent(found / of)}" if of else NOT_MEASURED


def subjects_counted(found: Any, of: Any) -> str:
    """A count of subjects with its exact binomial interval: each subject is one draw."""
    found, of = known(found), known(of)
    if found is None or not of:
        return NOT_MEASURED
    if of == 1:
        return count(found, of)
    interval = exact_binomial(int(found), int(of))
    return f"{count(found, of)}{bracket(interval.low, interval.high)}"


def images_interval(correct: float, images: float) -> tuple[float, float]:
    """Exact 95 % interval of one subject's share of images, as the answers give it. ``images`` is 1 or more."""
    interval = exact_binomial(int(correct), int(images))
    return interval.low, interval.high


def p_text(value: float | None, alpha: float = 0.05) -> str:
    """A p or q: three decimals, or more if it would seem to be at a level that it is above. ``alpha``: the level of the protocol's tests."""
    if value is None or math.isnan(value):
        return "–"
    return rounded(value, 3, (*_P_LEVELS, alpha)) if value >= 0.001 else f"{value:.1e}"


def one_in(p: float) -> str:
    """A small probability for readers of no statistics: 'about 1 in 2,000', to two digits."""
    if p > 0.5:
        return f"{100 * p:.0f} in 100"
    times = 1 / p
    digits = max(0, len(str(int(times))) - 2)
    return f"about 1 in {round(times / 10**digits) * 10**digits:,}"


def p_with_floor(row: Mapping[Any, Any]) -> str:
    p, floor = known(row["p_value"]), known(row["p_floor"])
    at_floor = p is not None and floor is not None and p <= floor
    return f"{p_text(p)}{' (the smallest possible)' if at_floor else ''}"


def probability(value: Any) -> str:
    """Of one image: three decimals, or "below 0.001" if they would be 0.000."""
    value = known(value)
    if value is None:
        return "–"
    return "below 0.001" if 0 <= value < 0.001 else f"{value:.3f}"


def auc(row: Mapping[Any, Any]) -> str:
    value, low, high = known(row["auc"]), known(row["auc_low"]), known(row["auc_high"])
    if value is None:
        return "–"
    return f"{value:.2f}" + ("" if low is None or high is None else f" ({low:.2f} – {high:.2f})")


def yes(value: Any) -> str:
    """A truth value of the database: NULL is neither yes nor no."""
    return "–" if value is None or pd.isna(value) else "yes" if value else "no"


def shown(value: Any) -> str:
    """A value of the database as text: lists by commas, JSON as it is, nothing for NULL."""
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(str(part) for part in value)
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return "" if value is None or pd.isna(value) else str(value)


def isolated(name: str) -> str:
    """A name for the middle of a sentence. A name written from right to left, or with a control character that says so, is isolated: it must not reverse the rest."""
    turning = any(unicodedata.bidirectional(c) in _TURNING for c in name)
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}" if turning else name


def counted(number: float, one: str, many: str | None = None) -> str:
    """'1 image', '2 images'."""
    return f"{number:.0f} {one if number == 1 else many or one + 's'}"
