"""Queries on the images of one model version and on the files beside them."""

import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults


def unread_files(results: ModelResults) -> pd.DataFrame:
    """Files of real works, and of this version's folder of images, that the audit did not read."""
    found = read.optional(results.connection, "unread_files")
    return found if found.empty else found[found["place"].isin(["references", "background", results.model_version])]


def image_statuses(results: ModelResults) -> pd.DataFrame:
    """How many images have each status, per kind of subject."""
    return results.ask(
        "SELECT s.kind::VARCHAR AS kind, i.status, count(*) AS images FROM imitations i JOIN subjects s USING (subject) "
        "WHERE i.model_version = $model_version GROUP BY ALL ORDER BY kind, status"
    )


def withheld(results: ModelResults) -> pd.DataFrame:
    """Subjects of which images were withheld, the most first: name, kind, images asked for, and how many of each status."""
    return results.ask(
        "SELECT s.subject, s.name, s.kind::VARCHAR AS kind, count(*) AS asked, count(*) FILTER (i.status = 'refused') AS refused, "
        "count(*) FILTER (i.status = 'rewritten') AS rewritten, count(*) FILTER (i.status = 'blocked') AS blocked, "
        "count(*) FILTER (i.status = 'failed') AS failed, string_agg(DISTINCT a.code, ', ' ORDER BY a.code) AS codes "
        "FROM imitations i JOIN subjects s USING (subject) LEFT JOIN api_answers a USING (model_version, subject, template, trial) "
        "WHERE i.model_version = $model_version AND i.status NOT IN ('not_supplied', 'copy') GROUP BY s.subject, s.name, s.kind "
        "HAVING refused + rewritten + blocked + failed > 0 ORDER BY refused + rewritten + blocked + failed DESC, s.name"
    )


def copies(results: ModelResults) -> pd.DataFrame:
    """Near-identical works and images by this encoder."""
    return results.ask(
        "SELECT n.what, n.subject, s.name, n.image_sha256, n.other_subject, o.name AS other, n.other_sha256, n.cosine "
        "FROM near_copies n JOIN subjects s USING (subject) LEFT JOIN subjects o ON o.subject = n.other_subject "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder ORDER BY n.rowid"
    )


def copy_detection(results: ModelResults) -> dict[str, object] | None:
    """How near copies of real works were found in this version; None if an earlier version of the audit never looked for them."""
    rows = results.ask(
        "SELECT * FROM copy_detection WHERE protocol = $protocol AND model_version = $model_version"
    ).to_dict("records")
    return {str(k): v for k, v in rows[0].items()} if rows else None


def copies_of_works(results: ModelResults) -> pd.DataFrame:
    """Images that are near copies of a real work, the most similar first, with the names of both artists."""
    return results.ask(
        "SELECT c.* REPLACE (c.kind::VARCHAR AS kind), s.name, o.name AS other FROM image_copies c JOIN subjects s USING (subject) "
        "JOIN subjects o ON o.subject = c.other_subject WHERE protocol = $protocol AND model_version = $model_version AND is_copy "
        "ORDER BY c.similarity DESC, c.score DESC, c.subject, c.template, c.trial"
    )


def texts(results: ModelResults) -> dict[str, int]:
    """How many images were read, in how many text was found, and in how many it names the subject."""
    row = results.ask(
        "SELECT count(*) AS images, count(*) FILTER (len(texts) > 0) AS with_text, count(*) FILTER (names_artist) AS naming "
        "FROM image_texts WHERE model_version = $model_version"
    ).iloc[0]
    return {name: int(row[name]) for name in ("images", "with_text", "naming")}
