"""Draw the figure of `docs/statistics.md` from the rows of the studies."""

from pathlib import Path

import pandas as pd

from benchmarks import studies


def draw_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw no imitation by correlation, one imitated artist by effect, and artists seen by works recognised."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {"svg.hashsalt": "simulation", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
    paper = table[(table["study"] == "paper") & (table["figure"] == "p <= 0.05")]
    for test, style in (("rank sum", "--"), ("exact rank sum", ":"), ("own_cell", "-")):
        rows = paper[paper["test"] == test]
        axes[0].errorbar(
            rows["case"].astype(float), rows["value"], 2 * rows["error"], fmt=style, marker="o", ms=3, label=test
        )
    axes[0].axhline(0.05, color="0.6", lw=0.8)
    axes[0].set(
        xlabel="correlation of the images of one name (ICC)", ylabel="share of artists with p <= 0.05", ylim=(0, None)
    )
    axes[0].set_title("Nobody is imitated", loc="left")
    alone = table[table["study"] == "one artist"]
    for background in studies.BACKGROUNDS:
        rows = alone[alone["case"] == f"{background}"]
        label = "control names alone" if background == 0 else f"{background} others"
        axes[1].errorbar(rows["test"].astype(float), rows["value"], 2 * rows["error"], marker="o", ms=3, label=label)
    axes[1].axhline(0.05, color="0.6", lw=0.8)
    axes[1].set(xlabel="effect (cosine of hand and images)", ylabel="share found", ylim=(0, 1.02))
    axes[1].set_title("One artist is audited and imitated", loc="left")
    seen = table[table["study"] == "seen"].pivot_table(index="case", columns="figure", values="value")
    seen = seen.sort_values("share of works")
    axes[2].plot(seen["share of works"], seen["auditable"], marker="o", ms=3)
    axes[2].set(
        xlabel="share of the artist's works that the encoder recognises", ylabel="artists auditable", ylim=(0, 1.02)
    )
    axes[2].set_title("Could the audit have seen it?", loc="left")
    for axis in axes[:2]:
        axis.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
