"""Sign the root of a manifest with Ed25519, in a file beside the manifest: the signer vouches for the root.

A signature proves that the holder of the private key signed this root of this model version. It does not prove when. To
prove the time, give the signature file to a timestamp authority, or publish it. Keys are PEM files as OpenSSL writes
them.
"""

import base64
import json
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_assets.config import Key
from audit_assets.errors import InputError, unreadable
from audit_assets.evidence.manifest import Manifest, Sha256, manifest_file
from audit_assets.warehouse.places import whole
from audit_assets.warehouse.store import Warehouse

_LARGEST = 1 << 16


class Signature(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    signature: Literal[1] = 1
    algorithm: Literal["Ed25519"] = "Ed25519"
    model_version: Key
    root: Sha256
    value: str = Field(max_length=200)
    """Base64 of the 64 bytes."""


def signature_file(warehouse: Warehouse, model: str) -> Path:
    return manifest_file(warehouse, model).with_suffix(".signature.json")


def sign(warehouse: Warehouse, manifest: Manifest, key: Path) -> Path:
    """Sign a manifest's root with a private key, keep the signature beside the manifest, and return its path.

    Raise InputError if the key cannot be read, has a password, or is not Ed25519.
    """
    try:
        private = load_pem_private_key(_read(key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{key}: is no private key without a password ({error}); {_HOW}.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise InputError(f"{key}: is no Ed25519 key; {_HOW}.")
    value = base64.b64encode(private.sign(_message(manifest.model_version, manifest.root))).decode()
    made = Signature(model_version=manifest.model_version, root=manifest.root, value=value)
    path = signature_file(warehouse, manifest.model_version)
    with whole(path) as file:
        file.write_text(json.dumps(made.model_dump(mode="json"), sort_keys=True, indent=1) + "\n", encoding="utf-8")
    return path


def unsigned(warehouse: Warehouse, manifest: Manifest, signer: Path) -> str | None:
    """Say in words why the manifest's root has no signature for the public key ``signer``; return None if it has one.

    Raise InputError if that key cannot be read.
    """
    try:
        public = load_pem_public_key(_read(signer))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{signer}: is no public key ({error}); have it sent again.") from None
    if not isinstance(public, Ed25519PublicKey):
        raise InputError(f"{signer}: is no Ed25519 key; have the signer's public key sent again.")
    path = signature_file(warehouse, manifest.model_version)
    try:
        found = Signature.model_validate_json(_read(path))
        value = base64.b64decode(found.value, validate=True)
    except InputError as error:
        return str(error)
    except (ValidationError, ValueError) as error:
        return f"{path}: is no signature ({' '.join(str(error).split())[:200]}); have it sent again"
    if (found.model_version, found.root) != (manifest.model_version, manifest.root):
        return f"{path}: signs another root ({found.root}) than the manifest's"
    try:
        public.verify(value, _message(manifest.model_version, manifest.root))
    except InvalidSignature:
        return f"{path}: is not the signature of {signer} over this root"
    return None


_HOW = "make one with `openssl genpkey -algorithm ed25519 -out key.pem`, and its public half with `openssl pkey -in key.pem -pubout`"


def _message(model: str, root: str) -> bytes:
    return f"audit-assets root of {model}: {root}\n".encode()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    if len(content) > _LARGEST:
        raise InputError(f"{path}: is too large for a key or a signature; correct the path.")
    return bytes(content)
