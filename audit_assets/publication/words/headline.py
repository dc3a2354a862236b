"""The headline: each of ``measures.MEASURES`` as text, this audit's figure beside that of Casper et al. (2023).

The command line prints it, the report and the index show it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.queries import matching
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words.measures import MEASURES
from audit_assets.publication.words.numbers import (
    NOT_MEASURED,
    bracket,
    count,
    isolated,
    known,
    p_with_floor,
    percent,
    points,
    subjects_counted,
    with_interval,
)
from audit_assets.publication.words.verdicts import three_answers

OF_NAMES = ("random_images", "recombined_images", "chance", "above_controls")
"""Keys of the measures that an audit of one artist shows too."""
COLUMNS = ("measure", "this_audit", "paper", "level")


def chosen(
    connection: duckdb.DuckDBPyConnection, model_version: str, encoder: str | None = None, protocol: str | None = None
) -> ModelResults:
    """``encoder``: by default the primary one of the audit; ``protocol``: by default ``paper_2023``.

    Raises InputError for an unknown model version, encoder or protocol.
    """
    read.model_version_row(connection, model_version)
    found = read.primary_protocol(connection, model_version, protocol)
    return ModelResults(connection, found, model_version, read.primary_encoder(connection, encoder))


def paper_comparison(
    database: Path, model_version: str, encoder: str | None = None, protocol: str | None = None
) -> pd.DataFrame:
    """The headline: columns measure, this_audit, paper, level; all text, ready to print.

    A figure that was not measured says so. Raises InputError as ``chosen`` does.
    """
    with read.opened(database) as connection:
        return comparison(chosen(connection, model_version, encoder, protocol))


def comparison(results: ModelResults) -> pd.DataFrame:
    """``paper_comparison`` of one selection."""
    if (artist := read.only_artist(results.connection)) is not None:
        return pd.DataFrame(of_one_artist(results, artist), columns=list(COLUMNS))
    found = figures(results)
    return pd.DataFrame([(m.words, found[m.key], m.paper, m.counted_by) for m in MEASURES], columns=list(COLUMNS))


def of_one_artist(results: ModelResults, artist: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """Rows of the headline in an audit of one artist: no row counts artists."""
    own = results.verdicts_by_artist()
    own = own[own["subject"] == artist["subject"]]
    row = None if own.empty else own.iloc[0].to_dict()
    asked = results.answers()
    answers = asked[asked["subject"] == artist["subject"]].to_dict("records")
    name, done = isolated(artist["name"]), "not done"
    rows = [(f"verdict on {name}", NOT_MEASURED if row is None else str(row["verdict"]), done, "artist")]
    if row is not None:
        figures_of = {**row, "p_value": row["matching_p"]}
        rows += [
            (a.question, a.answer if a.number == "–" else f"{a.answer} ({a.number})", done, "artist")
            for a in three_answers(answers, figures_of)
        ]
    found = figures(results)
    rows += [(f"real works of {name} identified", found["real_works"], done, "work")]
    return rows + [(m.words, found[m.key], m.paper, m.counted_by) for m in MEASURES if m.key in OF_NAMES]


def figures(results: ModelResults) -> dict[str, str]:
    """Key of each of ``MEASURES`` -> its figure as text. A figure that was not measured says so."""
    return _identification(results) | _paper_test(results) | _corrected(results)


def _identification(results: ModelResults) -> dict[str, str]:
    summary = results.identification_summary()
    artists = summary_row(summary, results.labels("criteria"), "artist")
    random = summary_row(summary, results.labels("random_names"), "random_name", shares_name_parts=False)
    recombined = summary_row(summary, results.labels("recombined_names"), "random_name", shares_name_parts=True)
    return {
        "artists_images": images(artists),
        "artists_plurality": subjects(artists),
        "random_images": images(random),
        "random_plurality": subjects(random),
        "chance": NOT_MEASURED if artists is None else percent(known(artists["chance"])),
        "untrained_images": images(summary_row(summary, "joint", "untrained_artist")),
        "recombined_images": images(recombined),
        "real_works": real_works(results),
    }


def _paper_test(results: ModelResults) -> dict[str, str]:
    tests = matching.paper_test(results)
    return {
        "paper_two_sided": paper_test(tests, "two_sided", "none"),
        "paper_closer": paper_test(tests, "closer", "none"),
        "paper_two_sided_reassigned": paper_test(tests, "two_sided", "reassigned"),
        "paper_closer_reassigned": paper_test(tests, "closer", "reassigned"),
    }


def _corrected(results: ModelResults) -> dict[str, str]:
    """The same questions by statistics that keep their level. The paper has none of these."""
    gaps = results.contrasts()
    random = gaps[(gaps["contrast"] == "gap") & (gaps["control_label_set"] == "random_names")]
    ratio = gaps[gaps["contrast"] == "ratio_to_real_works"]
    own = own_cell_row(results)
    pairing = matching.pairing(results)
    pairing = pairing[pairing["encoder"] == results.encoder]
    counts = results.verdict_counts()
    counts = counts[counts["encoder"] == results.encoder]
    unlike = ~counts["shares_name_parts"].astype("boolean").fillna(True).astype(bool)
    names = counts[(counts["kind"] == "random_name") & unlike]
    interval = ["estimate", "low", "high"]
    return {
        "gap": NOT_MEASURED if random.empty else points(*random.iloc[0][interval]),
        "ratio": NOT_MEASURED if ratio.empty else with_interval(*ratio.iloc[0][interval]),
        "own_cell": NOT_MEASURED if own is None else subjects_counted(own["significant"], own["subjects"]),
        "own_cell_reassigned": NOT_MEASURED if own is None else percent(known(own["reassigned"])),
        "pairing": paired(pairing, "pairing"),
        "pairing_within_peers": paired(pairing, "pairing_within_peers"),
        "at_least": at_least(matching.roster(results)),
        "imitated": verdict(counts[counts["kind"] == "artist"], "imitated"),
        "above_controls": verdict(names, "identified above controls"),
    }


def summary_row(
    summary: pd.DataFrame, label_set: str, kind: str, *, shares_name_parts: bool | None = None
) -> dict[str, Any] | None:
    """One row of `identification_summary` as a mapping, None if it does not exist."""
    found = summary[(summary["label_set"] == label_set) & (summary["kind"] == kind)]
    if shares_name_parts is not None:
        found = found[found["shares_name_parts"].astype("boolean").fillna(False) == shares_name_parts]
    return None if found.empty else {str(key): value for key, value in found.iloc[0].to_dict().items()}


def images(row: Mapping[Any, Any] | None) -> str:
    """The share of images identified, with its interval."""
    if row is None:
        return NOT_MEASURED
    return with_interval(row["image_accuracy"], row["image_accuracy_low"], row["image_accuracy_high"])


def subjects(row: Mapping[Any, Any] | None) -> str:
    """The number of subjects that win a plurality, with the interval of their share."""
    if row is None or known(row["subjects_correct"]) is None:
        return NOT_MEASURED
    interval = bracket(known(row["subjects_correct_low"]), known(row["subjects_correct_high"]))
    return f"{count(row['subjects_correct'], row['subjects'])}{interval}"


def paper_test(summary: pd.DataFrame, alternative: str, control: str) -> str:
    """The paper's test. It has no interval, since the test does not keep its level."""
    found = summary[(summary["alternative"] == alternative) & (summary["control"] == control)]
    if found.empty or not found["subjects"].iloc[0]:
        return NOT_MEASURED
    row = found.iloc[0]
    if control == "none" or known(row["significant"]) is None:
        return count(row["significant"], row["subjects"])
    if row["subjects"] == 1:
        return percent(known(row["share"]))
    return f"{row['significant']:.1f} / {row['subjects']:.0f} = {percent(known(row['share']))}"


def real_works(results: ModelResults) -> str:
    """The positive control."""
    found = results.real_work_accuracy()
    return NOT_MEASURED if found.empty else count(found["correct"].iloc[0], found["real_works"].iloc[0])


def own_cell_row(results: ModelResults) -> dict[Any, Any] | None:
    """The corrected test of the headline, not adjusted, so that its share with re-assigned works is near its level."""
    tests = matching.tests(results)
    own = tests[(tests["encoder"] == results.encoder) & (tests["test"] == "own_cell")]
    return None if own.empty else dict(own.iloc[0].to_dict())


def paired(pairing: pd.DataFrame, test: str) -> str:
    """p of the test of all artists together, or why it could not be tested."""
    found = pairing[pairing["test"] == test]
    if found.empty:
        return NOT_MEASURED
    row = found.iloc[0].to_dict()
    return f"could not be tested: {row['reason']}" if known(row["p_value"]) is None else p_with_floor(row)


def paired_words(row: Mapping[Any, Any]) -> str:
    """One row of `ModelResults.pairing`: p, or why it could not be tested."""
    return f"could not be tested: {row['reason']}" if known(row["p_value"]) is None else f"p = {p_with_floor(row)}"


def at_least(roster: pd.DataFrame) -> str:
    """How many artists are imitated at least."""
    found = roster[roster["kind"] == "artist"]
    if found.empty:
        return NOT_MEASURED
    return f"{found['at_least'].iloc[0]} of {found['subjects'].iloc[0]}"


def roster_sentence(roster: pd.DataFrame) -> str:
    """The statement about all artists; empty if it was not measured or concerns one artist."""
    found = roster[roster["kind"] == "artist"]
    if found.empty or found["subjects"].iloc[0] < 2:
        return ""
    row = found.iloc[0]
    if not row["at_least"]:
        return (
            f"The audit cannot state with {row['confidence']:.0%} confidence that any of the {row['subjects']} artists is imitated. "
            "That does not show that none is."
        ).replace("%", " %")
    verb = "is" if row["at_least"] == 1 else "are"
    return f"At least {row['at_least']} of {row['subjects']} artists {verb} imitated, with {row['confidence']:.0%} confidence.".replace(
        "%", " %"
    )


def verdict(counts: pd.DataFrame, word: str) -> str:
    return subjects_counted(counts.loc[counts["verdict"] == word, "subjects"].sum(), counts["subjects"].sum())
