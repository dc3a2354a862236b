"""One artist's page over all model versions, for the artist and for counsel.

It shows each imitation beside the nearest real works, the label that each encoder gave it, the artist's figures beside those of
other names, the tests, the verdict in sentences, the versions side by side, and the origin of every image. Made on request.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from duckdb import DuckDBPyConnection

from audit_assets.config import INDIRECT, OTHER
from audit_assets.errors import InputError
from audit_assets.publication.drawings import charts, svg
from audit_assets.publication.drawings import paper_figures as figures
from audit_assets.publication.pages.page import Chart, Load, Picture, render, thumbnail, write
from audit_assets.publication.queries import arms as read_arms
from audit_assets.publication.queries import artist as read_artist
from audit_assets.publication.queries import database as read
from audit_assets.publication.words import arm_tables
from audit_assets.publication.words import report_tables as tables
from audit_assets.publication.words import version_tables as versions
from audit_assets.publication.words.numbers import (
    ADJUSTMENTS,
    ALTERNATIVES,
    DEFAULT_LABEL,
    KINDS,
    TESTS,
    counted,
    isolated,
    known,
    p_text,
    percent,
    probability,
    shown,
    true,
    yes,
)
from audit_assets.publication.words.table import Table, columns
from audit_assets.publication.words.verdicts import Answered, sentences, three_answers, withheld_images
from audit_assets.warehouse.images import SHOW_NOTHING

SIZE = 224
"""Pixels of a picture: a person can judge it by eye, and three versions of forty images stay below 10 MB."""
IN_AN_ARM = 5
"""Pictures of an artist per arm and version."""
_LEAST_SHARED_FIRST = ("independent", "image only", "unknown", "shared")


def write_artist_page(database: Path, artist: str, load: Load, folder: Path, protocol: str | None = None) -> Path:
    """Write ``<slug>.html`` into ``folder`` for the artist of this slug or name; return its path.

    Raises InputError, and replaces nothing, if the artist is unknown, is a control, has left the roster or has no real works,
    or if no model version has images of the artist.
    """
    with read.opened(database) as connection:
        subject = read_artist.find(connection, artist)
        if Path(subject["subject"]).name != subject["subject"]:
            raise InputError(f"{database}: the slug {subject['subject']!r} cannot name a file. Remedy: publish again.")
        known_versions = read_artist.versions_with_images(connection, subject["subject"], subject["name"])
        chosen = read.primary_protocol(connection, known_versions[0], protocol)
        page = _page(connection, subject, chosen, known_versions, load)
    return write(folder / f"{subject['subject']}.html", page)


def _page(
    connection: DuckDBPyConnection, subject: dict[str, Any], protocol: str, audited: list[str], load: Load
) -> str:
    slug, name = subject["subject"], subject["name"]
    verdicts = read_artist.verdicts(connection, protocol, slug)
    compared = read_artist.compared(connection, protocol, slug)
    works = read_artist.works(connection, slug)
    return render(
        "artist.html.j2",
        name=name,
        facts=_facts(subject, len(works)),
        protocol=protocol,
        answers=[_answer(row, name) for row in _headline(connection, verdicts)],
        question=f"Does a model that is given the name {isolated(name)} imitate this artist?",
        versions=[_version(connection, v, subject, protocol, verdicts, load) for v in audited],
        works=[
            {"picture": thumbnail(load(w["image_sha256"]), f"Real work {w['work']} of {name}", SIZE), "work": w}
            for w in works.to_dict("records")
        ],
        tests=_tests(connection, protocol, slug),
        still_works=arm_tables.of_one_artist(read_arms.of_artist(connection, protocol, slug), name),
        in_arms=_in_arms(connection, audited, subject, load),
        compared=versions.changed_subjects(compared, "Two versions with the same prompts and seeds; the difference is the later minus the earlier version."),
        images=_images(connection, slug),
        real_works=_real_works(works),
        provenance=_provenance(connection),
        protocols=tables.protocol(connection, protocol),
        encoders=_encoders(connection),
        made_from=read.made_from(connection),
    )  # fmt: skip


def _facts(subject: dict[str, Any], works: int) -> str:
    facts = [KINDS.get(subject["kind"], subject["kind"]).removesuffix("s"), counted(works, "real work")]
    if known(subject["mentions"]) is not None:
        facts.append(f"named by {counted(subject['mentions'], 'scanned caption')}")
    if true(subject["opted_out"]):
        facts.append("has opted out of training (the audit records this and treats the artist like any other)")
    return "; ".join(facts)


def _in_arms(
    connection: DuckDBPyConnection, audited: list[str], subject: dict[str, Any], load: Load
) -> list[dict[str, Any]]:
    """The first images of each arm and version, to look at."""
    found = []
    for version in audited:
        rows = read_arms.pictures(connection, version, subject["subject"], IN_AN_ARM)
        for arm, own in rows.groupby("arm", sort=False):
            prompts = ", ".join(f"“{prompt}”" for prompt in own["prompt"].dropna().unique())
            pictures = [
                thumbnail(load(sha256), f"Image {i} of {version} in the arm {arm}", SIZE // 2)
                for i, sha256 in enumerate(own["image_sha256"], 1)
            ]
            found.append(
                {"version": version, "arm": arm, "prompts": prompts or "prompt not known", "pictures": pictures}
            )
    return found


def _headline(connection: DuckDBPyConnection, verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the primary encoder, whose verdicts head the reports."""
    encoder = read.primary_encoder(connection)
    return [{str(k): v for k, v in row.items()} for row in verdicts[verdicts["encoder"] == encoder].to_dict("records")]


def _answer(row: dict[str, Any], name: str) -> dict[str, str]:
    words = {
        "imitated": f"{isolated(name)} is imitated.",
        "not shown to be imitated": f"{isolated(name)} is not shown to be imitated.",
        "not auditable": f"This audit cannot say whether {isolated(name)} is imitated.",
    }
    verdict = str(row["verdict"])
    return {
        "version": row["model_version"],
        "verdict": verdict,
        "said": words.get(verdict, f"{verdict}."),
        "because": row["because"],
    }


# ---- one version
def _version(
    connection: DuckDBPyConnection,
    version: str,
    subject: dict[str, Any],
    protocol: str,
    verdicts: pd.DataFrame,
    load: Load,
) -> dict[str, Any]:
    slug, name = subject["subject"], subject["name"]
    rows = verdicts[verdicts["model_version"] == version].to_dict("records")
    row = read.model_version_row(connection, version)
    encoder, alpha = _least_shared(connection, version), read.alpha(connection, protocol)
    answers, copies = read_artist.answers(connection, protocol, slug), read_artist.copies(connection, protocol, slug)
    leaks = read_arms.leakage_of(connection, protocol, slug)
    alone = read.only_artist(connection) is not None
    images = read_artist.rows_of(connection, "imitations", slug, "model_version, template, trial")
    named = images[(images["model_version"] == version) & (images["template"] >= 0)]
    withheld = withheld_images(named["status"].tolist())

    def own(table: pd.DataFrame, by: str) -> list[dict[Any, Any]]:
        return table[(table["model_version"] == version) & (table["encoder"] == by)].to_dict("records")

    return {
        "name": version,
        "retired": true(row["retired"]),
        "words": [
            {
                "encoder": r["encoder"],
                "verdict": r["verdict"],
                "sentences": [
                    *sentences(r, name, alpha, own(copies, r["encoder"]), alone=alone),
                    *withheld,
                    *arm_tables.house_style(own(leaks, r["encoder"]), name),
                ],
                "answers": _three(three_answers(own(answers, r["encoder"]), r), version, r["encoder"]),
            }
            for r in rows
        ],
        "encoder": encoder,
        "lineup": _lineup(connection, version, subject, protocol, encoder, load),
        "charts": _charts(connection, version, slug, name, rows),
    }


def _three(found: list[Answered], version: str, encoder: str) -> Table:
    return Table(
        f"The three answers of {encoder} about {version}.",
        columns("Question", "Answer", "Number", "Reason", "What would settle it"),
        [(a.question, a.answer, a.number, a.reason, a.settle or "–") for a in found],
    )


def _least_shared(connection: DuckDBPyConnection, version: str) -> str:
    """The encoder that has least in common with the model, so that likeness is measured independently of the model."""
    relations = read.encoder_relations(connection, version)
    names = read.encoders(connection)["encoder"].tolist()
    return str(min(names, key=lambda e: _LEAST_SHARED_FIRST.index(relations.get(e, "unknown"))))


def _lineup(
    connection: DuckDBPyConnection,
    version: str,
    subject: dict[str, Any],
    protocol: str,
    encoder: str,
    load: Load,
) -> list[dict[str, Any]]:
    """Every image of the version, with the artist's nearest real work, the nearest work of another artist, and each encoder's label."""
    slug, name = subject["subject"], subject["name"]
    images = read_artist.rows_of(connection, "imitations", slug, "model_version, template, trial")
    images = images[(images["model_version"] == version) & images["image_sha256"].notna()]
    nearest = read_artist.nearest_works(connection, slug, version, encoder)
    taken = read_artist.trials(connection, protocol, slug)
    taken = taken[taken["model_version"] == version]
    cache: dict[str, Picture] = {}

    def picture(sha256: str, alt: str) -> Picture:
        if sha256 not in cache:
            cache[sha256] = thumbnail(load(sha256), alt, SIZE)
        return cache[sha256]

    found = []
    for number, row in enumerate(images.to_dict("records"), 1):
        key = (int(row["template"]), int(row["trial"]))
        own = taken[(taken["template"] == key[0]) & (taken["trial"] == key[1])]
        found.append(
            {
                "number": number,
                "where": _where(*key) + (f", {row['status']}" if row["status"] in SHOW_NOTHING else ""),
                "imitation": picture(row["image_sha256"], f"Image {number} that {version} made in the name of {name}"),
                "nearest": nearest.get(key),
                "own": picture(nearest[key].own_work, f"Real work of {name}") if key in nearest else None,
                "other": picture(nearest[key].other_work or "", f"Real work of {nearest[key].other_name}")
                if key in nearest and nearest[key].other_work
                else None,
                "taken": [_taken_for(r, name, row["status"]) for r in own.to_dict("records")],
            }
        )
    return found


_APART = {INDIRECT: "described, not named, ", OTHER: "another prompt than the protocol’s, "}


def _where(template: int, trial: int) -> str:
    """An image's template and trial, as in the appendix and the database."""
    asked = _APART[template] if template < 0 else f"template {template}, " if template else ""
    return f"{asked}trial {trial}"


def _taken_for(row: dict[Any, Any], name: str, status: str) -> str:
    """The label that one encoder gave one image, as a sentence."""
    encoder = row["encoder"]
    if pd.isna(row["predicted_label"]):
        return f"{encoder}: a {status} image, counted as not identified."
    name, label = isolated(name), str(row["predicted_label"])
    what = (
        f"“{label.removeprefix(DEFAULT_LABEL)}”, which names no artist,"
        if label.startswith(DEFAULT_LABEL)
        else isolated(str(row["predicted_name"]))
    )
    if row["correct"]:
        return f"{encoder} takes it for {name}, with probability {probability(row['probability_of_subject'])}."
    return (
        f"{encoder} takes it for {what} with probability {probability(row['probability'])}; {name} is in place {row['rank_of_subject']:.0f} "
        f"with probability {probability(row['probability_of_subject'])}."
    )


def _charts(
    connection: DuckDBPyConnection, version: str, slug: str, name: str, verdicts: list[dict[Any, Any]]
) -> list[Chart]:
    drawn: list[Chart] = []
    name = figures.printable(name, slug, width=40, lines=1)
    for place, row in enumerate(verdicts):
        encoder = row["encoder"]
        if not pd.isna(row["label_set"]):
            found = read_artist.background_probabilities(connection, slug, version, encoder, row["label_set"])
            drawn += _strips(
                found, f"probability-{version}-{place}", f"probability of the label “{name}” (log scale)", encoder, True
            )
        found = read_artist.background_similarities(connection, slug, version, encoder)
        drawn += _strips(
            found,
            f"similarity-{version}-{place}",
            f"mean cosine similarity to the real works of {name}",
            encoder,
            False,
        )
    return drawn  # fmt: skip


def _strips(found: dict[str, pd.DataFrame], name: str, label: str, encoder: str, logarithmic: bool) -> list[Chart]:
    """The artist's own pictures as points, other names' as marks; no chart if nothing was measured."""
    found = {whose: rows[rows["value"].notna()] for whose, rows in found.items()}  # a blank image has no label
    if not found or found["imitations"].empty:
        return []
    lines = []
    for whose, rows in found.items():
        if rows.empty:
            continue
        own = whose in ("imitations", "real works")
        called = {"imitations": "these imitations", "real works": "the artist's real works"}.get(
            whose, f"images of {whose}"
        )
        said = [
            f"{called}, {'work' if whose == 'real works' else 'trial'} {i}: {probability(v)}"
            for i, v in zip(rows["image"], rows["value"], strict=True)
        ]
        lines.append(charts.Strip(called, rows["value"].tolist(), said if own else (), own=whose == "imitations"))
    figure, hover = charts.strips(lines, label, logarithmic=logarithmic)
    medians = "; ".join(
        f"{line.label} {probability(pd.Series(line.values, dtype=float).median())}"
        for line in lines
        if len(line.values)
    )
    alt = f"By {encoder}, {label}. Medians: {medians}."
    caption = f"By {encoder}: {label}. Medians: {medians}. Tall marks are medians. If a line has more than 200 images, 200 quantiles of them are drawn."
    return [Chart(name, svg.inline(figure, name, alt, hover), alt, caption)]


# ---- tables
def _tests(connection: DuckDBPyConnection, protocol: str, slug: str) -> Table:
    return Table(
        "Every matching test on this artist. Re-assigned: how often the same test is significant with works that were assigned to this artist at "
        "random. The paper's rank sum does not keep its level if images of one artist resemble each other. Own cell decides, or the name test if fewer than five other artists have works; the name test "
        "and own rank assume less and see less. Not tested because: why a test did not run, and what would settle it.",
        columns(
            "Version", "Encoder", "Test", "Alternative", "Adjustment", "Real works", "p", "p adjusted", "Significant", "Re-assigned", "Not tested because",
            number=("Real works", "p", "p adjusted", "Re-assigned"),
        ),
        [
            (
                row["model_version"],
                row["encoder"],
                TESTS.get(row["test"], row["test"]),
                ALTERNATIVES.get(row["alternative"], row["alternative"]),
                ADJUSTMENTS.get(row["adjustment"], row["adjustment"]),
                shown(row["references_used"]).removesuffix(".0"),
                p_text(known(row["p_value"])),
                p_text(known(row["p_adjusted"])),
                _significant(row),
                "–" if known(row["reassigned"]) is None else percent(known(row["reassigned"])),
                shown(row["reason"]) or "–",
            )
            for row in read_artist.tests(connection, protocol, slug).to_dict("records")
        ],
    )  # fmt: skip


def _significant(row: dict[Any, Any]) -> str:
    if known(row["p_value"]) is None:
        return "not tested"
    return "cannot be" if true(row["unreachable"]) else yes(row["significant"])


def _images(connection: DuckDBPyConnection, slug: str) -> Table:
    rows = read_artist.rows_of(connection, "imitations", slug, "model_version, template, trial")
    known_versions = read.versions(connection).set_index("model_version")
    return Table(
        "Every image of this artist's prompts, with the prompt, the seed and the SHA-256 of its file.",
        columns(
            "Version", "Revision", "Prompt", "Trial", "Seed", "Size", "State", "SHA-256 of the image", "Generation hash",
            number=("Trial",), code=("Revision", "Seed", "SHA-256 of the image", "Generation hash"),
        ),
        [
            (
                row["model_version"],
                shown(known_versions["revision"].get(row["model_version"])) or "local files, see below",
                shown(row["prompt"]) or "–",
                str(row["trial"]),
                "–" if pd.isna(row["seed"]) else str(int(row["seed"])),
                "–" if pd.isna(row["width"]) else f"{row['width']:.0f} × {row['height']:.0f}",
                row["status"].replace("_", " "),
                shown(row["image_sha256"]) or "–",
                shown(row["generation_hash"])[:16] or "–",
            )
            for row in rows.to_dict("records")
        ],
    )  # fmt: skip


def _real_works(works: pd.DataFrame) -> Table:
    return Table(
        "The real works that the images were compared with.",
        columns(
            "Work", "Source", "Licence", "SHA-256 of the image", number=("Work",), code=("SHA-256 of the image",)
        ),
        [
            (str(w["work"]), shown(w["source"]) or "–", shown(w["licence"]) or "–", w["image_sha256"])
            for w in works.to_dict("records")
        ],
    )  # fmt: skip


def _provenance(connection: DuckDBPyConnection) -> Table:
    return Table(
        "Model versions.",
        columns("Version", "Source", "State", "Revision", "SHA-256 of files", "Settings", code=("Revision", "SHA-256 of files", "Settings")),
        [
            (
                row["model_version"],
                row["source"],
                versions.state(row),
                shown(row["revision"]) or "–",
                shown(row["files_sha256"]) or "–",
                shown(row["generation_settings"]) or "–",
            )
            for row in read.versions(connection).to_dict("records")
        ],
    )  # fmt: skip


def _encoders(connection: DuckDBPyConnection) -> Table:
    found = read.encoders(connection).to_dict("records")
    rows = [
        (row["encoder"], row["kind"].replace("_", "-"), version, tables.shares_family(relations, row["encoder"]),
         shown(row["revision"]) or "–", shown(row["files_sha256"]) or "–")
        for version in read.audited_versions(connection)
        for relations in [read.encoder_relations(connection, version)]
        for row in found
    ]  # fmt: skip
    return Table(
        "Encoders, and whether the model was built with the same family. Such an encoder can agree with the model for that reason alone.",
        columns(
            "Encoder", "Kind", "Version", "Family shared", "Revision", "SHA-256 of files",
            code=("Revision", "SHA-256 of files"),
        ),
        rows,
    )  # fmt: skip
