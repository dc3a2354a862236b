"""The headline: each of ``measures.MEASURES`` as text, this audit's figure beside that of Casper et al. (2023).

The command line prints it, the report and the index show it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words.measures import MEASURES
from audit_assets.publication.words.numbers import (
    NOT_MEASURED,
    bracket,
    count,
    known,
    p_with_floor,
    percent,
    points,
    subjects_counted,
    with_interval,
)

COLUMNS = ("measure", "this_audit", "paper", "level")


def chosen(
    connection: duckdb.DuckDBPyConnection, model_version: str, encoder: str | None = None, protocol: str | None = None
) -> ModelResults:
    """``encoder``: by default the first image-text encoder in the order of names; ``protocol``: by default ``paper_2023``.

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
    found = figures(results)
    return pd.DataFrame([(m.words, found[m.key], m.paper, m.counted_by) for m in MEASURES], columns=list(COLUMNS))


def figures(results: ModelResults) -> dict[str, str]:
    """Key of each of ``MEASURES`` -> its figure as text. A figure that was not measured says so."""
    return _identification(results) | _paper_test(results) | _corrected(results)


def _identification(results: ModelResults) -> dict[str, str]:
    summary = results.identification_summary()
    artists = summary_row(summary, "criteria", "artist")
    random = summary_row(summary, "random_names", "random_name")
    return {
        "artists_images": images(artists),
        "artists_plurality": subjects(artists),
        "random_images": images(random),
        "random_plurality": subjects(random),
        "chance": NOT_MEASURED if artists is None else percent(known(artists["chance"])),
        "untrained_images": images(summary_row(summary, "joint", "untrained_artist")),
        "recombined_images": images(summary_row(summary, "recombined_names", "random_name")),
        "real_works": real_works(results),
    }


def _paper_test(results: ModelResults) -> dict[str, str]:
    tests = results.matching_summary()
    return {
        "paper_two_sided": matching(tests, "two_sided", "none"),
        "paper_closer": matching(tests, "closer", "none"),
        "paper_two_sided_reassigned": matching(tests, "two_sided", "reassigned"),
        "paper_closer_reassigned": matching(tests, "closer", "reassigned"),
    }


def _corrected(results: ModelResults) -> dict[str, str]:
    """The same questions by statistics that keep their level. The paper has none of these."""
    gaps = results.contrasts()
    random = gaps[(gaps["contrast"] == "gap") & (gaps["control_label_set"] == "random_names")]
    ratio = gaps[gaps["contrast"] == "ratio_to_real_works"]
    own = own_rank_row(results)
    pairing = results.pairing()
    pairing = pairing[pairing["encoder"] == results.encoder]
    counts = results.verdict_counts()
    counts = counts[counts["encoder"] == results.encoder]
    unlike = ~counts["shares_name_parts"].astype("boolean").fillna(True).astype(bool)
    names = counts[(counts["kind"] == "random_name") & unlike]
    interval = ["estimate", "low", "high"]
    return {
        "gap": NOT_MEASURED if random.empty else points(*random.iloc[0][interval]),
        "ratio": NOT_MEASURED if ratio.empty else with_interval(*ratio.iloc[0][interval]),
        "own_rank": NOT_MEASURED if own is None else subjects_counted(own["significant"], own["subjects"]),
        "own_rank_reassigned": NOT_MEASURED if own is None else percent(known(own["reassigned"])),
        "pairing": NOT_MEASURED if pairing.empty else p_with_floor(pairing.iloc[0].to_dict()),
        "imitated": verdict(counts[counts["kind"] == "artist"], "imitated"),
        "above_controls": verdict(names, "identified above controls"),
    }


def summary_row(summary: pd.DataFrame, label_set: str, kind: str) -> dict[str, Any] | None:
    found = summary[(summary["label_set"] == label_set) & (summary["kind"] == kind)]
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


def matching(summary: pd.DataFrame, alternative: str, control: str) -> str:
    """The paper's test. It has no interval, since the test does not keep its level."""
    found = summary[(summary["alternative"] == alternative) & (summary["control"] == control)]
    if found.empty:
        return NOT_MEASURED
    row = found.iloc[0]
    if control == "none":
        return count(row["significant"], row["subjects"])
    return f"{row['significant']:.1f} / {row['subjects']:.0f} = {percent(known(row['share']))}"


def real_works(results: ModelResults) -> str:
    """The positive control."""
    found = results.real_work_accuracy()
    return NOT_MEASURED if found.empty else count(found["correct"].iloc[0], found["real_works"].iloc[0])


def own_rank_row(results: ModelResults) -> dict[Any, Any] | None:
    """The corrected test of the headline: own rank with Benjamini and Hochberg's adjustment."""
    tests = results.tests()
    own = tests[
        (tests["encoder"] == results.encoder)
        & (tests["test"] == "own_rank")
        & (tests["adjustment"] == "benjamini_hochberg")
    ]
    return None if own.empty else dict(own.iloc[0].to_dict())


def verdict(counts: pd.DataFrame, word: str) -> str:
    return subjects_counted(counts.loc[counts["verdict"] == word, "subjects"].sum(), counts["subjects"].sum())
