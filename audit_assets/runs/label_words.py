"""What encoders do not read of the labels, which `plan` and `run` say before any image is made."""

from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.results.label_sets import unread_names
from audit_assets.untrusted.terminal import one_line
from audit_assets.workspace import Workspace


def label_words(ws: Workspace) -> tuple[list[str], frozenset[str]]:
    """What encoders do not read of the labels, in words, and the subjects of whose names the deciding encoder reads no word."""
    words, notes = EmbeddingStage(ws).label_words()
    labels = words.get(ws.audit.deciding_encoder.name)
    unread = frozenset[str]() if labels is None else unread_names(labels, ws.subjects())
    return [one_line(note) for note in notes], unread
