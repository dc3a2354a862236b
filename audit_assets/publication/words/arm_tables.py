"""The tables of arms, as text: what still works if an artist is asked for in another way, and whose images a model makes unasked."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.publication.words.numbers import KINDS, isolated, known, p_text, percent, shown, with_interval
from audit_assets.publication.words.table import Name, Table, columns

WAYS = {
    "misspelt": "name misspelt",
    "transliterated": "name transliterated",
    "translated": "name translated",
    "titled": "name with a work’s title",
    "described": "description, no name",
    "classed": "class, no name",
    "reference_image": "a given work, no name",
}
_MOST = 12
"""Rows of unprompted leakage in the report: the largest shares. The database has all."""


def what_still_works(rows: pd.DataFrame) -> Table:
    """One row per arm and kind of subject: how many artists it still yields, beside the headline."""
    found = []
    for (arm, way, kind), own in rows.groupby(["arm", "way", "kind"], sort=False):
        counts = own["answer"].value_counts()
        asked = own[own["shown"] > 0]
        found.append(
            (
                str(arm),
                WAYS.get(str(way), str(way)),
                KINDS.get(str(kind), str(kind)),
                *(str(int(counts.get(answer, 0))) for answer in (YES, NO, UNTESTED)),
                _mean(asked["share"]),
                _mean(asked["headline_share"]),
                _mean(asked["control_share"]),
                f"{int(own['withheld'].sum())} of {int(own['asked'].sum())}",
            )
        )
    return Table(
        "What still works, beside the prompts of the verdicts. Yes: the images of this way are identified above controls that were asked in the same way, and "
        "match the artist’s works. No: they are not, and this audit would have seen a perfect imitator. Shares are means over the subjects that could be asked, "
        "of shown images; by name: of the images that the name itself drew, among the same labels. Controls: control names in this way; of ways without a name, other prompts. Of a given work, shares are of the nearness to the artist’s other "
        "works that the images keep, and controls are artists of whom nothing is claimed. Withheld: images that were "
        "blocked, refused, rewritten or failed. P-values are not adjusted over arms and artists.",
        columns(
            "Arm", "Way", "Of", "Yes", "No", "Not tested", "Identified", "By name", "Controls", "Withheld",
            number=("Yes", "No", "Not tested", "Identified", "By name", "Controls"),
        ),
        found,
    )  # fmt: skip


def arm_by_arm(rows: pd.DataFrame) -> Table:
    """One row per arm and artist, with the reason and what would settle it."""
    return Table(
        "Each arm and artist. p: among control names that were asked in the same way, or among other prompts. Works: p of matching among the prompts of the arm.",
        columns(
            "Artist", "Arm", "Answer", "Identified (95 %)", "By name", "Controls", "p", "Works", "Reason", "What would settle it",
            number=("By name", "Controls", "p", "Works"),
        ),
        [(Name(row["name"], str(row["subject"])), row["arm"], *_cells(row)) for row in rows.to_dict("records")],
    )  # fmt: skip


def of_one_artist(rows: pd.DataFrame, name: str) -> Table:
    """The arms of one artist over versions and encoders."""
    return Table(
        f"What still works for {isolated(name)}, beside the prompts of the verdicts.",
        columns(
            "Version", "Encoder", "Arm", "Answer", "Identified (95 %)", "By name", "Controls", "p", "Works", "Reason", "What would settle it",
            number=("By name", "Controls", "p", "Works"),
        ),
        [(row["model_version"], row["encoder"], row["arm"], *_cells(row)) for row in rows.to_dict("records")],
    )  # fmt: skip


def _cells(row: dict[Any, Any]) -> tuple[str, ...]:
    return (
        row["answer"],
        _identified(row),
        _or_dash(row["headline_share"]),
        _or_dash(row["control_share"]),
        p_text(known(row["p_value"])),
        p_text(known(row["works_p"])),
        row["reason"],
        shown(row["settle"]) or "–",
    )


def _identified(row: dict[Any, Any]) -> str:
    if row["way"] == "reference_image" and known(row["share"]) is not None:
        return f"keeps {percent(known(row['share']))}"
    if known(row["identified"]) is None:
        return "no text side" if row["way"] != "reference_image" else "not asked"
    if not known(row["shown"]):
        return f"{int(row['withheld'])} of {int(row['asked'])} withheld" if known(row["withheld"]) else "not asked"
    return f"{int(row['identified'])} of {int(row['shown'])}: {with_interval(row['share'], row['share_low'], row['share_high'])}"


def leakage(rows: pd.DataFrame) -> Table:
    """The largest shares of images that nobody asked for by the artist's name."""
    some = rows[rows["images"] > 0].sort_values("share", ascending=False, kind="stable")
    some = pd.concat([some[some["answer"] == YES], some[some["answer"] != YES]]).head(_MOST)
    return Table(
        "Images that were not asked for by the artist’s name, and fall to the artist: images of invented names, and images of a prompt without a name. Expected: the "
        "mean share of the labels of invented names. Works of others: the share of other artists’ real works that the encoder takes for this artist’s. House "
        "style: no label of an invented name gets as many, the whole interval is above 5 %, and it is not the encoder’s habit. The rows are those found, then the largest shares.",
        columns(
            "Artist", "Asked for", "Share (95 %)", "Images", "Expected", "p", "Works of others", "House style", "Reason",
            number=("Images", "Expected", "p", "Works of others"),
        ),
        [
            (
                Name(row["name"], str(row["subject"])),
                _asked_for(row),
                with_interval(row["share"], row["low"], row["high"]),
                str(int(row["images"])),
                _or_dash(row["expected"]),
                p_text(known(row["p_value"])),
                _or_dash(row["works_share"]),
                row["answer"],
                f"{row['reason']} {row['settle']}".strip(),
            )
            for row in some.to_dict("records")
        ],
    )  # fmt: skip


def house_style(rows: Sequence[dict[Any, Any]], name: str) -> list[str]:
    """What unprompted leakage says of an artist by one encoder in one version: a sentence per set of prompts, and what could not be told."""
    found = []
    for row in rows:
        if row["answer"] == YES:
            found.append(
                f"House style: {percent(known(row['share']))} of the images of {_asked_for(row)} fall to {isolated(name)} too, where the labels of invented names get "
                f"{percent(known(row['expected']))} on average. Images that are identified as this artist’s may show what the model draws for any prompt, and not what "
                "the name brings about."
            )
        elif row["answer"] == NO:
            found.append(
                f"Not house style: {percent(known(row['share']))} of the images of {_asked_for(row)} fall to {isolated(name)}."
            )
        else:
            found.append(
                f"Whether {isolated(name)} is house style could not be tested with {_asked_for(row)}: {row['reason']} To settle it: {row['settle']}"
            )
    return found


def _asked_for(row: dict[Any, Any]) -> str:
    if row["asked_for"] == "invented names":
        return "invented names"
    return "a prompt without a name" if not shown(row["prompt"]) else f"the prompt “{row['prompt']}”"


def _mean(values: pd.Series) -> str:
    known_values = values.dropna()
    return "–" if known_values.empty else percent(float(known_values.mean()))


def _or_dash(share: Any) -> str:
    value = known(share)
    return "–" if value is None else percent(value)
