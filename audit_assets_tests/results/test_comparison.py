"""Two versions of a model, from the tables of each: what moved, what did not, and what could not be compared."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from audit_assets.config import Protocol
from audit_assets.results.comparison import by_subject, declared_groups

PROTOCOL = Protocol(name="one", templates=("art by {name}",))


def scored(counts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> pd.DataFrame:
    """Rows of ``scores``: per version the identified and the shown images of each artist."""
    tables = [
        pd.DataFrame(
            {
                "model_version": f"v{v}", "encoder": "e", "subject": [f"a{i:02}" for i in range(len(shown))], "kind": "artist",
                "label_set": "criteria", "images": shown, "correct": correct, "auc": np.nan, "verdict": "imitated",
            }
        )
        for v, (correct, shown) in enumerate(counts, 1)
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def group(counts: Sequence[tuple[Sequence[int], Sequence[int]]], opted_out: int) -> pd.DataFrame:
    """Rows of `model_comparison_groups` by measure, if the first artists opted out."""
    compared = by_subject(scored(counts), ["v1", "v2"], protocol=PROTOCOL)
    subjects = pd.DataFrame({"subject": compared["subject"], "opted_out": np.arange(len(compared)) < opted_out})
    return declared_groups(compared, subjects, protocol=PROTOCOL).set_index("measure")


@pytest.mark.parametrize(
    ("opted_out", "others", "lost", "moved"),
    [(1, 19, 9, True), (1, 19, 0, False), (3, 3, 9, None), (1, 3, 9, None)],
)
def test_a_group_moved_if_p_is_at_most_the_level(opted_out: int, others: int, lost: int, moved: bool | None) -> None:
    """One of twenty who moves furthest has p = 0.05; three of six have p = 0.1 at best, and four artists 0.25."""
    n = opted_out + others
    later = np.where(np.arange(n) < opted_out, 9 - lost, 8 + np.arange(n) % 2)
    found = group([([9] * n, [10] * n), (list(later), [10] * n)], opted_out)
    if moved is None:
        assert found["moved"].isna().all()
        assert found["reason"].str.contains("p cannot be below").all()
    else:
        assert found["moved"].tolist() == [moved] * 2
        assert found["p_floor"].tolist() == [0.05] * 2
