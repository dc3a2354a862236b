"""The steps of an audit: which assets each makes, and their order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

CAPTIONS = ("captions", "artist_mentions")
ROSTER = ("artist_roster", "random_names", "subjects")
MINED = ("mined_names",)
REGISTRY = ("model_versions", "encoders")
REAL_WORKS = ("reference_works", "reference_embeddings")
IMITATIONS = ("imitations", "imitation_embeddings")
ARMS = ("arm_images", "arm_embeddings")
POSITIVE_CONTROL = ("label_embeddings", "auditability")
EXPERIMENTS = (
    "image_texts",
    "image_copies",
    "identification",
    "matching",
    "verdicts",
    "sensitivity",
    "arm_results",
    "ratings",
)
COMPARISON = ("model_comparison",)
DATABASE = ("audit_database",)
REPORT = ("audit_report", "evidence_manifest")
ORDER = (
    *(*CAPTIONS, *ROSTER, *MINED, *REGISTRY, *REAL_WORKS, *IMITATIONS),
    *(*ARMS, *POSITIVE_CONTROL, *EXPERIMENTS, *COMPARISON, *DATABASE, *REPORT),
)
"""Every asset that the driver makes, step by step. Images are drawn a second time by the weekly schedule alone."""


@dataclass
class Step:
    """One Dagster run: the assets of `selection`, for one partition, for a range of partitions, or without partitions."""

    title: str
    selection: Sequence[str]
    tags: Mapping[str, str]
    partition: str | None = None
    progress: Callable[[], tuple[int, int]] | None = None
    """Images made and images wanted, if the step makes images."""
    done: Callable[[], bool] | None = None
    """Whether the warehouse holds everything that the step would make. To log a range of partitions again costs Dagster 15 ms per cell."""
    keys: frozenset[str] = frozenset()
    """The partitions of a range."""
    model: str | None = None
    """The only model version that the step concerns. An error stops this model; the audit continues with the others."""
    shared: bool = False
    """Whether several drivers work at the step at once, cell by cell. Of the other steps, each is one driver's at a time."""
    warns: bool = False
    """Whether a step with a warning counts as done: its warnings follow from what `done` compares."""
