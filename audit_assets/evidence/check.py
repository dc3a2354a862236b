"""Record one check of the evidence: what was checked, what is wrong, and what could not be checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from audit_assets.errors import InputError

MADE_AGAIN = "made again since the manifest, or altered; `audit-assets run` makes the manifest of what was made again"
RESTORE = "restore it from a backup or an archive, or delete it and run the audit again"


@dataclass
class Check:
    """One check: how much was checked, what is wrong with which file, and what could not be checked."""

    title: str
    seen: str = ""
    """What was looked at, in words. It is empty if nothing was looked at."""
    findings: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    by_another_version: bool = False
    """Whether another version made the evidence, and this one makes or reads something of it otherwise."""


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number else ""


@contextmanager
def finding(check: Check, what: str) -> Iterator[None]:
    """Turn any error inside into a finding: any file that is read there may have been altered on purpose."""
    try:
        yield
    except InputError as error:
        check.findings.append(str(error))
    except Exception as error:  # any library may fail on altered bytes
        check.findings.append(
            f"{what}: cannot be computed ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
        )
