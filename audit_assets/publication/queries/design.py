"""The design of an audit as its published tables have it: how many names, images, works and artists each test had."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from audit_assets.publication.queries import database as read


@dataclass(frozen=True)
class Range:
    """The least, the usual (median) and the greatest number; None if nothing was counted."""

    least: int
    usual: int
    most: int

    def __str__(self) -> str:
        return str(self.usual) if self.least == self.most else f"{self.least} to {self.most}, median {self.usual}"


@dataclass(frozen=True)
class Design:
    """Of one model version and encoder. ``level``: the p-value that passes in identification. ``by_own_cell``, ``by_name_test``: artists
    whom the test decided; one who could not be tested is in neither.
    """

    artists: int
    names: Range | None
    level: float | None
    images: Range | None
    works: Range | None
    others: int
    by_own_cell: int
    by_name_test: int
    seen: int
    seen_tested: int
    reassigned: float | None
    alpha: float


def design(connection: read.Connection, protocol: str, model_version: str, encoder: str) -> Design:
    keys = {"protocol": protocol, "model_version": model_version, "encoder": encoder}
    where = "protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND kind = 'artist'"

    def of(column: str, table: str) -> Range | None:
        sql = f"SELECT min({column}) AS least, median({column}) AS usual, max({column}) AS most FROM {table} WHERE {where}"  # noqa: S608
        row = read.rows(connection, sql, keys).iloc[0]
        return None if row.isna().any() else Range(*(round(float(row[c])) for c in ("least", "usual", "most")))

    def one(sql: str, parameters: dict[str, Any] | None = None) -> Any:
        found: Any = read.rows(connection, sql, keys if parameters is None else parameters).iloc[0, 0]
        return None if pd.isna(found) else float(found)

    verdicts = f"SELECT count(*) FROM verdicts WHERE {where}"  # noqa: S608
    works = one("SELECT count(DISTINCT subject) FROM reference_works WHERE image_sha256 IS NOT NULL", {})
    level = one(f"SELECT max(level) FROM name_controls WHERE {where}")  # noqa: S608
    reassigned = one(
        f"SELECT max(share) FROM matching_summary WHERE {where} AND test = 'own_cell' AND control = 'reassigned' AND adjustment = 'none'"  # noqa: S608
    )
    return Design(
        artists=int(one(verdicts)),
        names=of("names", "name_controls"),
        level=None if level is None else float(level),
        images=of("shown", "name_controls"),
        works=of("independent_works", "positive_control"),
        others=max(0, int(works) - 1),
        by_own_cell=int(one(f"{verdicts} AND test = 'own_cell' AND p_value IS NOT NULL")),
        by_name_test=int(one(f"{verdicts} AND test = 'name_test' AND p_value IS NOT NULL")),
        seen=int(one(f"{verdicts} AND seen = 'yes'")),
        seen_tested=int(one(f"{verdicts} AND seen IN ('yes', 'no')")),
        reassigned=None if reassigned is None else float(reassigned),
        alpha=read.alpha(connection, protocol),
    )
