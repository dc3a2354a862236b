"""What human raters say, in words and as a table beside the encoder's verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from audit_assets.measurement.answers import UNTESTED
from audit_assets.publication.words.numbers import bracket, counted, known, p_text, percent, shown
from audit_assets.publication.words.table import Table, columns

NOBODY = "No human rater was asked. `audit-assets ratings export` writes packets for raters."


def agreement(row: Mapping[str, Any] | None) -> list[str]:
    """How many raters answered and how far they agree. ``row``: of `rater_agreement`, None if no answers were imported."""
    if row is None:
        return [NOBODY]
    said = [
        f"{counted(row['packets'], 'packet')} with {counted(row['questions'], 'question')} and {counted(row['checks'], 'attention check')} each "
        f"went to human raters; {counted(row['raters'], 'rater')} answered, and {row['counted']:.0f} passed the attention checks."
    ]
    if known(row["alpha"]) is None:
        said.append(f"Their agreement could not be computed. {row['reason']}")
    else:
        said.append(
            f"Krippendorff's alpha is {row['alpha']:.2f} (95 % interval {row['low']:.2f} to {row['high']:.2f}): 1 is full agreement, 0 is that of chance."
        )
    return said


def verdicts(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The raters' answer per artist beside the encoder's."""
    return Table(
        "Which image is nearer to the artist's works, the one of the artist's name or the one of a control name? Won: questions in which most raters chose the image of "
        "the artist's name, with the 95 % interval of their share for further images of this name. Names: control names that the artist's images beat. Images of one "
        "name resemble each other, so p counts control names and not questions; it is not adjusted for the number of artists. Raters saw no names.",
        columns(
            "Artist", "Raters say", "Won", "Share (95 %)", "Names", "p", "Raters", "Encoder: towards", "Encoder: verdict", "Not tested because",
            number=("Won", "Share (95 %)", "Names", "p", "Raters"),
        ),
        [
            (
                str(row["name"]), str(row["answer"]), "–" if known(row["share"]) is None else f"{row['won']:.0f} of {row['questions']:.0f}",
                "–" if known(row["share"]) is None else percent(known(row["share"])) + bracket(known(row["low"]), known(row["high"])),
                "–" if known(row["share"]) is None else f"{row['beaten']:.0f} of {row['names']:.0f}",
                p_text(known(row["p_value"])), f"{row['raters']:.0f}", shown(row["towards"]) or "–", shown(row["verdict"]) or "–",
                f"{row['reason']} {row['settle']}" if row["answer"] == UNTESTED else "–",
            )
            for row in rows
        ],
    )  # fmt: skip


def of_artist(row: Mapping[str, Any]) -> str:
    """One sentence for the artist's page."""
    share = ""
    if known(row["share"]) is not None:
        share = f" Share {percent(known(row['share']))}{bracket(known(row['low']), known(row['high']))}."
    if row["answer"] == UNTESTED:
        return f"Human raters: could not be tested. {row['reason']}{share} What would settle it: {row['settle']}"
    return f"Human raters: {row['answer']}. {row['reason']}{share} p = {p_text(known(row['p_value']))}, {counted(row['raters'], 'rater')}."


def of_version(rows: pd.DataFrame, version: str) -> list[str]:
    """The sentence about one model version, if raters were asked about it. ``rows``: of `rater_verdicts`, of one artist."""
    own = rows[rows["model_version"] == version].to_dict("records")
    return [of_artist({str(k): v for k, v in row.items()}) for row in own]
