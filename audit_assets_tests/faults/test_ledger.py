"""What the line at the end of the suite says, and when the suite fails by it."""

from collections import Counter
from typing import Any

import pytest

from audit_assets_tests.faults.conftest import FEWEST, KINDS, Ledger

WHOLE = Counter(dict.fromkeys(KINDS, FEWEST))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"faults": WHOLE}, []),
        ({"faults": Counter(kills=3)}, []),  # a part of the suite
        ({"faults": Counter(dict.fromkeys(KINDS, 1))}, [f"the whole suite made {len(KINDS)} faults, and not {FEWEST}"]),
        ({"faults": WHOLE, "lost": ["a.png"]}, ["1 finished images or rows were lost"]),
        ({"faults": WHOLE, "wrong": ["verdicts"]}, ["1 wrong results were published"]),
    ],
)
def test_the_suite_fails_if_anything_is_lost_wrong_or_not_tried(fields: dict[str, Any], said: list[str]) -> None:
    assert Ledger(**fields).shortfalls() == said


def test_the_ledgers_of_workers_are_added() -> None:
    ours, theirs = Ledger(), Ledger()
    ours.enter("kills", "nothing changed")
    theirs.enter("kills", "nothing changed", count=2)
    theirs.lost.append("a.png")
    ours.add(theirs.sent())
    assert (ours.faults["kills"], ours.ended["nothing changed"], ours.lost) == (3, 3, ["a.png"])
