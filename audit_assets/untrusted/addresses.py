"""Whether a text holds a user, a password or a token in an address. An error about such a text must not repeat it."""

import re

_SECRET = re.compile(
    r"://[^/\s]*@"
    r"|[?&](?:[^=&]*(?:token|secret|signature|credential|passw|pwd|key)[^=&]*|sig|auth|authorization|code|pass)=",
    re.I,
)


def holds_secret(text: str) -> bool:
    """Return whether an address in a text has a user or a password before its host, or a secret in its query."""
    return _SECRET.search(text) is not None
