"""Every image of an audit as one row to look at: who was asked for, what the encoder saw, and how near the artist's works it lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd

from audit_assets.errors import InputError
from audit_assets.publication.queries import database as read
from audit_assets.warehouse.store import vectors

KEYS = ["subject", "template", "trial"]
"""What one image of a version and the image of another version have in common."""
ANY = ""
SORTS = {
    "order": ([], True),
    "probability, highest first": (["probability"], False),
    "probability, lowest first": (["probability"], True),
    "similarity, highest first": (["similarity"], False),
    "similarity, lowest first": (["similarity"], True),
}
_IMAGES = """
SELECT i.model_version, i.subject, s.name, s.kind::VARCHAR AS kind, i.template, i.trial, i.prompt, i.seed::VARCHAR AS seed, i.status,
       i.image_sha256, v.verdict, t.probability_of_subject AS probability,
       CASE WHEN t.predicted_label IS NULL OR t.predicted_label = i.subject THEN NULL
            ELSE coalesce(p.name, replace(t.predicted_label, 'default:', '')) END AS mistaken_for
FROM imitations i
JOIN subjects s USING (subject)
LEFT JOIN verdicts v ON v.protocol = $protocol AND v.encoder = $encoder AND v.model_version = i.model_version AND v.subject = i.subject
LEFT JOIN identification_trials t ON t.protocol = $protocol AND t.encoder = $encoder AND t.model_version = i.model_version
  AND t.subject = i.subject AND t.template = i.template AND t.trial = i.trial AND t.label_set = coalesce(v.label_set, 'joint')
  AND (t.label_template = t.template OR (t.template < 0 AND t.label_template = 0))
LEFT JOIN subjects p ON p.subject = t.predicted_label
WHERE i.model_version = $model_version AND i.image_sha256 IS NOT NULL ORDER BY i.subject, i.template, i.trial
"""


@dataclass(frozen=True)
class Choice:
    """Which images to show. An empty value is no restriction."""

    artist: str = ANY
    """A part of the name, upper case ignored."""
    kind: str = ANY
    verdict: str = ANY
    mistaken_for: str = ANY
    version: str = ANY
    sort: str = "order"


def images(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """One row per image of every audited version, by the primary encoder. A seed is text: JavaScript would round it.

    `similarity` is the cosine to the nearest of the subject's real works; NaN if the subject has none. `probability` is that of the
    subject's own label, among the labels of the verdict.
    """
    encoder = read.primary_encoder(connection)
    versions = read.audited_versions(connection)
    if not versions:
        raise InputError("no model version has results. Remedy: run `audit-assets run`.")
    found = [
        read.rows(
            connection,
            _IMAGES,
            {"protocol": read.primary_protocol(connection, v), "encoder": encoder, "model_version": v},
        )
        for v in versions
    ]
    table = pd.concat(found, ignore_index=True)
    key = ["model_version", *KEYS]
    similarity = _similarity(connection, encoder)
    table = (
        table.merge(similarity, how="left", on=key, validate="many_to_one")
        if len(similarity)
        else table.assign(similarity=np.nan)
    )
    if table.duplicated(key).any():
        raise InputError("the database has two predictions of one image. Remedy: run `audit-assets verify`.")
    return table


def _similarity(connection: duckdb.DuckDBPyConnection, encoder: str) -> pd.DataFrame:
    """The cosine of each image to the nearest of its subject's real works."""
    made = read.embeddings(connection, "imitation_embeddings", encoder)
    works = read.embeddings(connection, "reference_embeddings", encoder)
    of_works = {subject: vectors(own["embedding"]) for subject, own in works.groupby("subject")}
    found = []
    for subject, own in made.groupby("subject"):
        if subject in of_works:
            nearest = (vectors(own["embedding"]) @ of_works[subject].T).max(axis=1)
            found.append(own[["model_version", *KEYS]].assign(similarity=nearest.astype(np.float64)))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def chosen(table: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """The rows of a choice, in its order. Images without a value stand last."""
    kept = pd.Series(True, index=table.index)
    if words := choice.artist.casefold().strip():
        kept &= table["name"].str.casefold().str.contains(words, regex=False)
    for column, wanted in (
        ("kind", choice.kind),
        ("verdict", choice.verdict),
        ("mistaken_for", choice.mistaken_for),
        ("model_version", choice.version),
    ):
        if wanted:
            kept &= (table[column] == wanted).fillna(False).astype(bool)
    by, ascending = SORTS[choice.sort]
    rows = table[kept]
    return rows.sort_values(by, ascending=ascending, kind="stable", na_position="last") if by else rows


class Beside(NamedTuple):
    """One subject, template and trial, with the row of each version; None if the version has no image."""

    subject: str
    template: int
    trial: int
    images: list[dict[Any, Any] | None]


def beside_each_other(table: pd.DataFrame, rows: pd.DataFrame, versions: Sequence[str]) -> list[Beside]:
    """Each subject, template and trial of `rows` once, in their order, with the row of every version, or None if it has no image."""
    wanted = rows.drop_duplicates(KEYS)[KEYS]
    by_key = {
        (str(row["model_version"]), row["subject"], row["template"], row["trial"]): row
        for row in table.merge(wanted, on=KEYS).to_dict("records")
    }
    return [Beside(s, t, n, [by_key.get((v, s, t, n)) for v in versions]) for s, t, n in wanted.itertuples(index=False)]


def values(table: pd.DataFrame, column: str) -> list[str]:
    """The values of a column that a person can choose among."""
    return sorted(str(value) for value in table[column].dropna().unique())
