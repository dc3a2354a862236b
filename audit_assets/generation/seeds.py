"""The seed of an image depends only on its subject, the words of its prompt, and its trial."""

import hashlib


def image_seed(subject: str, template: str, trial: int) -> int:
    """The seed, below 2**63: the first 8 bytes of a sha256 without the top bit."""
    key = "\0".join((subject, template, str(int(trial)))).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1
