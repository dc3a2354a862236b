"""`audit.yaml` and the protocol that it names. One file describes an audit, pydantic models check it, and errors name the line."""

from audit_assets.config.arms import REFERENCE_IMAGE, UNPROMPTED, WITHOUT_NAME, Arm
from audit_assets.config.audit import Audit
from audit_assets.config.fields import KEY, Key
from audit_assets.config.load import PROTOCOLS, load_audit, load_protocol, protocol_file
from audit_assets.config.models import ApiEntry, EmbeddingEntry, EncoderEntry, LoraEntry, ModelEntry
from audit_assets.config.people import Captions, Controls, OneArtist, Roster
from audit_assets.config.protocol import FEWEST_IMAGES, INDIRECT, OTHER, Comparison, MatchingTests, Protocol

__all__ = [
    "FEWEST_IMAGES",
    "INDIRECT",
    "KEY",
    "OTHER",
    "PROTOCOLS",
    "REFERENCE_IMAGE",
    "UNPROMPTED",
    "WITHOUT_NAME",
    "ApiEntry",
    "Arm",
    "Audit",
    "Captions",
    "Comparison",
    "Controls",
    "EmbeddingEntry",
    "EncoderEntry",
    "Key",
    "LoraEntry",
    "MatchingTests",
    "ModelEntry",
    "OneArtist",
    "Protocol",
    "Roster",
    "load_audit",
    "load_protocol",
    "protocol_file",
]
