"""Sign the root of a manifest with Ed25519, in a file beside the manifest: the signer vouches for the root.

A signature proves that the holder of the private key signed this root of this model version. A timestamp in the same
file proves that a timestamp authority saw this signature at a time (`timestamp`). Keys are PEM files as OpenSSL writes
them.
"""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_assets.config import Key
from audit_assets.errors import InputError, unreadable
from audit_assets.evidence.manifest import Manifest
from audit_assets.evidence.parts import Sha256
from audit_assets.evidence.timestamp import LARGEST as LARGEST_TIMESTAMP
from audit_assets.evidence.timestamp import asked, claimed, stated
from audit_assets.warehouse.places import whole
from audit_assets.warehouse.store import Warehouse

LARGEST = 1 << 17


class Signature(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    signature: Literal[1] = 1
    algorithm: Literal["Ed25519"] = "Ed25519"
    model_version: Key
    root: Sha256
    value: str = Field(max_length=200)
    """Base64 of the 64 bytes."""
    timestamp: str | None = Field(None, max_length=2 * LARGEST_TIMESTAMP)
    """Base64 of the answer of a timestamp authority, as RFC 3161 has it, about the signature."""

    def text(self) -> str:
        return json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, indent=1) + "\n"

    @property
    def stamped(self) -> bytes:
        """What a timestamp is about."""
        return _message(self.model_version, self.root) + self.value.encode() + b"\n"


def signature_path(model: str) -> str:
    """Return the path of a signature below the warehouse."""
    return f"manifests/{model}.signature.json"


def signature_file(warehouse: Warehouse, model: str) -> Path:
    return warehouse.root / signature_path(model)


def sign(warehouse: Warehouse, manifest: Manifest, key: Path, authority: str | None = None) -> Path:
    """Sign a manifest's root with a private key, keep the signature beside the manifest, and return its path.

    ``authority`` is the address of a timestamp authority that states when it saw the signature. Raise InputError if the
    key cannot be read, has a password, or is not Ed25519, or if the authority does not answer. Nothing is kept then.
    """
    try:
        private = load_pem_private_key(_read(key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{key}: is no private key without a password ({error}); {_HOW}.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise InputError(f"{key}: is no Ed25519 key; {_HOW}.")
    value = base64.b64encode(private.sign(_message(manifest.model_version, manifest.root))).decode()
    made = Signature(model_version=manifest.model_version, root=manifest.root, value=value)
    if authority is not None:
        answer = asked(authority, made.stamped)
        made = made.model_copy(update={"timestamp": base64.b64encode(answer).decode()})
    path = signature_file(warehouse, manifest.model_version)
    with whole(path) as file:
        file.write_text(made.text(), encoding="utf-8")
    return path


def parse_signature(content: bytes, where: str) -> Signature:
    """Raise InputError if the bytes are no signature file."""
    try:
        return Signature.model_validate_json(content)
    except ValidationError as error:
        raise InputError(
            f"{where}: is no signature ({' '.join(str(error).split())[:200]}); have it sent again."
        ) from None


def read_signature(path: Path) -> Signature:
    """Raise InputError if the file cannot be read or is no signature."""
    return parse_signature(_read(path), str(path))


def unsigned(warehouse: Warehouse, manifest: Manifest, signer: Path) -> str | None:
    """Say in words why the manifest's root has no signature for the public key ``signer``; return None if it has one.

    Raise InputError if that key cannot be read.
    """
    try:
        path = signature_file(warehouse, manifest.model_version)
        return unsigned_by(read_signature(path), manifest, signer, str(path))
    except BadKey:
        raise
    except InputError as error:
        return str(error)


def unsigned_by(found: Signature, manifest: Manifest, signer: Path, where: str) -> str | None:
    """Say in words why a signature is not that of ``signer`` over the manifest's root; return None if it is."""
    public = _public(signer)
    if (found.model_version, found.root) != (manifest.model_version, manifest.root):
        return f"{where}: signs another root ({found.root}) than the manifest's"
    try:
        public.verify(base64.b64decode(found.value, validate=True), _message(manifest.model_version, manifest.root))
    except (InvalidSignature, ValueError):
        return f"{where}: is not the signature of {signer} over this root"
    return None


@dataclass(frozen=True)
class Stamped:
    """What is known of the time of a signature: it was `seen` then, or why that is not known."""

    seen: datetime | None = None
    problem: str | None = None
    unchecked: str | None = None


def stamped_when(warehouse: Warehouse, manifest: Manifest, certificates: Path | None) -> Stamped:
    """Return when an authority saw the signature, if one of the ``certificates`` vouches for that.

    Raise InputError if the certificates cannot be read.
    """
    path = signature_file(warehouse, manifest.model_version)
    try:
        found = read_signature(path)
    except InputError as error:
        return Stamped(problem=str(error) if certificates is not None else None)
    return stamped_by(found, certificates, str(path))


def stamped_by(found: Signature, certificates: Path | None, where: str) -> Stamped:
    if found.timestamp is None:
        return Stamped(problem=None if certificates is None else f"{where}: has no timestamp; ask the signer for one")
    try:
        answer = base64.b64decode(found.timestamp, validate=True)
        if certificates is None:
            when = claimed(answer)
            return Stamped(
                unchecked=f"its timestamp, which names {said(when)}: give --timestamp-certificate the certificates of the "
                "authority"
            )
        return Stamped(seen=stated(answer, found.stamped, certificates))
    except InputError:
        raise
    except ValueError as error:
        return Stamped(problem=f"{where}: its timestamp does not hold ({error})")


def said(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class BadKey(InputError):
    """the file of a verifier's own key cannot be used"""


def _public(signer: Path) -> Ed25519PublicKey:
    try:
        public = load_pem_public_key(_read(signer))
    except InputError as error:
        raise BadKey(str(error)) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{signer}: is no public key ({error}); have it sent again.") from None
    if not isinstance(public, Ed25519PublicKey):
        raise BadKey(f"{signer}: is no Ed25519 key; have the signer's public key sent again.")
    return public


_HOW = "make one with `openssl genpkey -algorithm ed25519 -out key.pem`, and its public half with `openssl pkey -in key.pem -pubout`"


def _message(model: str, root: str) -> bytes:
    return f"audit-assets root of {model}: {root}\n".encode()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    if len(content) > LARGEST:
        raise InputError(f"{path}: is too large for a key or a signature; correct the path.")
    return bytes(content)
