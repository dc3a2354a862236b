"""The stage that measures: every result table of an audit, by its recipe."""

import pandas as pd

from audit_assets.measurement.planning import ASSUMED_CORRELATION, Size
from audit_assets.results import recipe as recipes
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.comparison import COMPARISON, MODEL_TABLES, PER_MODEL, audited
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.matching import MATCHING
from audit_assets.results.recipe import Recipe
from audit_assets.results.verdicts import VERDICTS
from audit_assets.workspace import Workspace

RECIPES = (AUDITABILITY, *PER_MODEL, COMPARISON)
"""In the order in which they are made."""
__all__ = ["MODEL_TABLES", "RECIPES", "ResultStage"]


class ResultStage:
    """The results of one audit. A table that was made of the same inputs is read, not computed again."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws

    def make(self, recipe: Recipe, model: str = "") -> dict[str, pd.DataFrame]:
        """The tables of a recipe, made or read."""
        return recipes.made(self.ws, recipe, model)

    def searched(self, recipe: Recipe, model: str = "") -> list[str]:
        """What is wrong in the kept tables of a recipe, in words: what its asset's check says."""
        return recipes.searched(self.ws, recipe, model)

    def findings(self, model: str) -> list[str]:
        """What is wrong in the results of one model version, in words: they must not be published."""
        return [f for recipe in (IDENTIFICATION, MATCHING, VERDICTS) for f in self.searched(recipe, model)]

    def recomputed(self, model: str) -> list[str]:
        """What is wrong in any table of one model version: each is computed again from the tables below it, down to the
        embeddings, whether or not it was searched before."""
        return [
            f"{recipe.place(recipe.tables[0], model if recipe.per_model else '')}, or what follows from it: {finding}"
            for recipe in RECIPES
            for finding in recipes.recomputed(self.ws, recipe, model if recipe.per_model else "")
        ]

    def audited(self) -> list[str]:
        """Model versions whose results exist, in the order of audit.yaml."""
        return audited(self.ws)

    def size(self) -> Size:
        """How large this audit is, and how alike images of one artist are: measured if a model was audited, else assumed."""
        subjects = self.ws.subjects()
        referenced = set(self.ws.referenced())
        artists = subjects[(subjects["kind"] == "artist") & subjects["subject"].isin(referenced)]
        controls = (subjects["kind"] == "random_name") & ~subjects["shares_name_parts"].astype("boolean").fillna(False)
        measured = self._measured_correlation()
        return Size(
            artists=len(artists),
            controls=int(controls.sum()),
            images=self.ws.protocol.trials * len(self.ws.protocol.templates),
            pool=len(referenced),
            correlation=ASSUMED_CORRELATION if measured is None else measured,
            measured=measured is not None,
        )

    def _measured_correlation(self) -> float | None:
        for model in self.ws.audit.models:
            table = f"identification_summary/{model.name}"
            if self.ws.warehouse.inputs(table):
                rows = self.ws.warehouse.read(table)
                rows = rows[(rows["label_set"] == "criteria") & (rows["kind"] == "artist")]
                # A warehouse of an earlier version has no such column.
                known = rows.get("intra_subject_correlation", pd.Series(dtype=float)).dropna()
                if len(known):
                    return float(known.iloc[0])
        return None
