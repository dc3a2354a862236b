"""The simulation study of `docs/statistics.md`: worlds with known truth, every test, one table and one figure.

    make simulate                                    everything, some minutes on one core
    python -m benchmarks.simulation --audits 20    a quick look, at a coarser standard error

Writes `docs/simulation.csv` (every test in every world), `docs/coverage.csv` (the interval of an accuracy),
`docs/simulation.svg`, and the tables between the marks in `docs/statistics.md`. The seed is fixed: the same code gives the
same files. Exits non-zero where a test that the page recommends exceeds its level by more than two standard errors.
"""

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from audit_assets.measurement.power import accuracy_half_width, artists_for_gap, pool_for_own_rank
from audit_assets.measurement.simulation import World, imitated_worlds, interval_coverage, null_worlds, study

DOCS = Path(__file__).parent.parent / "docs"
SEED = 2023
ICCS = (0.0, 0.1, 0.3, 0.5, 0.7)
SHARES = (0.02, 0.1, 0.3, 0.5, 0.81, 0.93, 0.98)
BASE = World()
BANK = 1400
"""Background with which even the smallest of 70 p-values times 70 is below 0.05: adjustments could err, and must not."""
NAMES = {
    ("rank_sum_asymptotic", "two_sided", "bonferroni"): "paper: rank sum, two-sided, Bonferroni",
    ("rank_sum_asymptotic", "closer", "bonferroni"): "paper: rank sum, one-sided, Bonferroni",
    ("rank_sum_exact", "two_sided", "bonferroni"): "exact rank sum, two-sided, Bonferroni",
    ("rank_sum_exact", "closer", "bonferroni"): "exact rank sum, one-sided, Bonferroni",
    ("own_rank", "closer", "benjamini_hochberg"): "own rank, Benjamini-Hochberg",
    ("own_rank", "closer", "holm"): "own rank, Holm",
    ("pairing", "closer", "none"): "pairing (one global test)",
}
SHOWN = [name for name in NAMES.values() if not name.startswith("exact rank sum, two")]


def worlds() -> list[World]:
    """Nobody imitated over correlations and hubs; few artists; a genre of their own; a bank large enough for Holm; power; few
    imitated, with three banks."""
    return [
        *null_worlds(BASE, iccs=ICCS),
        *null_worlds(replace(BASE, artists=8), iccs=(0.0, 0.7), hubs=(0.0,)),
        *null_worlds(replace(BASE, genre=0.5), iccs=(0.0, 0.7), hubs=(0.0,)),
        *null_worlds(replace(BASE, background=BANK), iccs=(0.0, 0.7), hubs=(0.0,)),
        *imitated_worlds(BASE, effects=(0.1, 0.2, 0.3, 0.4, 0.6, 0.8), iccs=(0.3, 0.7), imitated=35),
        *(replace(BASE, effect=0.8, imitated=3, background=background) for background in (40, 400, BANK)),
    ]


def breaches(table: pd.DataFrame) -> list[str]:
    """Where a recommended test exceeds 5 % by more than two standard errors: its own promise, and the share of false ones.

    The standard error is the binomial one at 5 % for shares of audits, the measured one for shares of artists.
    """
    found = []
    sound = table[table["test"].isin(["own_rank", "pairing"])]
    for _, row in sound.iterrows():
        by_audit = float(np.sqrt(0.05 * 0.95 / row["audits"]))
        own_promise = {"benjamini_hochberg": "false_discoveries", "holm": "any_false", "none": "false_positives"}[
            row["adjustment"]
        ]
        errors = {"level": row["level_error"], "false_positives": row["false_positives_error"]}
        if row["test"] == "pairing":
            errors = {}
        for figure, error in (errors | {own_promise: by_audit}).items():
            if row[figure] > 0.05 + 2 * error:
                found.append(f"{row['test']} ({row['adjustment']}): {figure} {row[figure]:.3f} at ICC {row['icc']:g}")
    return found


def named(table: pd.DataFrame) -> pd.DataFrame:
    keys = zip(table["test"], table["alternative"], table["adjustment"], strict=True)
    return table.assign(name=[NAMES[key] for key in keys])


def percent(value: float, error: float | None = None) -> str:
    if np.isnan(value):
        return ""
    return f"{100 * value:.1f}" if error is None else f"{100 * value:.1f} ± {100 * error:.1f}"


def markdown(rows: list[list[str]], head: list[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def unadjusted(table: str) -> str:
    """A table of p-values before adjustment: the adjustments leave the names, and Holm's second row of own ranks."""
    kept = [line for line in table.splitlines() if "Holm" not in line]
    return "\n".join(line.replace(", Bonferroni", "").replace(", Benjamini-Hochberg", "") for line in kept)


def crossed(table: pd.DataFrame, figure: str, column: str, label: str) -> str:
    """A row a test, a column a value of ``column``: the figure in per cent with its standard error."""
    values = sorted(table[column].unique())
    rows = []
    for name in SHOWN:
        of_test = table[table["name"] == name].set_index(column)
        cells = [percent(of_test.loc[v, figure], of_test.loc[v, f"{figure}_error"]) for v in values]
        if any(cells):
            rows.append([name, *cells])
    return markdown(rows, [f"test, % ({label})", *(f"{value:g}" for value in values)])


def usual(table: pd.DataFrame) -> pd.DataFrame:
    """The worlds of 70 artists and a background of 40 in which nobody is imitated."""
    same = [table[name] == getattr(BASE, name) for name in ("artists", "background", "genre", "imitated")]
    return table[np.logical_and.reduce(same)]


def blocks(table: pd.DataFrame, coverage: pd.DataFrame) -> dict[str, str]:
    """The tables of the page by the name of their mark."""
    table = named(table)
    nobody = usual(table)
    plain, hubs = nobody[nobody["hubs"] == 0], nobody[nobody["hubs"] > 0]
    power = table[table["imitated"] == 35]
    banks = table[table["imitated"] == 3].assign(pool=lambda rows: rows["artists"] + rows["background"])
    further = [
        [name, what, percent(row["level"], row["level_error"]), percent(row["any_false"], row["any_false_error"])]
        for what, rows in (
            ("8 artists, ICC 0.7", table[(table["artists"] == 8) & (table["icc"] == 0.7)]),
            ("a genre of their own, ICC 0.7", table[(table["genre"] > 0) & (table["icc"] == 0.7)]),
            (
                f"a background of {BANK:,}, ICC 0.7",
                table[(table["background"] == BANK) & (table["imitated"] == 0) & (table["icc"] == 0.7)],
            ),
        )
        for name, row in zip(SHOWN, rows.set_index("name").loc[SHOWN].to_dict("records"), strict=True)
    ]
    return {
        "level": unadjusted(crossed(plain, "level", "icc", "p <= 0.05, by ICC")),
        "false": crossed(plain, "false_positives", "icc", "artists significant though nobody is imitated, by ICC"),
        "any": crossed(plain, "any_false", "icc", "audits with at least one such artist, by ICC"),
        "hubs": crossed(hubs, "false_positives", "icc", "the same as the second table, with hubs, by ICC"),
        "further": markdown(further, ["test", "world", "p <= 0.05, %", "audits with a false finding, %"]),
        "power": crossed(power[power["icc"] == 0.3], "power", "effect", "imitated artists found, ICC 0.3, by effect")
        + "\n\n"
        + crossed(power[power["icc"] == 0.7], "power", "effect", "the same, ICC 0.7, by effect"),
        "discoveries": crossed(
            power[power["icc"] == 0.7], "false_discoveries", "effect", "false among significant, ICC 0.7, by effect"
        ),
        "banks": crossed(banks, "power", "pool", "3 of 70 imitated, effect 0.8: found, by pool"),
        "coverage": covered(coverage, 70),
        "coverage of ten": covered(coverage, 10),
    }


def covered(coverage: pd.DataFrame, subjects: int) -> str:
    """A row a true share, a column an ICC: coverage, and in brackets that of an interval for independent images."""
    rows = coverage[coverage["subjects"] == subjects]
    clustered, apart = (
        rows.pivot_table(index="share", columns="icc", values=v) for v in ("clustered", "independent_images")
    )
    cells = [
        [f"{s:g}", *(f"{percent(clustered.loc[s, i])} ({percent(apart.loc[s, i])})" for i in clustered.columns)]
        for s in clustered.index
    ]
    return markdown(cells, [f"{subjects} x 10: accuracy; coverage in % by ICC", *(f"{i:g}" for i in clustered.columns)])


def planning() -> dict[str, str]:
    """What an audit takes, by `measurement.power`; nothing here is simulated."""
    imitated = (1, 3, 7, 20, 35, 70)
    widths = [
        [
            f"{artists} x {images}",
            *(percent(accuracy_half_width(0.81, artists=artists, images=images, icc=i)) for i in ICCS),
        ]
        for artists, images in ((20, 10), (40, 10), (70, 5), (70, 10), (70, 40), (250, 10))
    ]
    gaps = [
        [f"{images}", *(f"{artists_for_gap(0.15, 0.05, images=images, icc=i)}" for i in ICCS)] for images in (5, 10, 40)
    ]
    pools = [
        [f"{artists}"] + [f"{pool_for_own_rank(artists=artists, imitated=i):,}" for i in imitated]
        for artists in (70, 250)
    ]
    icc = [f"ICC {i:g}" for i in ICCS]
    return {
        "widths": markdown(widths, ["artists x images: points either way at 81 %", *icc]),
        "gaps": markdown(gaps, ["images an artist: artists (and as many controls) for 15 % against 5 %", *icc]),
        "pools": markdown(pools, ["artists audited: smallest pool, by how many are imitated", *map(str, imitated)]),
    }


def written_in(page: str, tables: dict[str, str]) -> str:
    """The page with every table between its marks replaced. Raises ValueError where a mark is missing."""
    for name, text in tables.items():
        places = list(re.finditer(rf"(<!-- {name} -->\n).*?(?=<!-- end -->)", page, re.DOTALL))
        if len(places) != 1:
            raise ValueError(f"docs/statistics.md must have '<!-- {name} -->' and '<!-- end -->' after it, once.")
        place = places[0]
        page = page[: place.start()] + place[1] + text + "\n" + page[place.end() :]
    return page


def draw_figure(table: pd.DataFrame, coverage: pd.DataFrame, path: Path) -> None:
    """False positives by correlation, power by effect, coverage by correlation; one panel each."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {"svg.hashsalt": "simulation", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    table = named(table)
    nobody = usual(table)
    nobody = nobody[nobody["hubs"] == 0]
    power = table[(table["imitated"] == 35) & (table["icc"] == 0.7)]
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.6), layout="constrained")
    panels = ((axes[0], nobody, "icc", "false_positives"), (axes[1], power, "effect", "power"))
    for axis, rows, column, value in panels:
        for name in SHOWN:
            line = rows[rows["name"] == name].sort_values(column)
            style = "--" if "rank sum" in name else "-"
            axis.errorbar(
                line[column], line[value], 2 * line[f"{value}_error"], fmt=style, marker="o", ms=3, label=name
            )
    axes[0].axhline(0.05, color="0.6", lw=0.8)
    axes[0].set(xlabel="correlation of one artist's imitations (ICC)", ylabel="share significant", ylim=(0, None))
    axes[0].set_title("Nobody is imitated: false findings", loc="left")
    axes[1].set(xlabel="effect (cosine of hand and imitations)", ylabel="share found", ylim=(0, 1.02))
    axes[1].set_title("35 of 70 are imitated, ICC 0.7: found", loc="left")
    for column, style, label in (
        ("clustered", "-", "with design effect"),
        ("independent_images", "--", "images taken as independent"),
    ):
        usual_shares = coverage[coverage["share"].between(0.3, 0.93) & (coverage["subjects"] == BASE.artists)]
        mean = usual_shares.groupby("icc")[column].mean()
        axes[2].plot(mean.index, mean, style, marker="o", ms=3, label=label)
    axes[2].axhline(0.95, color="0.6", lw=0.8)
    axes[2].set(xlabel="ICC", ylabel="truth within the 95 % interval", ylim=(0, 1.02))
    axes[2].set_title("Interval of an accuracy, 70 x 10", loc="left")
    axes[2].legend(frameon=False, loc="lower left")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audits", type=int, default=600, help="audits drawn in every world")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder with statistics.md")
    chosen = parser.parse_args()
    # Rounded before anything is drawn or written, so that the page follows from the stored table to the last digit.
    table = study(worlds(), audits=chosen.audits, seed=SEED).round(6)
    coverage = pd.concat(
        [
            interval_coverage(SHARES, ICCS, subjects=subjects, images=10, audits=5 * chosen.audits, seed=SEED)
            for subjects in (70, 10)
        ]
    )
    table.to_csv(chosen.output / "simulation.csv", index=False)
    coverage.to_csv(chosen.output / "coverage.csv", index=False)
    draw_figure(table, coverage, chosen.output / "simulation.svg")
    page = chosen.output / "statistics.md"
    page.write_text(
        written_in(page.read_text(encoding="utf-8"), blocks(table, coverage) | planning()), encoding="utf-8"
    )
    found = breaches(table)
    print("\n".join(found) or "Every test that is recommended keeps its level in every world.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
