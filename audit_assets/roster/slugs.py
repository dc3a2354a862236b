"""Partition keys for names.

A slug is a pure function of the name alone. To add an artist therefore never changes another artist's partition. Two names
get the same slug only if they have the same tokens, so that no caption could tell them apart (apart from a collision of 48
bits of SHA-256). `slugs` refuses such names.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens

LONGEST_SLUG = 80
LONGEST_BASE = 64
_HASH_DIGITS = 12


def slug(name: str) -> str:
    """`name` as a partition key: `[a-z0-9_-]+`, at most 80 characters, first character a letter or digit.

    The slug has the tokens of the name, joined by hyphens. If this loses information (a token outside ASCII, no token, more
    than 64 characters), an underscore and a hash follow. Tokens contain no underscore, so a hashed slug never equals a plain
    one.
    """
    words = tokens(name)
    plain = [word for word in words if word.isascii()]
    base = "-".join(plain)
    if base and len(plain) == len(words) and len(base) <= LONGEST_BASE:
        return base
    identity = "\x1f".join(words) if words else unicodedata.normalize("NFC", name)
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{base[:LONGEST_BASE].strip('-') or 'name'}_{digest}"


def slugs(names: Sequence[str]) -> dict[str, str]:
    """Name -> slug, injective.

    Raises InputError that names both if a name occurs twice, or if two names have the same tokens.
    """
    owners: dict[str, str] = {}
    keys: dict[str, str] = {}
    for name in names:
        key = slug(name)
        if key in owners:
            raise InputError(
                f"names {owners[key]!r} and {name!r} cannot be told apart: both become {key!r}. "
                "Case, accents and punctuation do not distinguish names in captions; "
                "remove one, or list it among the aliases of the other."
            )
        owners[key] = name
        keys[name] = key
    return keys
