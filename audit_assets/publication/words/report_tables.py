"""The tables of a model version's report, as text: one function per table, rows in the order of the page."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import duckdb
import pandas as pd

from audit_assets.config import INDIRECT, OTHER
from audit_assets.publication.queries import across_models, images, matching
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words import headline
from audit_assets.publication.words.measures import IDENTIFIED, heading
from audit_assets.publication.words.numbers import (
    ADJUSTMENTS,
    ALTERNATIVES,
    CHOICES,
    KINDS,
    LABEL_SETS,
    NOT_MEASURED,
    TESTS,
    count,
    isolated,
    known,
    p_text,
    percent,
    points,
    shown,
    true,
    with_interval,
    yes,
)
from audit_assets.publication.words.table import Name, Table, columns

RELATIONS = {"shared": "yes", "independent": "no", "image only": "no", "unknown": "not known"}
"""Whether an encoder shares a text encoder with the generator."""


def shares_family(relations: Mapping[str, str], encoder: str) -> str:
    """Whether the encoder shares a text encoder's family with the model, by ``read.encoder_relations``."""
    return RELATIONS.get(relations.get(encoder, ""), NOT_MEASURED)


def beside_the_paper(results: ModelResults) -> Table:
    alpha = read.alpha(results.connection, results.protocol)
    if (one := read.only_artist(results.connection)) is not None:
        caption = f"The audit of {isolated(one['name'])}, and the control names beside. In brackets: 95 % intervals. Paper: Casper et al. (2023)."
        return Table(
            caption,
            columns("Measure", "This audit", "Paper", "Counted by"),
            headline.comparison(results).to_numpy().tolist(),
        )
    return Table(
        "Casper et al. (2023) audited Stable Diffusion v1.5. In brackets: 95 % intervals. The paper's test has none, "
        f"since it does not keep its level (see the tests below). The corrected test counts artists with p below {alpha:g}, not adjusted: with works of "
        f"other artists, about {100 * alpha:g} % of them pass by chance.",
        columns("Measure", "This audit", "Paper", "Counted by"),
        headline.comparison(results).to_numpy().tolist(),
    )


def verdicts(results: ModelResults) -> Table:
    rows = results.verdict_counts().to_dict("records")
    return Table(
        "Verdicts by encoder and kind of subject. Images needed: the smallest number of identified images with which a name would stand above the "
        "control names of its origin. It differs between subjects that have different control names or numbers of images.",
        columns("Encoder", "Of", "Verdict", "Basis", "Subjects", "Images needed", number=("Subjects", "Images needed")),
        [
            (
                row["encoder"],
                kind_of(row),
                row["verdict"],
                row["basis"],
                str(row["subjects"]),
                _range(row["fewest_needed"], row["most_needed"]),
            )
            for row in rows
        ],
    )


def _range(least: Any, most: Any) -> str:
    low, high = known(least), known(most)
    if low is None or high is None:
        return "–"
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def kind_of(row: Mapping[Any, Any]) -> str:
    return KINDS.get(row["kind"], row["kind"]) + (
        " with parts of artists' names" if true(row["shares_name_parts"]) else ""
    )


def confusion(results: ModelResults) -> Table:
    return Table(
        "Labels that the artists' images received. The encoder chose among the artists' names and the default labels, which name no artist.",
        columns("Label", "Names no artist", "Images", "Share", number=("Images", "Share")),
        [
            (row["label"], yes(row["is_default"]), str(row["images"]), percent(row["share"]))
            for row in results.confusion().to_dict("records")
        ],
    )


def controls(results: ModelResults) -> Table:
    rows = results.identification_summary().to_dict("records")
    return Table(
        "Images identified, per set of labels from which the encoder chose. In brackets: 95 % intervals.",
        columns(
            "Labels to choose from",
            "Images of",
            "Shares a name part",
            IDENTIFIED.capitalize(),
            "Names that win a plurality",
            "Chance",
        ),
        [
            (
                f"{LABEL_SETS.get(row['label_set'], row['label_set'])} ({row['labels']})",
                KINDS.get(row["kind"], row["kind"]),
                yes(row["shares_name_parts"]),
                headline.images(row),
                headline.subjects(row),
                percent(known(row["chance"])),
            )
            for row in rows
        ],
    )


def contrasts(results: ModelResults) -> Table:
    rows = results.contrasts().to_dict("records")
    return Table(
        "Artists compared with each control: the difference of the shares of images identified, or the ratio to the artists' own real works. "
        "In brackets: 95 % intervals over subjects.",
        columns("Artists among", "Compared with", "Among", "Estimate", "Artists", "Controls", number=("Artists", "Controls")),
        [
            (
                LABEL_SETS.get(row["label_set"], row["label_set"]),
                *_contrasted(row),
                shown(row["subjects"]),
                shown(row["controls"]) or "–",
            )
            for row in rows
        ],
    )  # fmt: skip


def _contrasted(row: Mapping[Any, Any]) -> tuple[str, str, str]:
    """The control, its labels, and the estimate: a ratio, or a difference in points."""
    labels = LABEL_SETS.get(row["control_label_set"], shown(row["control_label_set"]) or "–")
    figures = (row["estimate"], row["low"], row["high"])
    if row["contrast"] == "ratio_to_real_works":
        return "their own real works (ratio)", labels, with_interval(*figures)
    control = {"kind": row["control_kind"], "shares_name_parts": row["control_shares_name_parts"]}
    return kind_of(control), labels, points(*figures)


def statuses(results: ModelResults) -> Table:
    rows = images.image_statuses(results).to_dict("records")
    return Table(
        "Images per state. The model's safety checker replaced a blocked image. A server refused an image, rewrote its prompt so that it no longer names the artist, or failed to give it. Blank, blocked and rewritten images show nothing of what the model draws for the name. They are kept and counted as not identified; no verdict rests on them.",
        columns("Images of", "State", "Images", number=("Images",)),
        [
            (KINDS.get(row["kind"], row["kind"]), row["status"].replace("_", " "), str(row["images"]))
            for row in rows
        ],
    )  # fmt: skip


def withheld(results: ModelResults) -> Table:
    """Names of which images were withheld, so that a verdict could not be tested or rests on fewer images."""
    kinds = ("refused", "rewritten", "blocked", "failed")
    return Table(
        "Names of which images were withheld. Code is what the server gave as the reason. A name of which every image was refused could not be tested.",
        columns("Name", "Images of", "Asked for", "Refused", "Rewritten", "Blocked", "Failed", "Code", number=("Asked for", "Refused", "Rewritten", "Blocked", "Failed")),
        [
            (Name(row["name"], str(row["subject"])), KINDS.get(row["kind"], row["kind"]), str(row["asked"]), *(str(row[k]) for k in kinds), shown(row["codes"]) or "–")
            for row in images.withheld(results).to_dict("records")
        ],
    )  # fmt: skip


def unread(results: ModelResults) -> Table:
    """Files of real works and of supplied images that the audit did not read."""
    rows = images.unread_files(results).to_dict("records")
    return Table(
        "Files and folders that the audit did not read, with the reason. They had no effect on any figure.",
        columns("Folder", "File", "Reason"),
        [(row["place"], row["file"], row["why"]) for row in rows],
    )


def tests(results: ModelResults) -> Table:
    """Every test, and how often it is significant with works of another artist."""
    found = [
        (
            row["encoder"],
            TESTS.get(row["test"], row["test"]),
            ALTERNATIVES.get(row["alternative"], row["alternative"]),
            ADJUSTMENTS.get(row["adjustment"], row["adjustment"]),
            "no outcome can be significant: too few artists with real works"
            if row["unreachable"] is True
            else count(row["significant"], row["subjects"]),
            _share_or_dash(row["reassigned"]),
            _share_or_dash(row["deranged"]),
        )
        for row in matching.tests(results).to_dict("records")
    ]
    found += [
        (row["encoder"], TESTS[row["test"]], "closer", "none", headline.paired_words(row), "–", "–")
        for row in matching.pairing(results).to_dict("records")
    ]
    return Table(
        "Artists significant by each test, then two controls. Re-assigned: the share still significant if real works are assigned to artists "
        "at random. Re-assigned, no own works: the same, if every artist gets the works of another. –: the control was not made. Tests whose adjustment is "
        "“none” find about one artist in twenty by chance. Own cell decides, or the name test if fewer than five other artists have works; the companions of own cell assume less and see less. Pairing rejects “works and names are "
        "unrelated”, for which a genre that works and images share is enough; within peers, only artists of one origin, school and medium are exchanged.",
        columns(
            "Encoder",
            "Test",
            "Alternative",
            "Adjustment",
            "Significant",
            "Re-assigned",
            "Re-assigned, no own works",
        ),
        found,
    )


def _share_or_dash(share: Any) -> str:
    value = known(share)
    return "–" if value is None else percent(value)


def positive_control(results: ModelResults) -> Table:
    return Table(
        "The audit of a perfect imitator: half of an artist's real works stand in for the model's images, and the audit asks whether it would call the artist "
        "imitated. Found: artists for whom it does. Not tested: artists with too few works, or with too few names or artists beside them.",
        columns("Encoder", "Of", "Found", "Not tested", number=("Not tested",)),
        [
            (
                row["encoder"],
                KINDS.get(row["kind"], row["kind"]),
                count(row["called"], row["subjects"]),
                f"{row['untested']:.0f}",
            )
            for row in matching.positive_control(results).to_dict("records")
        ],
    )


def auditability(results: ModelResults) -> Table:
    rows = across_models.auditability(results.connection, results.protocol).to_dict("records")
    return Table(
        "Real works. Recognised: those that the encoder assigns to their own artist, among all artists with real works. "
        "Told apart: artists whose works the encoder can tell from those of the most similar artist; the others are confusable.",
        columns("Encoder", "Works of", "Real works recognised", "Told apart"),
        [
            (
                row["encoder"],
                KINDS.get(row["kind"], row["kind"]),
                "no text side" if pd.isna(row["correct"]) else count(row["correct"], row["real_works"]),
                count(row["told_apart"], row["artists"]),
            )
            for row in rows
        ],
    )


def calibration(results: ModelResults) -> Table:
    return Table(
        "Whether the encoder's probabilities match how often it is right, on real works of the roster. Error: mean difference of confidence "
        "and accuracy. The temperature is fitted on one half of the works, and the error is computed on the other.",
        columns(
            "Encoder", "Works", "Temperature", "Error, raw", "Error, calibrated",
            number=("Works", "Temperature", "Error, raw", "Error, calibrated"),
        ),
        [
            (
                row["encoder"],
                str(row["works"]),
                "none: all works identified" if row["at_bound"] else f"{row['temperature']:.2f}",
                percent(known(row["expected_calibration_error"])),
                percent(known(row["calibrated_expected_calibration_error"])),
            )
            for row in across_models.calibration(results.connection, results.protocol).to_dict("records")
        ],
    )  # fmt: skip


def templates(results: ModelResults) -> Table:
    rows = results.of_model("template_matrix")
    rows = rows[(rows["label_set"] == results.labels("criteria")) & (rows["kind"] == "artist")]
    return Table(
        f"{heading('artists_images')}, by the template of the prompt and the template of the labels. A fall off the diagonal is the share of "
        "images that is identified only if prompt and label have the same words.",
        columns(
            "Encoder", "Prompted with template", "Labelled with template", "Identified", "Images", number=("Images",)
        ),
        [
            (row["encoder"], _template(row["template"]), _template(row["label_template"]), percent(row["image_accuracy"]),
             str(row["images"]))
            for row in rows.to_dict("records")
        ],
    )  # fmt: skip


def _template(index: int) -> str:
    return {INDIRECT: "described, not named", OTHER: "not asked as in the protocol"}.get(index, str(index))


def flips(results: ModelResults) -> Table:
    rows = results.of_model("verdict_flips").to_dict("records")
    baseline = ", ".join(_setting(rows[0]["baseline"])) if rows else ""
    return Table(
        "Artists whose verdict changes with another choice: encoder, test of matching, labels, template, half of each artist’s works, or "
        "half of the roster. Lost: no longer “imitated”. Gained: newly “imitated”. "
        f"The changes are counted from: {baseline}.",
        columns("Encoder", "Choice", "Changed", "Lost", "Gained", number=("Lost", "Gained")),
        [
            (*_setting(row["setting"]), count(row["flipped"], row["subjects"]), str(row["lost"]), str(row["gained"]))
            for row in rows
        ],
    )


def _setting(setting: str) -> tuple[str, str]:
    """A setting of `verdict_flips` in words: encoder, choice."""
    encoder, _, choice = setting.partition(" | ")
    return encoder, CHOICES.get(choice, TESTS.get(choice, choice))


def correlations(results: ModelResults) -> Table:
    rows = results.of_model("score_correlations")
    return Table(
        "Rank correlations of two ways to measure: whether they order the artists alike. No value if one of them gives all artists the same figure.",
        columns("One way", "Another", "Artists", "Spearman", "Kendall", number=("Artists", "Spearman", "Kendall")),
        [
            (
                _way(row["setting"]),
                _way(row["other_setting"]),
                str(row["subjects"]),
                "–" if pd.isna(row["spearman"]) else f"{row['spearman']:.2f}",
                "–" if pd.isna(row["kendall"]) else f"{row['kendall']:.2f}",
            )
            for row in rows.to_dict("records")
        ],
    )


def _way(setting: str) -> str:
    return ", ".join(TESTS.get(part, LABEL_SETS.get(part, part)) for part in setting.split(" | "))


def doses(results: ModelResults) -> Table:
    rows = results.of_model("dose_response").to_dict("records")
    return Table(
        "How imitation depends on the number of captions that name the artist: rank correlation, and the number of captions at which the mean "
        "changes, with its 95 % interval. This is an association, not a cause: artists with more captions differ in other ways too.",
        columns(
            "Encoder", "Of", "Artists", "Rank correlation", "Change at captions", "Mean below, above", "p of a change",
            number=("Artists", "p of a change"),
        ),
        [
            (
                row["encoder"],
                row["response"],
                str(row["artists"]),
                "–" if pd.isna(row["spearman"]) else f"{row['spearman']:.2f} (p {p_text(known(row['spearman_p']))})",
                f"{row['threshold']:.0f} ({row['threshold_low']:.0f} – {row['threshold_high']:.0f})",
                f"{row['below']:.2f} | {row['above']:.2f}",
                p_text(known(row["p_value"])),
            )
            for row in rows
        ],
    )  # fmt: skip


def encoders(results: ModelResults) -> Table:
    relations = read.encoder_relations(results.connection, results.model_version)
    found = []
    for row in read.encoders(results.connection).to_dict("records"):
        own = replace(results, encoder=row["encoder"])
        summary, paper = own.identification_summary(), matching.paper_test(own)
        found.append(
            (
                row["encoder"],
                row["kind"].replace("_", "-"),
                shares_family(relations, row["encoder"]),
                headline.images(headline.summary_row(summary, results.labels("criteria"), "artist")),
                headline.paper_test(paper, "two_sided", "none"),
                headline.paper_test(paper, "two_sided", "reassigned"),
                shown(row["pooling"]) or "–",
                shown(row["layer"]) or "–",
                shown(row["revision"]) or "–",
                shown(row["files_sha256"]) or "–",
            )
        )
    return Table(
        "Encoders. An encoder shares the family of the model if the model was built with it. Such an encoder can agree with the model for that "
        "reason alone, so its results are weaker evidence. The vector of an image is the named output of the encoder, after the named last layer.",
        columns(
            "Encoder", "Kind", "Family shared with the model", heading("artists_images"), heading("paper_two_sided"),
            heading("paper_two_sided_reassigned"), "Vector of an image", "Last layer", "Revision", "SHA-256 of files",
            code=("Last layer", "Revision", "SHA-256 of files"),
        ),
        found,
    )  # fmt: skip


def protocol(connection: duckdb.DuckDBPyConnection, name: str) -> Table:
    used = read.protocols(connection)
    rows = used[used["protocol"] == name].to_dict("records")
    return Table(
        "Protocol. Images depend on the generation hash, all results on the measurement hash.",
        columns("Field", "Value", code=("Value",)),
        [(str(key).replace("_", " "), shown(value)) for row in rows for key, value in row.items()],
    )


def left_out(connection: duckdb.DuckDBPyConnection) -> Table:
    """What the audit was asked for and does not have; no row if it has everything."""
    return Table(
        "Parts of the audit that were left out, each with its reason. No figure counts them. The next `audit-assets run` tries them again.",
        columns("Part", "Model version", "Encoder", "Of", "Reason"),
        [
            (
                row["part"],
                shown(row["model_version"]) or "–",
                shown(row["encoder"]) or "–",
                Name(shown(row["name"]) or shown(row["subject"]), shown(row["subject"]))
                if shown(row["subject"])
                else "–",
                row["reason"],
            )
            for row in read.left_out(connection).to_dict("records")
        ],
    )


def software(results: ModelResults) -> Table:
    return Table(
        "Versions of the libraries that wrote the database.",
        columns("Package", "Version", code=("Version",)),
        read.optional(results.connection, "software").to_numpy().tolist(),
    )
