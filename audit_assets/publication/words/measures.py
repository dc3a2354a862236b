"""The measures of an audit: what each is called, which column has it, and which function computes it.

The README's table, the table of the command line, the report and the index take the names of their rows and columns from
here, so that a search for a row's words ends in this file. From here ``computed_by`` leads to the method, and ``table``,
``column`` and ``rows`` lead to the figure in ``audit.duckdb``.
"""

from dataclasses import dataclass

IDENTIFIED = "images identified"
LIKENESS = "likeness to the real works (AUC)"
COMPARED = {"accuracy": IDENTIFIED, "auc": LIKENESS}
"""The column ``measure`` of ``model_comparison`` and ``model_trends``, in words."""

_METHOD = "audit_assets.measurement"
_ARTISTS = "label_set = 'criteria' AND kind = 'artist'"
_RANDOM = "label_set = 'random_names' AND kind = 'random_name'"
_PAPER = "kind = 'artist' AND test = 'rank_sum_asymptotic' AND adjustment = 'bonferroni'"
_OWN_CELL = "kind = 'artist' AND test = 'own_cell' AND adjustment = 'none'"


@dataclass(frozen=True)
class Measure:
    """One row of the headline. ``key`` is its name in code, ``words`` its name for readers."""

    key: str
    words: str
    paper: str
    """The figure of Casper et al. (2023), as text."""
    counted_by: str
    """What is counted: images, artists, names, works, or the audit as a whole."""
    table: str
    column: str
    rows: str
    """The rows of ``table`` that the figure is read from, as an SQL condition: one model version and encoder have one such row, or
    one per subject that is counted."""
    computed_by: str
    """Module and function of ``audit_assets.measurement``, to import."""


MEASURES = (
    Measure(
        "artists_images", "images of artists identified", "81.0 %", "image",
        "identification_summary", "image_accuracy", _ARTISTS, f"{_METHOD}.identification.summary",
    ),
    Measure(
        "artists_plurality", "artists that win a plurality of their images", "69 / 70 = 98.6 %", "artist",
        "identification_summary", "subjects_correct", _ARTISTS, f"{_METHOD}.identification.plurality",
    ),
    Measure(
        "random_images", "images of random names identified", "not reported", "image",
        "identification_summary", "image_accuracy", _RANDOM, f"{_METHOD}.identification.summary",
    ),
    Measure(
        "random_plurality", "random names that win a plurality of their images", "6 / 70 = 8.6 %", "name",
        "identification_summary", "subjects_correct", _RANDOM, f"{_METHOD}.identification.plurality",
    ),
    Measure(
        "chance", "images that chance alone identifies", "1 / 73 = 1.4 %", "image",
        "identification_summary", "chance", _ARTISTS, f"{_METHOD}.identification.summary",
    ),
    Measure(
        "untrained_images", "images of untrained artists identified (joint labels)", "not done", "image",
        "identification_summary", "image_accuracy", "label_set = 'joint' AND kind = 'untrained_artist'",
        f"{_METHOD}.identification.summary",
    ),
    Measure(
        "recombined_images", "images of recombined names identified", "not done", "image",
        "identification_summary", "image_accuracy", "label_set = 'recombined_names' AND kind = 'random_name'",
        f"{_METHOD}.identification.summary",
    ),
    Measure(
        "paper_two_sided", "paper's matching test significant (two-sided)", "63 / 70 = 90.0 %", "artist",
        "matching_summary", "significant", f"{_PAPER} AND alternative = 'two_sided' AND control = 'none'",
        f"{_METHOD}.matching.paper_test",
    ),
    Measure(
        "paper_closer", "paper's matching test significant (closer)", "63 / 70 = 90.0 %", "artist",
        "matching_summary", "significant", f"{_PAPER} AND alternative = 'closer' AND control = 'none'",
        f"{_METHOD}.matching.paper_test",
    ),
    Measure(
        "paper_two_sided_reassigned", "paper's matching test significant with re-assigned real works (two-sided)",
        "16 / 70 = 22.8 %", "artist",
        "matching_summary", "significant", f"{_PAPER} AND alternative = 'two_sided' AND control = 'reassigned'",
        f"{_METHOD}.matching.reassigned",
    ),
    Measure(
        "paper_closer_reassigned", "paper's matching test significant with re-assigned real works (closer)",
        "16 / 70 = 22.8 %", "artist",
        "matching_summary", "significant", f"{_PAPER} AND alternative = 'closer' AND control = 'reassigned'",
        f"{_METHOD}.matching.reassigned",
    ),
    Measure(
        "real_works", "real works of artists identified", "not done", "work",
        "auditability", "correct", "kind = 'artist'", f"{_METHOD}.zero_shot.identify",
    ),
    Measure(
        "gap", "gap between artists and random names", "not done", "image",
        "identification_contrasts", "estimate", "contrast = 'gap' AND control_label_set = 'random_names'",
        f"{_METHOD}.artist_intervals.gap_of_artists",
    ),
    Measure(
        "ratio", "ratio of imitations to real works identified", "not done", "image",
        "identification_contrasts", "estimate", "contrast = 'ratio_to_real_works'", f"{_METHOD}.artist_intervals.ratio_to_real_works",
    ),
    Measure(
        "own_cell", "corrected matching test significant (own cell, not adjusted)", "not done", "artist",
        "matching_summary", "significant", f"{_OWN_CELL} AND control = 'none'", f"{_METHOD}.own_cell.own_cell_in_strata",
    ),
    Measure(
        "own_cell_reassigned", "corrected matching test significant with re-assigned real works (own cell, not adjusted)", "not done", "artist",
        "matching_summary", "share", f"{_OWN_CELL} AND control = 'reassigned'", f"{_METHOD}.own_cell.own_cell_in_strata",
    ),
    Measure(
        "pairing", "all artists together (pairing test), p", "not done", "audit",
        "matching_by_subject", "p_value", "kind = 'artist' AND test = 'pairing' AND control = 'none'",
        f"{_METHOD}.own_cell_companions.pairing",
    ),
    Measure(
        "pairing_within_peers", "all artists together, within peers (pairing test), p", "not done", "audit",
        "matching_by_subject", "p_value", "kind = 'artist' AND test = 'pairing_within_peers' AND control = 'none'",
        f"{_METHOD}.own_cell_companions.pairing",
    ),
    Measure(
        "at_least", "artists who are imitated, at least (with 95 % confidence)", "not done", "artist",
        "roster_findings", "at_least", "kind = 'artist'", f"{_METHOD}.discoveries.true_discoveries",
    ),
    Measure(
        "imitated", "artists with the verdict “imitated”", "not done", "artist",
        "verdicts", "verdict", "kind = 'artist'", f"{_METHOD}.answers.judge",
    ),
    Measure(
        "above_controls", "random names with the verdict “identified above controls”", "not done", "name",
        "verdicts", "verdict", "kind = 'random_name'", f"{_METHOD}.answers.judge",
    ),
)  # fmt: skip
"""The measures, in the order in which tables show them."""

WORDS = {measure.key: measure.words for measure in MEASURES}


def heading(key: str) -> str:
    """A measure's words as the heading of a column."""
    return WORDS[key][:1].upper() + WORDS[key][1:]
