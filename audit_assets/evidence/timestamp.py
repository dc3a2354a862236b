"""Timestamps by RFC 3161: an authority that the auditor names states when it saw a signature.

The authority sees a hash alone. Its answer is verified offline, against certificates that the verifier names.
"""

import http.client
import re
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from audit_assets.errors import InputError, unreadable
from audit_assets.untrusted.addresses import holds_secret
from audit_assets.untrusted.bounded import read_bounded

LARGEST = 1 << 15
"""An answer may have this many bytes. An answer with its certificates has about six thousand."""
_LARGEST_CERTIFICATES = 1 << 20
_SECONDS = 30


def asked(authority: str, message: bytes) -> bytes:
    """Return the authority's answer about a message.

    InputError is raised if the address is not one of the web or holds a secret, or if the authority does not answer,
    refuses, or answers about something else. No error repeats the query of the address.
    """
    shown = _checked(authority)
    wanted = TimestampRequestBuilder(message, HashAlgorithm.SHA512).build()
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    request = urllib.request.Request(authority, wanted.as_bytes(), headers)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as reply:
            answer: bytes = reply.read(LARGEST + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(f"{shown}: the timestamp authority does not answer ({error}); sign again later.") from None
    try:
        if len(answer) > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        found = decode_timestamp_response(answer)
        if PKIStatus(found.status) != PKIStatus.GRANTED:
            raise ValueError(f"{PKIStatus(found.status).name.lower()} {' '.join(found.status_string)}".strip())
        if (found.tst_info.nonce, found.tst_info.message_imprint.message) != (
            wanted.nonce,
            wanted.message_imprint.message,
        ):
            raise ValueError("it is about another request")
    except ValueError as error:
        raise InputError(f"{shown}: the answer is no timestamp ({error}); name another authority.") from None
    return answer


def _checked(authority: str) -> str:
    """Return the address as errors show it. InputError does not repeat an address that is refused: it may hold a password."""
    if holds_secret(authority):
        raise InputError(
            "--timestamp-authority: holds a user, a password or a token; name an authority that asks for none."
        )
    try:
        parts = urlsplit(authority)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not re.fullmatch(r"https?://[!-~]+", authority):
        raise InputError(
            "--timestamp-authority: is no address of a timestamp authority; write one that begins with https://."
        )
    return authority.partition("?")[0]


def stated(answer: bytes, message: bytes, certificates: Path) -> datetime:
    """Return when an authority saw a message, as its answer states.

    InputError is raised if the file of certificates cannot be read, and ValueError if none of them vouches for the
    answer, or if the answer is about another message. A certificate must be valid at that time; it need not be now.
    """
    try:
        known = x509.load_pem_x509_certificates(
            read_bounded(certificates, _LARGEST_CERTIFICATES, "file of certificates")
        )
    except OSError as error:
        raise InputError(f"{unreadable(certificates, error)}.") from None
    except ValueError as error:
        raise InputError(
            f"{certificates}: holds no certificates in PEM ({error}); ask the authority for them."
        ) from None
    try:
        found = decode_timestamp_response(answer)
        VerifierBuilder(roots=list(known)).build().verify_message(found, message)
    except VerificationError as error:
        raise ValueError(str(error)) from None
    return found.tst_info.gen_time


def claimed(answer: bytes) -> datetime:
    """Return the time in an answer that nobody verified. ValueError is raised if it is no answer of an authority."""
    return decode_timestamp_response(answer).tst_info.gen_time
