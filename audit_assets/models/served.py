"""Models that are served behind an images API (`/v1/images/generations`, and `/v1/images/edits` with a picture). No file of such a model is here, and none is hashed."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit, urlunsplit

from audit_assets.config import ApiEntry, ModelEntry
from audit_assets.errors import InputError
from audit_assets.models.pipelines import ResolvedModel
from audit_assets.untrusted.addresses import holds_secret

ENDPOINT, EDITS = "/images/generations", "/images/edits"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


_SHORTEST = 4
"""A value in the address's query is a secret if it has this many characters. A shorter one, such as `v=1`, occurs in any text."""
_LONG = 16
"""A value of this length is a secret whatever its parameter is called. A shorter one, such as `format=json`, may be an ordinary word."""
_VERSION = re.compile(r"(/v\d+)?/?")
"""A path that says no more than the version of the API."""


def _spelt(letter: str) -> str:
    """Return a pattern of a letter as it is, or as JSON may write it."""
    short = r"|\\/" if letter == "/" else ""
    return rf"(?:{re.escape(letter)}|\\u(?i:{ord(letter):04x}){short})"


def resolve_served(entry: ModelEntry) -> ResolvedModel:
    """Resolve a model by what it is sent. Neither the address nor the key is part of it, so the environment is not read."""
    seeds = entry.asked.seed_bits if entry.asked.seeds else None
    settings = {"model": entry.model, **entry.settings, "seed_bits": seeds}
    return ResolvedModel(entry.name, "api", Path(), None, None, "", (), settings, api=entry.asked)


def sent(resolved: ResolvedModel) -> dict[str, Any]:
    """Return what each call is sent beside the prompt and the seed. One call asks for one image."""
    body = {name: value for name, value in resolved.settings.items() if name != "seed_bits"}
    if isinstance(size := body.get("size"), int):
        body["size"] = f"{size}x{size}"
    return {**body, "n": 1}


@dataclass(frozen=True)
class Server:
    """The address that calls go to, and the key. Both are secrets: nothing that is kept or shown has them."""

    url: str
    key: str | None
    key_header: str = "Authorization"

    @property
    def headers(self) -> dict[str, str]:
        """Return the header that carries the key; none without a key."""
        bare = self.key_header.lower() != "authorization"
        return {self.key_header: self.key if bare else f"Bearer {self.key}"} if self.key else {}

    @property
    def edits(self) -> str:
        """Return the address that takes a picture beside the prompt."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=parts.path.removesuffix(ENDPOINT) + EDITS))

    def __repr__(self) -> str:
        return "Server(...)"

    def without_secrets(self, text: str) -> str:
        """Return a server's text without the key and the address, whole or in parts, which a server may repeat."""
        secrets = self._secrets()
        if "\\" in text:  # JSON may write each letter as its code
            first = "".join(re.escape(secret[0]) for secret in secrets)  # the search is twice as fast with it
            every = "|".join("".join(map(_spelt, secret)) for secret in secrets)
            return re.sub(rf"(?=[\\{first}])(?:{every})", "***", text)
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    def _secrets(self) -> list[str]:
        """Return the key, the address and its parts, the longest first."""
        parts = urlsplit(self.url)
        prefix = parts.path.removesuffix(ENDPOINT)
        pairs = [pair.partition("=") for pair in re.split("[&;]", parts.query)]
        raw = [value for name, _, value in pairs if holds_secret(f"?{name}=") or len(value) >= _LONG]
        values = [value for value in (*raw, *map(unquote_plus, raw)) if len(value) >= _SHORTEST]
        found = [self.key, self.url, self.edits, parts.netloc, parts.hostname, parts.query, *values]
        if not _VERSION.fullmatch(prefix):
            found += [prefix, unquote(prefix)]
        return sorted({secret for secret in found if secret}, key=len, reverse=True)

    def bytes_without_secrets(self, content: bytes) -> bytes:
        """Return the bytes of an answer without the key and the address."""
        return self.without_secrets(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def server_of(asked: ApiEntry) -> Server:
    """Read address and key from the environment. InputError names the variable, and never what it holds."""
    said = os.environ.get(asked.address_env, "").strip()
    if not said:
        raise InputError(f"the variable {asked.address_env} is not set; set it to the address of the images API.")
    try:
        parts = urlsplit(said)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), None
    if parts.scheme not in ("http", "https") or not host or not said.isascii() or re.search(r"\s", said):
        raise InputError(f"the variable {asked.address_env} holds no address such as https://host/v1; correct it.")
    if "@" in parts.netloc:
        raise InputError(f"the variable {asked.address_env} holds a password; keep the key in {asked.key_env}.")
    key = os.environ.get(asked.key_env, "").strip() or None
    if key is not None and not re.fullmatch(r"[!-~]+", key):
        raise InputError(f"the variable {asked.key_env} holds characters that no key has; correct it.")
    if key is not None and parts.scheme == "http" and host not in _LOOPBACK:
        raise InputError(
            f"the variable {asked.address_env} begins with http, so the key would be sent unencrypted; give an https address, or no key."
        )
    path = parts.path.rstrip("/")
    if not path.endswith(ENDPOINT):
        path = f"{path or '/v1'}{ENDPOINT}"
    return Server(urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), key, asked.key_header)
