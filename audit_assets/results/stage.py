"""Make every result table of an audit by its recipe."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from audit_assets.measurement.design import Design, Stratum
from audit_assets.results import recipe as recipes
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.comparison import COMPARISON, MODEL_TABLES, PER_MODEL, RESULTS, audited
from audit_assets.results.copies import COPIES
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.label_sets import label_counts, labels_of_strata
from audit_assets.results.matching import MATCHING
from audit_assets.results.recipe import Recipe
from audit_assets.results.sensitivity import SENSITIVITY
from audit_assets.results.verdicts import VERDICTS
from audit_assets.roster.pictures import different
from audit_assets.roster.strata import strata_of
from audit_assets.roster.subjects import CONTROL_KINDS
from audit_assets.workspace import Workspace

RECIPES = (AUDITABILITY, *PER_MODEL, COMPARISON)
"""The recipes, in the order in which they are made."""
__all__ = ["MODEL_TABLES", "RECIPES", "ResultStage"]


class ResultStage:
    """The results of one audit. A table that was made from the same inputs is read, not computed again."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws

    def make(self, recipe: Recipe, model: str = "") -> dict[str, pd.DataFrame]:
        """Make or read the tables of a recipe."""
        return recipes.made(self.ws, recipe, model)

    def searched(self, recipe: Recipe, model: str = "") -> list[str]:
        """Describe in words what is wrong in the kept tables of a recipe; the check of its asset reports this."""
        return recipes.searched(self.ws, recipe, model)

    def done(self, recipe: Recipe, model: str = "") -> bool:
        """Say whether `make` and `searched` would make and find nothing."""
        return recipes.is_made(self.ws, recipe, model) and recipes.is_searched(self.ws, recipe, model)

    def all_done(self, model: str) -> bool:
        """Say whether every result of a model version exists as the audit is now, and none is recorded as wrong."""
        if any(where.startswith(f"{RESULTS}{model}/") for where in self.ws.left_out()):
            return False
        return recipes.is_made(self.ws, SENSITIVITY, model) and all(
            self.done(recipe, model) for recipe in PER_MODEL if recipe is not SENSITIVITY
        )

    def findings(self, model: str) -> list[str]:
        """Describe what is wrong in one model version's results. Results with findings must not be published."""
        return [f for recipe in (COPIES, IDENTIFICATION, MATCHING, VERDICTS) for f in self.searched(recipe, model)]

    def recomputed(self, model: str) -> list[str]:
        """Describe what is wrong in any table of one model version.

        Each table is computed again from the tables that it is made from, down to the embeddings, even if it was
        searched before.
        """
        return [
            f"{recipe.place(recipe.tables[0], model if recipe.per_model else '')}, or what follows from it: {finding}"
            for recipe in RECIPES
            for finding in recipes.recomputed(self.ws, recipe, model if recipe.per_model else "")
        ]

    def audited(self) -> list[str]:
        """List the model versions whose results exist, in the order of audit.yaml."""
        return audited(self.ws)

    def has_results(self, model: str) -> bool:
        """Say whether every result table of a model version exists, whatever it was made from."""
        return all(self.ws.warehouse.made(f"{table}/{model}") for table in MODEL_TABLES)

    def design(self, unread: Collection[str] = (), works: Mapping[str, int] | None = None) -> Design | None:
        """Return the design that the run will use; None if no artist is audited.

        `unread` lists the subjects of whose names the deciding encoder reads no word. `works` has the number of each artist's works;
        without it, the files are opened and counted as a run counts them.
        """
        ws, protocol = self.ws, self.ws.protocol
        subjects = ws.subjects()
        referenced = set(ws.referenced())
        if works is None:
            files = ws.works().files if referenced else {}
            works = {str(s): different(files.get(str(s), ())) for s in subjects["subject"]}
        strata = planned_strata(subjects, works, unread)
        if not strata:
            return None
        labels = label_counts(subjects, protocol)
        audited = subjects["kind"] == "artist"
        opted_out = audited & subjects["opted_out"].fillna(False).astype(bool)
        return Design(
            strata=strata,
            background=sum(works.get(s, 0) > 0 for s in referenced - set(subjects.loc[audited, "subject"])),
            images=protocol.trials * len(protocol.templates),
            labels=(labels.get("criteria", 0), labels.get("random_names", 0), labels.get("joint", 0)),
            has_text=ws.audit.deciding_encoder.kind == "image_text",
            opted_out=int(opted_out.sum()),
            opted_out_unread=int((opted_out & subjects["subject"].astype(str).isin(unread)).sum()),
            alpha=protocol.matching.alpha,
            correlation=self._measured_correlation(),
        )

    def _measured_correlation(self) -> float:
        """Return the correlation of right and wrong between images of one artist.

        It is measured if a model was audited, else assumed.
        """
        for model in self.ws.audit.models:
            table = f"identification_summary/{model.name}"
            if self.ws.warehouse.inputs(table):
                rows = self.ws.warehouse.read(table)
                rows = rows[(rows["label_set"] == "criteria") & (rows["kind"] == "artist")]
                # A warehouse of an earlier version does not have this column.
                known = rows.get("intra_subject_correlation", pd.Series(dtype=float)).dropna()
                if len(known):
                    return float(min(1.0, max(0.0, known.iloc[0])))
        return Design.correlation


def planned_strata(
    subjects: pd.DataFrame, works: Mapping[str, int], unread: Collection[str] = ()
) -> dict[str, Stratum]:
    """Return the strata that have an audited artist, with the artists' numbers of works and the names beside them.

    `unread` lists the subjects of whose names the deciding encoder reads no word.
    """
    rows = subjects[subjects["kind"] != "background"]
    rows = rows[~rows["shares_name_parts"].astype("boolean").fillna(False).astype(bool)]
    stratum = rows["subject"].astype(str).map(strata_of(subjects))
    number = rows["subject"].astype(str).map(works).fillna(0).astype(int)
    labels = labels_of_strata(subjects, strata_of(subjects))
    silent = rows["subject"].astype(str).isin(unread)
    found = {}
    for name in dict.fromkeys(stratum[rows["kind"] == "artist"]):
        here = stratum == name
        audited, control = here & (rows["kind"] == "artist"), here & rows["kind"].isin(CONTROL_KINDS)
        other = here & ~audited & ~control
        found[str(name)] = Stratum(
            works=tuple(number[audited].tolist()),
            names=int(control.sum()),
            others=int(other.sum()),
            others_with_works=int((other & (number > 0)).sum()),
            labels=(labels["criteria", str(name)], labels["random_names", str(name)]),
            unread=frozenset(np.flatnonzero(silent[audited]).tolist()),
            unread_names=int((control & silent & (rows["kind"] == "random_name")).sum()),
            nonsense=int((control & (rows["kind"] == "nonsense")).sum()),
        )
    return found
