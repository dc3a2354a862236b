"""Queries over the published ``audit.duckdb`` on one artist: who the artist is, and the artist's results in every version."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from audit_assets.errors import InputError, in_utf8
from audit_assets.measurement.identification import class_probabilities
from audit_assets.publication.queries import database as read
from audit_assets.results.label_sets import label_embeddings, label_sets
from audit_assets.roster.normalise import tokens
from audit_assets.warehouse.store import vectors

AUDITED_KINDS = ("artist", "untrained_artist")
_IMAGE = ["subject", "template", "trial"]


def find(connection: duckdb.DuckDBPyConnection, artist: str) -> dict[str, Any]:
    """The subject with this slug or this name, as captions name it: accents and upper case are ignored.

    Raises InputError if no subject or more than one matches; the message names similar ones. Also for a subject that has no
    page: a control name, a retired subject, a subject without real works.
    """
    subjects = read.rows(
        connection, "SELECT * REPLACE (kind::VARCHAR AS kind) FROM subjects WHERE kind <> 'background' ORDER BY subject"
    )
    artist = in_utf8(artist)  # a terminal can send any bytes
    wanted = artist.strip().casefold()
    found = subjects[subjects["subject"] == wanted]
    if found.empty:
        found = subjects[subjects["name"].str.strip().str.casefold() == wanted]
    if found.empty and (words := tokens(artist)):
        found = subjects[[tokens(name) == words for name in subjects["name"]]]
    if found.empty:
        raise InputError(f"artist {artist!r} is not in the audit. Remedy: {_near(subjects, wanted)}")
    if len(found) > 1:
        slugs = ", ".join(found["subject"])
        raise InputError(f"artist {artist!r} is the name of several subjects. Remedy: give one of the slugs: {slugs}")
    row = {str(k): v for k, v in found.iloc[0].to_dict().items()}
    _refuse(connection, row)
    return row


def _near(subjects: pd.DataFrame, wanted: str) -> str:
    own = subjects[subjects["kind"].isin(AUDITED_KINDS)]
    known = {str(n).strip().casefold(): str(n) for n in own["name"]} | dict(
        zip(own["subject"], own["name"], strict=True)
    )
    near = list(dict.fromkeys(known[n] for n in get_close_matches(wanted, known, n=8, cutoff=0.6)))[:5]
    if near:
        return f"did you mean {', '.join(repr(n) for n in near)}?"
    return 'add the artist to the artists\' table and run `audit-assets run`; `audit-assets sql "SELECT subject, name FROM subjects"` lists the subjects.'


def _refuse(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> None:
    who = f"{row['name']!r} ({row['subject']})"
    if row["kind"] not in AUDITED_KINDS:
        raise InputError(f"{who} is a control ({row['kind']}), not an artist. Remedy: name an artist of the audit.")
    if row["retired"]:
        raise InputError(
            f"{who} has left the roster; its images are no longer measured. Remedy: add the artist again, and run `audit-assets run`."
        )
    if works(connection, row["subject"]).empty:
        raise InputError(
            f"{who} has no reference works, so no image can be compared with the artist's work. Remedy: put at least three real works into the folder "
            f"{row['subject']}/ below the audit's `references`, and run `audit-assets run`."
        )


def versions_with_images(connection: duckdb.DuckDBPyConnection, subject: str, who: str) -> list[str]:
    """Model versions that have images of the artist, in the order of audit.yaml.

    Raises InputError if no version has any; the message names the versions that were retired.
    """
    made = read.rows(
        connection,
        "SELECT DISTINCT model_version FROM imitations WHERE subject = $subject AND image_sha256 IS NOT NULL",
        {"subject": subject},
    )["model_version"]
    found = [v for v in read.audited_versions(connection) if v in set(made)]
    if not found:
        known = read.versions(connection)
        retired = ", ".join(known.loc[known["retired"].astype(bool), "model_version"])
        why = f" (retired, no longer audited: {retired})" if retired else ""
        raise InputError(
            f"no model version has images of {who!r}{why}. Remedy: approve a model version, or supply its images, and run `audit-assets run`."
        )
    return found


def works(connection: duckdb.DuckDBPyConnection, subject: str) -> pd.DataFrame:
    return rows_of(connection, "reference_works", subject, "work").dropna(subset=["image_sha256"])


def rows_of(connection: duckdb.DuckDBPyConnection, table: str, subject: str, order: str) -> pd.DataFrame:
    """A table's rows of one subject. ``table`` and ``order`` come from this package, never from a user."""
    own = duckdb.ColumnExpression("subject") == duckdb.ConstantExpression(subject)
    return connection.table(table).filter(own).order(order).df()


def trials(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """Each image of the artist by each encoder, among the labels of the verdict, labelled with the template it was prompted with."""
    return read.rows(
        connection,
        """
        SELECT t.*, coalesce(s.name, t.predicted_label) AS predicted_name
        FROM identification_trials t
        JOIN verdicts v USING (protocol, model_version, encoder, subject, label_set)
        LEFT JOIN subjects s ON s.subject = t.predicted_label
        WHERE t.protocol = $protocol AND t.subject = $subject AND (t.template = t.label_template OR
          (t.template < 0 AND t.label_template = 0))
        ORDER BY t.model_version, t.encoder, t.template, t.trial
        """,
        {"protocol": protocol, "subject": subject},
    )


def verdicts(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """Each encoder's verdict in each version, with the figures that it follows from."""
    return read.rows(
        connection,
        """
        SELECT v.* REPLACE (v.kind::VARCHAR AS kind), g.encoders, g.encoders_auditable, g.encoders_imitated,
               c.labels, c.names, c.names_reaching, c.level, c.recombined_names, c.recombined_reaching, c.recombined_p,
               i.works, i.independent_works, i.called, m.auc, m.auc_low, m.auc_high,
               (SELECT list(coalesce(s.name, x.other_subject) ORDER BY x.gap, x.other_subject) FROM confusable_artists x
                LEFT JOIN subjects s ON s.subject = x.other_subject
                WHERE x.protocol = v.protocol AND x.encoder = v.encoder AND x.subject = v.subject) AS confusable
        FROM verdicts v
        LEFT JOIN verdict_agreement g USING (protocol, model_version, subject)
        LEFT JOIN name_controls c USING (protocol, model_version, encoder, subject)
        LEFT JOIN positive_control i USING (protocol, model_version, encoder, subject)
        LEFT JOIN (SELECT protocol, model_version, encoder, subject, max(auc) AS auc, max(auc_low) AS auc_low,
                          max(auc_high) AS auc_high FROM matching_by_subject
                   WHERE test = 'rank_sum_exact' AND alternative = 'closer' AND control = 'none' GROUP BY ALL) m
          USING (protocol, model_version, encoder, subject)
        WHERE v.protocol = $protocol AND v.subject = $subject ORDER BY v.rowid
        """,
        {"protocol": protocol, "subject": subject},
    )


def answers(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """The three answers of each encoder in each version. A question that an encoder cannot be asked has no row."""
    return read.rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM answers WHERE protocol = $protocol AND subject = $subject "
        "ORDER BY model_version, encoder, list_position(['steers', 'towards', 'seen'], question)",
        {"protocol": protocol, "subject": subject},
    )


def copies(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """Near-identical works and images that concern the artist, with the name of the other artist."""
    return read.rows(
        connection,
        "SELECT n.*, s.name AS other_name FROM near_copies n LEFT JOIN subjects s "
        "ON s.subject = if(n.subject = $subject, n.other_subject, n.subject) "
        "WHERE n.protocol = $protocol AND (n.subject = $subject OR n.other_subject = $subject) ORDER BY n.rowid",
        {"protocol": protocol, "subject": subject},
    )


def tests(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """Every test on the artist, and how often the same test is significant with works of another artist in place of the artist's."""
    return read.rows(
        connection,
        """
        SELECT model_version, encoder, test, alternative, adjustment,
               max(p_value) FILTER (control = 'none') AS p_value, max(p_floor) FILTER (control = 'none') AS p_floor,
               max(p_adjusted) FILTER (control = 'none') AS p_adjusted, max(significant) FILTER (control = 'none') AS significant,
               bool_or(unreachable) FILTER (control = 'none') AS unreachable,
               max(references_used) FILTER (control = 'none') AS references_used,
               max(reason) FILTER (control = 'none') AS reason,
               max(significant) FILTER (control = 'reassigned') AS reassigned
        FROM matching_by_subject WHERE protocol = $protocol AND subject = $subject
        GROUP BY ALL ORDER BY model_version, encoder, test, alternative, adjustment
        """,
        {"protocol": protocol, "subject": subject},
    )


def compared(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    return read.rows(
        connection,
        "SELECT c.* REPLACE (c.kind::VARCHAR AS kind), s.name, s.opted_out FROM model_comparison_by_subject c "
        "JOIN subjects s USING (subject) WHERE c.protocol = $protocol AND c.subject = $subject ORDER BY c.rowid",
        {"protocol": protocol, "subject": subject},
    )


# ---- from the embeddings that are published with the results
@dataclass(frozen=True)
class Nearest:
    """The real works nearest to one image: the artist's own, and another artist's. Cosine similarities."""

    own_work: str
    own_similarity: float
    other_work: str | None
    other_name: str
    other_similarity: float


def nearest_works(
    connection: duckdb.DuckDBPyConnection, subject: str, model_version: str, encoder: str
) -> dict[tuple[int, int], Nearest]:
    """(template, trial) -> the nearest real works to that imitation. Works without a picture are left out."""
    real = read.embeddings(connection, "reference_embeddings", encoder).merge(
        read.rows(
            connection,
            "SELECT subject, work, image_sha256, s.name FROM reference_works JOIN subjects s USING (subject) "
            "WHERE image_sha256 IS NOT NULL",
        ),
        on=["subject", "work"],
    )
    images = _imitations(connection, encoder, model_version)
    images = images[images["subject"] == subject]
    own, others = real[real["subject"] == subject], real[real["subject"] != subject]
    if images.empty or own.empty:
        return {}
    made = _float64(images)
    likeness, elsewhere = made @ _float64(own).T, made @ _float64(others).T if len(others) else np.empty((len(made), 0))
    found = {}
    for place, key in enumerate(zip(images["template"].astype(int), images["trial"].astype(int), strict=True)):
        mine = int(likeness[place].argmax())
        theirs = int(elsewhere[place].argmax()) if len(others) else None
        found[key] = Nearest(
            str(own["image_sha256"].iloc[mine]),
            float(likeness[place, mine]),
            None if theirs is None else str(others["image_sha256"].iloc[theirs]),
            "" if theirs is None else str(others["name"].iloc[theirs]),
            float("nan") if theirs is None else float(elsewhere[place, theirs]),
        )
    return found


def background_probabilities(
    connection: duckdb.DuckDBPyConnection, subject: str, model_version: str, encoder: str, label_set: str
) -> dict[str, pd.DataFrame]:
    """The probability of this artist's label for groups of pictures, among the labels of one set: columns image, value.

    Keys 'imitations', 'real works', 'other artists', 'random names'. Only images of the first
    template, which the labels use too: the artist's own values are those of `identification_trials`.
    """
    subjects = read.rows(connection, "SELECT * REPLACE (kind::VARCHAR AS kind) FROM subjects ORDER BY rowid")
    kinds = subjects.set_index("subject")["kind"]
    labels, members = (
        read.embeddings(connection, "label_embeddings", encoder),
        label_sets(subjects).get(label_set, []),
    )
    if subject not in members:
        return {}
    names, embeddings = label_embeddings(labels, members, 0)
    scale = read.encoders(connection).set_index("encoder")["logit_scale"].astype(float)[encoder]

    def values(pictures: pd.DataFrame, key: str) -> pd.DataFrame:
        if pictures.empty:
            return pd.DataFrame({"image": [], "value": []})
        found = class_probabilities(vectors(pictures["embedding"]), embeddings, float(scale))
        return pd.DataFrame({"image": pictures[key].to_numpy(), "value": found[:, names.index(subject)]})

    images = _imitations(connection, encoder, model_version)
    images = images[images["template"] == 0]
    real = read.embeddings(connection, "reference_embeddings", encoder)
    whose = images["subject"].map(kinds)
    return {
        "imitations": values(images[images["subject"] == subject], "trial"),
        "real works": values(real[real["subject"] == subject], "work"),
        "other artists": values(images[whose.isin(AUDITED_KINDS) & (images["subject"] != subject)], "trial"),
        "random names": values(images[whose == "random_name"], "trial"),
    }


def background_similarities(
    connection: duckdb.DuckDBPyConnection, subject: str, model_version: str, encoder: str
) -> dict[str, pd.DataFrame]:
    """Mean cosine similarity of groups of images to the artist's real works: columns image, value.

    Keys as in ``background_probabilities``, without 'real works'. Only images of prompts that name their subject.
    """
    real = read.embeddings(connection, "reference_embeddings", encoder)
    own = real[real["subject"] == subject]
    images = _imitations(connection, encoder, model_version)
    images = images[images["template"] >= 0]
    if own.empty or images.empty:
        return {}
    kinds = read.rows(connection, "SELECT subject, kind::VARCHAR AS kind FROM subjects").set_index("subject")["kind"]
    images = images.assign(value=_float64(images) @ _float64(own).mean(axis=0), image=images["trial"])
    whose = images["subject"].map(kinds)
    return {
        "imitations": images[images["subject"] == subject][["image", "value"]],
        "other artists": images[whose.isin(AUDITED_KINDS) & (images["subject"] != subject)][["image", "value"]],
        "random names": images[whose == "random_name"][["image", "value"]],
    }


def _imitations(connection: duckdb.DuckDBPyConnection, encoder: str, model_version: str) -> pd.DataFrame:
    """Embeddings of one version's images that are not blank, in order."""
    made = read.embeddings(connection, "imitation_embeddings", encoder)
    ok = read.rows(
        connection,
        "SELECT subject, template, trial FROM imitations WHERE model_version = $model_version AND status = 'ok'",
        {"model_version": model_version},
    )
    made = made[made["model_version"] == model_version].merge(ok, on=_IMAGE)
    return made.sort_values(_IMAGE, ignore_index=True)


def _float64(rows: pd.DataFrame) -> np.ndarray:
    """Unit rows: their products are cosines."""
    values = vectors(rows["embedding"]).astype(np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))
