"""Run the simulation study of `docs/statistics.md`: audits of known truth, every rule, two tables and one figure.

    make simulate                                   everything, in less than a quarter of an hour on two cores
    python -m benchmarks.simulation --audits 20     a quick look, with a larger standard error

Writes `docs/simulation.csv` (one row per study, case, test and figure; `benchmarks.studies` says what they are),
`docs/coverage.csv` (the interval of an accuracy), `docs/simulation.svg`, and the tables between the marks in
`docs/statistics.md`. The seed is fixed: the same code gives the same files. Exits with 1 if a rule breaks a promise by
more than three standard errors.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, fields
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from audit_assets.measurement import (
    auditability,
    copy_detection,
    leakage,
    name_controls,
    near_copies,
    own_cell,
    own_cell_companions,
    perfect_imitator,
    ratings,
    similarities,
    studentized,
    versions,
)
from audit_assets.measurement.power import accuracy_half_width
from audit_assets.publication.words.reliability import false_among_found
from benchmarks import arm_studies, both_experiments, further_studies, limit_studies, studies
from benchmarks.simulation_figure import draw_figure
from benchmarks.studies import Row

DOCS = Path(__file__).parent.parent / "docs"
SEED = 2023
ICCS = studies.ICCS
SHARES = (0.02, 0.1, 0.3, 0.5, 0.81, 0.93, 0.98)
STUDIES = (
    studies.STUDIES | further_studies.STUDIES | limit_studies.STUDIES | arm_studies.STUDIES | both_experiments.STUDIES
)
LIMITS: Sequence[tuple[str, float, str]] = (
    ("other names with images for `own_cell`", own_cell.FEWEST_COLUMNS, "own_cell.FEWEST_COLUMNS"),
    ("other artists with works for `own_cell`", own_cell.FEWEST_ROWS, "own_cell.FEWEST_ROWS"),
    ("share of other artists left out of a column's scale", studentized.TRIMMED, "studentized.TRIMMED"),
    ("control names for the name test", own_cell_companions.FEWEST_NAMES, "own_cell_companions.FEWEST_NAMES"),
    ("shown images of a name in matching", similarities.FEWEST_IMAGES, "similarities.FEWEST_IMAGES"),
    ("shown images of a name in identification", name_controls.FEWEST_SHOWN, "name_controls.FEWEST_SHOWN"),
    ("level of identification", name_controls.LEVEL, "name_controls.LEVEL"),
    ("control names of a stratum for identification", name_controls.FEWEST_NAMES, "name_controls.FEWEST_NAMES"),
    ("independent works for the perfect imitator", perfect_imitator.FEWEST_WORKS, "perfect_imitator.FEWEST_WORKS"),
    ("splits of the perfect imitator", perfect_imitator.SPLITS, "perfect_imitator.SPLITS"),
    ("cosine of near-identical works", near_copies.THRESHOLD, "near_copies.THRESHOLD"),
    ("correlation of their pixels", near_copies.PIXELS, "near_copies.PIXELS"),
    ("share of false near copies of works", copy_detection.RATE, "copy_detection.RATE"),
    ("least score of a near copy", copy_detection.LEAST_SCORE, "copy_detection.LEAST_SCORE"),
    ("least similarity of a near copy", copy_detection.LEAST_SIMILARITY, "copy_detection.LEAST_SIMILARITY"),
    ("raters who pass their attention checks", ratings.FEWEST_RATERS, "ratings.FEWEST_RATERS"),
    ("control names beside an artist in questions to raters", ratings.FEWEST_NAMES, "ratings.FEWEST_NAMES"),
    ("share of attention checks that a rater may miss", ratings.MISSED_CHECKS, "ratings.MISSED_CHECKS"),
    ("works for a gap between two artists", auditability.FEWEST_WORKS, "auditability.FEWEST_WORKS"),
    ("share of unprompted images above which an artist is house style", leakage.HOUSE_STYLE, "leakage.HOUSE_STYLE"),
    ("versions for a trend", versions.FEWEST_FOR_TREND, "versions.FEWEST_FOR_TREND"),
)


def draw_all(audits: int, *, processes: int = 2) -> pd.DataFrame:
    """Run all studies, two at a time, and return study, case, test, figure, value, error, audits."""
    with ProcessPoolExecutor(processes) as pool:
        found = list(pool.map(_study, STUDIES, [audits] * len(STUDIES)))
    columns = [field.name for field in fields(Row)]
    return pd.DataFrame([row for rows in found for row in rows], columns=columns)


def _study(name: str, audits: int) -> list[tuple[object, ...]]:
    return [astuple(row) for row in STUDIES[name](audits, SEED)]


PROMISES: Sequence[tuple[str, str | None, str, str, float]] = (
    ("level", None, "own_cell", "p <= 0.05", 0.05),
    ("level", None, "name_test", "p <= 0.05", 0.05),
    ("level", None, "own_rank", "p <= 0.05", 0.05),
    ("origins", None, "own origin", "p <= 0.05", 0.05),
    ("names", None, "own origin", "false_pass", 0.01),
    ("one artist", None, "0", "found", 0.05),
    ("alone", None, "0", "found", 0.05),
    ("roster", None, "the rule", "false among found", 0.05),
    ("roster", None, "the rule", "false of artists", 0.01),
    ("orders", None, "the rule", "false among found", 0.05),
    ("both", None, "all adjusted together", "false among found", 0.05),
    ("both", None, "unknown artists", "pass", 0.01),
    ("both", None, "at least m", "above the truth", 0.05),
    ("roster", None, "at least m", "above the truth", 0.05),
    ("seen", "0", "perfect imitator", "auditable", 0.05),
    ("gap", None, "perfect imitator", "auditable", 0.05),
    ("series", None, "series declared", "auditable", 0.05),
    ("copies", None, "copies count once", "auditable", 0.05),
    ("contaminated", None, "left out", "p <= 0.05", 0.05),
    ("twins", None, "other twin", "p <= 0.05", 0.05),
    ("copies called", None, "threshold", "called copies", 0.01),
    ("copies called", "199 names, 10 images, 0", "threshold", "above 1 %", 0.05),
    ("versions", "0 | 0", "difference in differences", "p <= 0.05", 0.05),
    ("versions", "0 | 0.1", "difference in differences", "p <= 0.05", 0.05),
    ("equivalence", None, "equivalence", "claimed at its margin", 0.05),
    ("trend", None, "trend", "p <= 0.05", 0.05),
    ("paper", None, "own_cell", "p <= 0.05", 0.05),
    ("other prompts", None, "nearness 0", "passes", 0.02),
    ("leakage", "0 %", "the artist", "called house style", 0.0),
    ("leakage", "5 %", "the artist", "called house style", 0.025),
    ("leakage", "0 %, some labels are near to everything", "the artist", "called house style", 0.01),
    ("leakage", "0 %, the encoder prefers one artist's label", "the artist", "called house style", 0.05),
    ("leakage", None, "other artists", "called house style", 0.01),
)
"""Study, case (None: all), test, figure, and the most that it may be."""


def breaches(table: pd.DataFrame) -> list[str]:
    """List figures that exceed a promise by over three standard errors. Raise ValueError if a promise has no row."""
    found = []
    for study, case, test, figure, most in PROMISES:
        rows = table[(table["study"] == study) & (table["test"] == test) & (table["figure"] == figure)]
        rows = rows if case is None else rows[rows["case"] == case]
        if rows.empty:
            raise ValueError(
                f"No row of {study}, {case}, {test}, {figure}; the studies no longer draw what is promised."
            )
        for name, value, error in zip(rows["case"], rows["value"], rows["error"].fillna(0.0), strict=True):
            if value > most + 3 * error:
                found.append(f"{study}, {name}, {test}: {figure} is {value:.3f}, and {most} is promised")
    return found


def percent(value: float, error: float | None = None) -> str:
    if np.isnan(value):
        return "not tested"
    return f"{100 * value:.1f}" if error is None or np.isnan(error) else f"{100 * value:.1f} ± {100 * error:.1f}"


def markdown(rows: list[list[str]], head: list[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Page:
    """The tables of the page, read from the rows of the studies."""

    def __init__(self, table: pd.DataFrame) -> None:
        keys = zip(table["study"], table["case"], table["test"], table["figure"], strict=True)
        self.values = dict(zip(keys, zip(table["value"], table["error"], table["audits"], strict=True), strict=True))

    def value(self, study: str, case: str, test: str, figure: str) -> float:
        return float(self.values[study, case, test, figure][0])

    def cell(self, study: str, case: str, test: str, figure: str) -> str:
        value, error, _ = self.values[study, case, test, figure]
        return percent(float(value), float(error))

    def cases(self, study: str) -> list[str]:
        return list(dict.fromkeys(key[1] for key in self.values if key[0] == study))

    def audits(self, study: str) -> str:
        """Return the smallest and the largest number of audits that were drawn per case of a study."""
        counts = sorted({int(value[2]) for key, value in self.values.items() if key[0] == study and value[2] > 0})
        return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"

    def crossed(
        self,
        study: str,
        cases: Sequence[str],
        columns: Sequence[tuple[str, str, str]],
        head: str,
        *,
        label: Callable[[str], str] = str,
    ) -> str:
        """Make a table with one row per case and one column per (head, test, figure)."""
        rows = [[label(c), *(self.cell(study, c, test, figure) for _, test, figure in columns)] for c in cases]
        text = markdown(rows, [head, *(name for name, _, _ in columns)])
        return f"{text}\n\nIn %, ± one standard error; {self.audits(study)} audits drawn per row."


def blocks(table: pd.DataFrame, coverage: pd.DataFrame) -> dict[str, str]:
    """Return the tables of the page by the name of their mark."""
    page = Page(table)
    effects = [f"{e:g}" for e in studies.EFFECTS]
    test_names = ("own_cell", "name_test", "own_rank")
    deciding, last = "the rule", "removed afterwards"
    sizes = page.cases("sizes")
    version_cases = page.cases("versions")
    alike = page.cases("seen")
    return {
        "limits": markdown([[what, f"{value:g}", f"`{name}`"] for what, value, name in LIMITS], ["limit", "value", "constant"]),
        "level": page.crossed(
            "level", list(studies.level_worlds()), [(f"{t}: p <= {x}", t, f"p <= {x}") for t in test_names for x in ("0.05", "0.01")],
            "nobody is imitated",
        ),
        "origins": page.crossed(
            "origins", [f"{n}" for n in studies.ORIGINS],
            [("own origin (the rule)", "own origin", "p <= 0.05"), ("names of all origins", "all origins together", "p <= 0.05"),
             ("names of one origin only", "one origin only", "p <= 0.05")],
            "matching, nobody imitated, by origins: p <= 0.05",
        ),
        "names": page.crossed(
            "names", [f"{n} origins" for n in studies.ORIGINS],
            [("own origin (the rule)", "own origin", "false_pass"), ("names of one origin only", "one origin only", "false_pass"),
             ("images identified by the cue alone", "one origin only", "identified_unknown")],
            "identification, nobody known to the model: artists who pass",
        ),
        "names power": page.crossed(
            "names", ["49 names", "70 names", "99 names", "199 names"],
            [(f"effect {e}", f"effect {e}", "power") for e in ("0.2", "0.3", "0.5", "0.8")]
            + [("6 to 10 images, 10 % blank: pass", "unequal numbers of images", "false_pass"),
               ("of these, not tested", "unequal numbers of images", "untested")],
            "identified above control names",
        ),
        "one artist": page.crossed(
            "one artist", [f"{b}" for b in studies.BACKGROUNDS], [(f"effect {e}", e, "found") for e in effects],
            "background artists (0: control names alone)",
        ),
        "alone": alone(page),
        "sizes": page.crossed("sizes", sizes, [(f"effect {e}", e, "found") for e in ("0.3", "0.5", "0.8")], "one artist, else 10 works, 199 names, 10 images, 20 others"),
        "roster": page.crossed(
            "roster", [f"{n}" for n in studies.IMITATED],
            [("found, of those who pass", deciding, "found"), ("all who pass found", deciding, "all found"), ("false among found", deciding, "false among found"),
             ("artists called wrongly", deciding, "false of artists"), ("pairing: p <= 0.05", "pairing", "p <= 0.05")],
            "imitated of 70 (effect 0.8)",
        ),
        "adjusting": page.crossed(
            "roster", [f"{n}" for n in studies.IMITATED],
            [("the rule: found, of those who pass", deciding, "found"), ("false among found", deciding, "false among found"), ("removed afterwards: found, of those who pass", last, "found"),
             ("false among found", last, "false among found"), ("no text: found", "no text", "found"), ("false among found", "no text", "false among found")],
            "imitated of 70 (effect 0.8)",
        ),
        "orders": page.crossed(
            "orders", page.cases("orders"),
            [("the rule: false among found", deciding, "false among found"), ("removed afterwards: false among found", last, "false among found")],
            "imitated of 70, of whom a fifth pass identification",
        ),
        "at least": markdown(
            [[f"{n}", page.cell("roster", f"{n}", "at least m", "above the truth"), f"{page.value('roster', str(n), 'at least m', 'mean m'):.1f}"]
             for n in studies.IMITATED],
            ["imitated of 70", "audits with m above the truth, %", "mean m"],
        ),
        "base rates": base_rates(table),
        "seen": page.crossed(
            "seen", alike, [("works recognised", "recognised", "share of works"), ("artists auditable", "perfect imitator", "auditable")],
            "correlation of two works of one artist",
        ),
        "gap": page.crossed(
            "gap", page.cases("gap"),
            [("beside 29 others: auditable (the rule)", "perfect imitator", "auditable"), ("alone: half of the works match the others (not asked)", "without other artists", "matched")],
            "length of the direction that works of all artists share; their works share nothing else",
        ),
        "seen by works": page.crossed("seen by works", ["6", "8", "10", "20"], [("auditable", "perfect imitator", "auditable")], "works of the artist"),
        "relatives": page.crossed(
            "relatives", ["0", "1", "2", "4", "8"], [("imitated (effect 0.8): found", "own_cell", "found"), ("auditable", "perfect imitator", "auditable")],
            "artists who paint like the audited one, beside 20 others",
        ),
        "dependent": dependent(page),
        "versions": page.crossed(
            "versions", version_cases,
            [("difference in differences", "difference in differences", "p <= 0.05"), ("the group alone", "the group alone, before and after", "p <= 0.05"),
             ("`changed` names someone by retraining alone", "changed", "someone is named though only retraining moved")],
            "effect on the ten opted out; movement by retraining", label=lambda case: case.replace(" | ", "; "),
        ),
        "equivalence": markdown(
            [[f"equivalence, {c}", page.cell("equivalence", c, "equivalence", "claimed at its margin")] for c in ("all move alike", "one artist in ten moves")]
            + [[f"trend over {n} versions, random shifts", page.cell("trend", f"{n} versions", "trend", "p <= 0.05")] for n in (7, 10)],
            ["nothing to find: 5 % is promised", "claimed, %"],
        ),
        "intervals": intervals(page),
        "paper": page.crossed(
            "paper", [f"{i:g}" for i in ICCS],
            [("rank sum: significant", "rank sum", "significant"), ("exact rank sum: significant", "exact rank sum", "significant"),
             ("rank sum: p <= 0.05", "rank sum", "p <= 0.05"), ("own_cell: p <= 0.05", "own_cell", "p <= 0.05"), ("own_cell: significant", "own_cell", "significant")],
            "nobody imitated, by correlation of images (ICC)",
        ),
        "forks": markdown(
            [[f"{k}", percent(1 - 0.95**k)] for k in (1, 2, 4, 8, 16)], ["independent choices, the best one quoted", "p <= 0.05 without any imitation, %"]
        ),
        "copies called": page.crossed(
            "copies called", page.cases("copies called"),
            [("called copies, on average", "threshold", "called copies"), ("audits in which it is more than 1 %", "threshold", "above 1 %")],
            "control names, images of each, and correlation of their scores",
        ),
        "few names": page.crossed(
            "few names", page.cases("few names"), [("plain", "plain", "p <= 0.05"), ("loud names", "loud names", "p <= 0.05")],
            "other names; nobody imitated, p <= 0.05",
        ),
        "few artists": page.crossed(
            "few artists", page.cases("few artists"),
            [("plain: p <= 0.05", "plain", "p <= 0.05"), ("loud names: p <= 0.05", "loud names", "p <= 0.05"), ("imitated, effect 0.8: found", "plain", "found")],
            "other artists",
        ),
        "trimmed": page.crossed(
            "trimmed", page.cases("trimmed"),
            [("nobody imitated: p <= 0.05", "nobody imitated", "p <= 0.05"), ("effect 0.5: found", "effect 0.5", "found"),
             ("effect 0.8, 4 of 20 others paint alike: found", "effect 0.8, four paint alike", "found")],
            "share left out of a column's scale",
        ),
        "imitator": page.crossed(
            "imitator works", page.cases("imitator works"),
            [("unrecognised works: auditable", "0", "auditable"), ("recognised in a third: auditable", "0.1", "auditable"),
             ("recognised in most: auditable", "0.3", "auditable")],
            "works of the artist",
        ),
        "splits": page.crossed("imitator splits", page.cases("imitator splits"), [("two seeds give two answers", "two seeds", "differ")], "splits, at the limit of what is seen"),
        "other prompts": page.crossed(
            "other prompts", page.cases("other prompts"),
            [("described like any other", "nearness 0", "passes"), ("cosine 0.2 to the label", "nearness 0.2", "passes"),
             ("cosine 0.4 to the label", "nearness 0.4", "passes")],
            "the model knows no artist: descriptions that pass",
        ),
        "leakage": page.crossed(
            "leakage", page.cases("leakage"),
            [("called house style", "the artist", "called house style"), ("not tested", "the artist", "not tested"),
             ("another artist is called", "other artists", "called house style")],
            "unprompted images that truly fall to one of 10 artists",
        ),
        "both": page.crossed(
            "both", page.cases("both"),
            [("unknown artists who pass", "unknown artists", "pass"), ("of these, p <= 0.05 in matching", "unknown artists", "match if they pass"),
             ("all adjusted together: false among found", "all adjusted together", "false among found"), ("found, of those who pass", "all adjusted together", "found"),
             ("only those who passed: false among found", "only those that pass", "false among found"), ("found, of those who pass", "only those that pass", "found")],
            "cosine of label and hand; imitated of 70", label=lambda case: case.replace(" | ", "; "),
        ),
        "genre": page.crossed(
            "genre", page.cases("genre"), [("`own_cell`: p <= 0.05", "own_cell", "p <= 0.05"), ("own rank among peers: first place", "own rank among peers", "first")],
            "artists of the genre among the 20 others",
        ),
        "common shift": page.crossed(
            "common shift", page.cases("common shift"), [("points: p <= 0.05", "points", "p <= 0.05"), ("log odds: p <= 0.05", "log odds", "p <= 0.05"), ("`moved`", "moved", "both")],
            "share of the group; of the others; common movement in log odds", label=lambda case: case.replace(" | ", "; "),
        ),
        "coverage": covered(coverage, 70),
        "coverage of ten": covered(coverage, 10),
        "widths": widths(),
    }  # fmt: skip


def alone(page: Page) -> str:
    rows = [
        [case, *(page.cell("alone", case, e, "found") for e in ("0", "0.3", "0.5", "0.8")), *(page.cell("with others", case, e, "found") for e in ("0.5", "0.8"))]
        for case in page.cases("alone")
    ]  # fmt: skip
    head = [
        "one artist, p <= 0.05",
        *(f"names alone, effect {e}" for e in ("0 (nobody)", "0.3", "0.5", "0.8")),
        "`own_cell` with 20 others, 0.5",
        "0.8",
    ]
    return f"{markdown(rows, head)}\n\nIn %, ± one standard error; {page.audits('alone')} audits drawn per cell."


def base_rates(table: pd.DataFrame) -> str:
    rows = [[f"{100 * share:g} %", *map(percent, rest)] for share, *rest in false_among_found(table)]
    return markdown(
        rows,
        ["truly imitated, of artists audited one by one", "false among `imitated`, %", "if labels are near to hands, %", "if each name passes identification by itself, %"],
    )  # fmt: skip


def dependent(page: Page) -> str:
    series, copies = "8 series of 5, unrecognised", "6 works, 5 copies each, unrecognised"
    lines = [
        ("8 series of 5 works, `series` declared: auditable", page.cell("series", series, "series declared", "auditable")),
        ("the same, not declared: auditable", page.cell("series", series, "series not declared", "auditable")),
        ("6 works in 5 copies each, copies count once: auditable", page.cell("copies", copies, "copies count once", "auditable")),
        ("the same, each copy counted: auditable", page.cell("copies", copies, "copies count each", "auditable")),
        *(
            (f"{n} of 10 works are images of the model, {what}: p <= 0.05", page.cell("contaminated", f"{n} of 10 works", test, "p <= 0.05"))
            for n in (1, 3)
            for what, test in (("kept", "kept"), ("found and left out", "left out"))
        ),
        ("two artists of one hand, one imitated: the imitated one, p <= 0.05", page.cell("twins", "one hand", "imitated twin", "p <= 0.05")),
        ("the other one (its name draws other images), p <= 0.05", page.cell("twins", "one hand", "other twin", "p <= 0.05")),
        ("the other one is listed as confusable", page.cell("twins", "one hand", "confusable", "other twin listed")),
    ]  # fmt: skip
    return markdown([list(line) for line in lines], ["nobody imitated, unless the line says so", "%"])


def intervals(page: Page) -> str:
    rows = [
        [
            f"gap to control names, {n} artists",
            page.cell("intervals", f"gap, {n} artists", "gap_of_artists", "holds"),
            "",
        ]
        for n in (3, 5, 10, 25)
    ]
    for n in (5, 10, 70):
        case = f"ratio, {n} artists"
        ratios = [page.value("intervals", case, t, "mean ratio") for t in ("ratio_to_real_works", "pooled over images")]
        rows.append([f"ratio to real works, {n} artists", page.cell("intervals", case, "ratio_to_real_works", "holds"),
                     f"true ratio 0.75; mean of the estimate {ratios[0]:.2f}, pooled over images {ratios[1]:.2f}"])  # fmt: skip
    for n in (4, 10, 20):
        case = f"accuracy, {n} schools of 60 artists"
        alone = page.cell("intervals", case, "wilson_clustered", "holds")
        rows.append(
            [
                f"accuracy, {n} schools",
                page.cell("intervals", case, "accuracy_by_school", "holds"),
                f"interval over artists: {alone}",
            ]
        )
    return markdown(rows, ["95 % interval", "holds the truth, %", "beside it"])


def covered(coverage: pd.DataFrame, subjects: int) -> str:
    """Make one row per true share and one column per ICC.

    A cell has the coverage, and in brackets the coverage of an interval for independent images.
    """
    rows = coverage[coverage["subjects"] == subjects]
    clustered, apart = (
        rows.pivot_table(index="share", columns="icc", values=v) for v in ("clustered", "independent_images")
    )
    cells = [
        [f"{s:g}", *(f"{percent(clustered.loc[s, i])} ({percent(apart.loc[s, i])})" for i in clustered.columns)]
        for s in clustered.index
    ]
    head = [f"{subjects} x 10: accuracy; coverage in % by ICC", *(f"{i:g}" for i in clustered.columns)]
    return f"{markdown(cells, head)}\n\n{int(rows['audits'].iloc[0]):,} audits drawn per cell."


def widths() -> str:
    """Make the table of an accuracy's interval widths by `measurement.power`; they are computed, not simulated."""
    sizes = ((20, 10), (40, 10), (70, 5), (70, 10), (70, 40), (250, 10))
    rows = [
        [f"{artists} x {images}", *(percent(accuracy_half_width(0.81, artists=artists, images=images, icc=i)) for i in ICCS)]
        for artists, images in sizes
    ]  # fmt: skip
    return markdown(rows, ["artists x images: points either way at 81 %", *(f"ICC {i:g}" for i in ICCS)])


def written_in(page: str, tables: dict[str, str]) -> str:
    """Return the page with every table between its marks replaced. Raise ValueError if a mark is missing."""
    for name, text in tables.items():
        places = list(re.finditer(rf"(<!-- {name} -->\n).*?(?=<!-- end -->)", page, re.DOTALL))
        if len(places) != 1:
            raise ValueError(f"docs/statistics.md must have '<!-- {name} -->' and '<!-- end -->' after it, once.")
        place = places[0]
        page = page[: place.start()] + place[1] + text + "\n" + page[place.end() :]
    return page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--audits", type=int, default=300, help="audits per case; levels twice as often, rosters less often"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=DOCS, help="folder with statistics.md")
    chosen = parser.parse_args()
    # Values are rounded before drawing and writing, so that the page follows from the stored table to the last digit.
    table = draw_all(chosen.audits, processes=chosen.processes).round(6)
    coverage = pd.concat(
        [
            further_studies.coverage(SHARES, ICCS, subjects=subjects, images=10, audits=3 * chosen.audits, seed=SEED)
            for subjects in (70, 10)
        ]
    )
    table.to_csv(chosen.output / "simulation.csv", index=False)
    coverage.to_csv(chosen.output / "coverage.csv", index=False)
    draw_figure(table, chosen.output / "simulation.svg")
    page = chosen.output / "statistics.md"
    page.write_text(written_in(page.read_text(encoding="utf-8"), blocks(table, coverage)), encoding="utf-8")
    found = breaches(table)
    print("\n".join(found) or "Every rule keeps its promise in every world.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
