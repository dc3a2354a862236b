"""What would settle questions that could not be tested, as one text: all that lacks, and nothing twice."""

import re
from collections.abc import Iterable

_NAMES = re.compile(r"(\d+) more control names of ([\w, ]+?)(?: that the encoder reads)?(?=[.;])")
WORKS_OF_ONE = "Works of this artist."
_NUMBER_OF_WORKS = re.compile(r"\d+ more works?\.")


def joined(remedies: Iterable[str]) -> str:
    """Join remedies, each once. Of several numbers of control names of one stratum, the largest is enough for all.

    A number of works says more than that works lack.
    """
    found: dict[str, tuple[int, str]] = {}
    for remedy in remedies:
        names = _NAMES.match(remedy)
        key, number = (names[2], int(names[1])) if names else (remedy, 0)
        if remedy and (key not in found or found[key][0] < number):
            found[key] = number, remedy
    if any(_NUMBER_OF_WORKS.match(remedy) for remedy in found):
        found.pop(WORKS_OF_ONE, None)
    return " ".join(remedy for _, remedy in found.values())


def of_few_works(works: int, needed: int) -> tuple[str, str]:
    """Return the sentence on an artist who has fewer works than are needed, and the remedy."""
    have, more = ("work" if n == 1 else "works" for n in (works, needed - works))
    return f"The artist has {works} {have}; the positive control needs {needed}.", f"{needed - works} more {more}."
