"""How often the tests of an audit are wrong: the rows of `simulation.csv` whose design is nearest to the audit's own.

The rows are those of docs/statistics.md, made by `make simulate`. Every row names its own design, so that a reader sees how near it is.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from audit_assets.publication.queries.design import Design
from audit_assets.publication.words.numbers import counted, percent
from audit_assets.publication.words.table import Table, columns

SIMULATION = Path(__file__).with_name("simulation.csv")
EFFECTS = ("0.3", "0.5", "0.8")
NEAR = "0.8 | 0"
"""The case in which labels lie near to hands, and nobody is imitated."""
NAME_LEVEL, ALPHA = 0.01, 0.05
"""The levels of the two steps in the simulated audits of one artist."""
FEW = 10
"""With fewer other artists than this, the level is that of the worlds with few artists."""


@cache
def simulated() -> pd.DataFrame:
    return pd.read_csv(SIMULATION, dtype={"case": str, "test": str, "figure": str})


def nearest(cases: list[str], wanted: int) -> str:
    """Of cases that begin with a number, the one nearest to ``wanted``; the smaller of two that are as near."""
    return min(cases, key=lambda case: (abs(int(case.split()[0]) - wanted), int(case.split()[0])))


def wrongly_found(design: Design) -> Table:
    """How often each step says yes though nothing is there."""
    rows: list[tuple[str, str, str, str]] = []
    if design.names is not None and design.level is not None:
        rows.append(
            (
                "The name steers the model",
                f"{design.names} control names",
                f"at most {percent(design.level)}",
                "computed: an unknown name takes each place among the control names with equal probability",
            )
        )
    rows += (
        [_matching(design, "own_cell", design.by_own_cell), _alone(design)]
        if design.by_own_cell or design.by_name_test
        else []
    )
    if design.reassigned is not None:
        rows.append(
            (
                "Towards this artist’s works, in this very audit",
                "works of another artist in place of the artist’s",
                percent(design.reassigned),
                "measured in this audit, on its own images and works; not adjusted",
            )
        )
    return Table(
        "Found by mistake: how often each step says yes about a model that does not know the artist. “Imitated” needs yes in both steps.",
        columns("Step", "This design", "Rate", "Source"),
        [row for row in rows if row[0]],
    )


def _matching(design: Design, test: str, artists: int) -> tuple[str, str, str, str]:
    if not artists:
        return ("", "", "", "")
    found = simulated()
    worlds = found[
        (found["study"] == "level") & (found["test"] == test) & (found["figure"] == f"p <= {design.alpha:g}")
    ]
    if worlds.empty:
        return (
            "Towards this artist’s works",
            f"{design.others} other artists",
            "not simulated",
            f"no row of the simulation has the level {design.alpha:g}",
        )
    few = worlds[worlds["case"].str.startswith("5 other artists")]
    plain = few if design.others < FEW and not few.empty else worlds[worlds["case"] == "plain"]
    row = plain.iloc[0].to_dict()
    return (
        "Towards this artist’s works (own cell)",
        f"{counted(design.others, 'other artist')} with works, {counted(artists, 'artist')} tested",
        f"{_rate(row)}; in {len(worlds)} worlds that strain the assumption {percent(worlds['value'].min())} to {percent(worlds['value'].max())}",
        f"simulated, “{row['case']}”: {row['audits']:.0f} audits; promised: {percent(design.alpha, 0)}",
    )


def _alone(design: Design) -> tuple[str, str, str, str]:
    if not design.by_name_test:
        return ("", "", "", "")
    found = simulated()
    worlds = found[(found["study"] == "alone") & (found["test"] == "0")]
    row = worlds[worlds["case"] == "plain"].iloc[0].to_dict()
    return (
        "Towards this artist’s works (name test, without other artists)",
        f"{counted(design.by_name_test, 'artist')} tested",
        f"{_rate(row)}; in {len(worlds)} worlds {percent(worlds['value'].min())} to {percent(worlds['value'].max())}",
        f"simulated, “{row['case']}”: {row['audits']:.0f} audits",
    )


def missed(design: Design) -> Table:
    """How often an imitation of a given strength is found. Each row changes one number of the simulated design."""
    found = simulated()
    rows: list[tuple[str, ...]] = []
    alone = design.by_own_cell == 0

    def add(study: str, what: str, unit: str, wanted: int | None, *, simulated: int | None = None) -> None:
        own = found[(found["study"] == study) & (found["figure"] == "found")]
        cases = [c for c in own["case"].unique() if (not unit and c.isdigit()) or (unit and c.endswith(f" {unit}"))]
        if wanted is None or not cases or not (design.by_own_cell or design.by_name_test):
            return
        case = nearest(cases, wanted if simulated is None else simulated)
        rates = own[own["case"] == case].set_index("test").to_dict("index")
        rows.append((what, str(wanted), case, *(_rate(rates[e]) if e in rates else "not simulated" for e in EFFECTS)))

    # With too few other artists, the name test decides, which is simulated without any.
    add("one artist", "other artists with works", "", design.others, simulated=0 if alone else None)
    add("sizes", "works of the artist", "works", design.works.usual if design.works else None)
    add("sizes", "control names", "names", design.names.usual if design.names else None)
    add("sizes", "images per name", "images", design.images.usual if design.images else None)
    several = (
        " These are audits of one artist. In this audit of several, p-values are adjusted over all artists, so that weaker imitations are found less often."
        if design.artists > 1
        else ""
    )
    return Table(
        "Missed: how often the matching test finds an imitation that is there. Strength: the cosine between the artist’s hand and the centre of the images; 0 is none, 1 is perfect. "
        "Each row has the simulated design that is nearest to this audit in one number; the others are ten works, 199 control names, ten images and 20 other artists."
        + several,
        columns(
            "Number", "This audit", "Simulated", "Found at strength 0.3", "At 0.5", "At 0.8", number=("This audit",)
        ),
        rows,
    )


def base_rates() -> Table:
    """How many of the found are false, by how many artists are truly imitated."""
    return Table(
        "How many of those who are called imitated are called so by mistake. It depends on how many of the audited artists the model truly imitates, which no test can know, "
        "and on whether an unknown name that passes the first step by chance also passes the second. "
        "For audits of one artist each, of strength 0.5. In a list, the adjusted q-value bounds the mistakes.",
        columns(
            "Truly imitated",
            "Called by mistake, of those called imitated, if the steps are independent",
            "If the encoder knows hands by the names",
            "If each name passes the first step by itself",
        ),
        [
            tuple(percent(share, 0 if place == 0 else 1) for place, share in enumerate(row))
            for row in false_among_found(simulated())
        ],
    )


def false_among_found(found: pd.DataFrame) -> list[tuple[float, float, float, float]]:
    """(share truly imitated, and the share of false among the found in three worlds), from the rows of `simulation.csv`.

    In the second world, the labels of names lie near to the hands: an unknown name that passes identification by chance often matches too.
    """
    rows = found[(found["study"] == "base rates") & (found["figure"] == "false among found")]
    figures = rows.set_index(["case", "test"])["value"]
    both = found[(found["study"] == "both") & (found["case"] == NEAR) & (found["test"] == "unknown artists")]
    near = float(both.loc[both["figure"] == "pass and match", "value"].iloc[0])
    told = []
    for case in rows["case"].unique():
        share, independent, every = (
            float(v) for v in (case, figures[case, "1 % of names pass"], figures[case, "every name passes"])
        )
        # The share found follows from the first figure: false / (false + found).
        true = (1 - share) * NAME_LEVEL * ALPHA * (1 - independent) / independent
        told.append((share, independent, (1 - share) * near / ((1 - share) * near + true), every))
    return told


def _rate(row: Mapping[Any, Any]) -> str:
    return f"{100 * row['value']:.1f} ± {100 * row['error']:.1f} %"
