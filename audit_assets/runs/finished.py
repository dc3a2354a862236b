"""Which steps of a run are finished: nothing that they make would be new.

Each answer comes from the hashes by which the stages themselves recognise finished work. A run of Dagster over finished work takes a second.
"""

from dataclasses import dataclass
from functools import cached_property

from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.encoders.text_stage import TextStage
from audit_assets.evidence import cover, manifest
from audit_assets.generation.arms import ArmStage
from audit_assets.generation.stage import ImitationStage
from audit_assets.models.registry import registry, usable_encoders
from audit_assets.models.tables import encoder_tables, model_tables
from audit_assets.publication.stage import PublicationStage
from audit_assets.references.stage import ReferenceStage
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.comparison import COMPARISON
from audit_assets.results.recipe import is_made
from audit_assets.results.stage import ResultStage
from audit_assets.roster.mentions import MentionScan
from audit_assets.roster.stage import RosterStage
from audit_assets.workspace import Workspace


@dataclass(frozen=True)
class Finished:
    """The steps of one audit."""

    ws: Workspace

    @cached_property
    def _embeddings(self) -> EmbeddingStage:
        return EmbeddingStage(self.ws)

    def captions(self) -> bool:
        """Whether every caption file is scanned for the current names."""
        return MentionScan(self.ws.audit, self.ws.warehouse).done()

    def roster(self, *, mined: bool) -> bool:
        """Whether roster, controls and subjects are current, the folders of real works are listed as they are, and, if the audit
        asks for it, names were proposed from the captions.
        """
        stage = RosterStage(self.ws.audit, self.ws.warehouse)
        return stage.done() and (not mined or stage.mined_done()) and ReferenceStage(self.ws).are_listed()

    def registry(self) -> bool:
        """Whether the tables of models and encoders are those of the current files, and nothing is refused."""
        audit, warehouse = self.ws.audit, self.ws.warehouse
        known = (model_tables(audit, registry(audit, warehouse)), encoder_tables(audit, usable_encoders(audit)))
        return all(tables.are_written(warehouse) for tables in known)

    def references(self) -> bool:
        """Whether every real work is read and embedded."""
        stage = ReferenceStage(self.ws)
        return stage.done() and self._embeddings.done("reference", stage.tables())

    def imitations(self, model: str) -> bool:
        """Whether every image of a model version is made and embedded."""
        tables = [f"imitations/{model}/{s}" for s in self.ws.prompted()]
        return ImitationStage(self.ws).done(model) and self._embeddings.done("imitation", tables)

    def arms(self, model: str) -> bool:
        """Whether the same holds for the images of the arms."""
        return ArmStage(self.ws).done(model) and self._embeddings.arms_done(model)

    def positive_control(self) -> bool:
        """Whether labels are embedded and the positive control is computed from them."""
        return self._embeddings.labels_done() and is_made(self.ws, AUDITABILITY)

    def experiments(self, model: str) -> bool:
        """Whether every result of a model version is computed, and searched for contradictions."""
        made = self.arms(model) and TextStage(self.ws).done(model) and self._embeddings.sigmoid_done(model)
        if not (made and ResultStage(self.ws).all_done(model)):
            return False
        for image in ImitationStage(self.ws).first_images(model):  # which the run shows in the UI
            self.ws.images.content(image)
        return True

    def comparison(self) -> bool:
        """Whether the versions that exist are compared."""
        return ResultStage(self.ws).done(COMPARISON)

    def database(self) -> bool:
        """Whether the published database has the rows of the tables as they are."""
        return PublicationStage(self.ws).done()

    def report(self, model: str) -> bool:
        """Whether report, artists' pages and manifest of a model version are those of the database, and the pages say what the manifest says."""
        made = PublicationStage(self.ws).report_done(model) and manifest.is_made(self.ws, model)
        return made and cover.is_stamped(self.ws)
