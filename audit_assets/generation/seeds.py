"""An image's seed depends on who is asked for, in which words, and which trial it is; on nothing else."""

import hashlib


def image_seed(subject: str, template: str, trial: int) -> int:
    """Below 2**63. The first 8 bytes of a sha256, less the top bit."""
    key = "\0".join((subject, template, str(int(trial)))).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1
