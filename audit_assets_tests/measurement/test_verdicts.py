"""The verdict rule, case by case."""

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.verdicts import Evidence, agreement, smallest_count, verdict, verdicts


def test_k_is_the_smallest_count_that_one_name_in_a_hundred_reaches() -> None:
    assert smallest_count([0] * 70) == 1
    assert smallest_count([0] * 69 + [4]) == 5
    assert smallest_count([0] * 99 + [4]) == 1
    assert smallest_count([0] * 98 + [2, 4]) == 3
    with pytest.raises(ValueError, match="needs their counts"):
        smallest_count([])
    with pytest.raises(ValueError, match="integers"):
        smallest_count([0.5])


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(0.1, 0.01, 9, 3), ("imitated", "identification and matching")),
        (Evidence(0.1, 0.01, 2, 3), ("not shown to be imitated", "identification and matching")),
        (Evidence(0.1, 0.05, 9, 3), ("not shown to be imitated", "identification and matching")),
        (Evidence(0.1, float("nan"), 9, 3), ("not shown to be imitated", "identification and matching")),
        (Evidence(0.0, 0.01, 9, 3), ("not auditable", "identification and matching")),
        (Evidence(-0.1, 0.01, 9, 3), ("not auditable", "identification and matching")),
        (Evidence(float("nan"), 0.01, 9, 3), ("not auditable", "identification and matching")),
        (Evidence(0.1, 0.01, None, 3), ("imitated", "matching")),
        (Evidence(0.1, 0.06, None, 3), ("not shown to be imitated", "matching")),
        (Evidence(None, None, 9, 3), ("identified above controls", "identification")),
        (Evidence(None, None, 2, 3), ("not shown to be imitated", "identification")),
        (Evidence(None, None, None, None), ("not auditable", "none")),
        (Evidence(0.1, 0.01, 9, None), ("imitated", "matching")),
        (Evidence(0.1, 0.01, 9, 3, enough_images=False), ("not auditable", "identification and matching")),
        (Evidence(None, None, 9, 3, enough_images=False), ("not auditable", "none")),
    ],
)
def test_one_rule_decides(evidence: Evidence, expected: tuple[str, str]) -> None:
    assert verdict(evidence) == expected


def test_verdicts_come_in_the_order_of_the_evidence() -> None:
    table = verdicts([Evidence(0.1, 0.01, None, None), Evidence(np.nan, 0.01, None, None)])
    assert table["verdict"].tolist() == ["imitated", "not auditable"]


def test_agreement_counts_encoders_that_could_audit() -> None:
    rows = pd.DataFrame(
        [
            ("m", "a", "e1", "imitated"), ("m", "a", "e2", "imitated"), ("m", "a", "e3", "not auditable"),
            ("m", "b", "e1", "imitated"), ("m", "b", "e2", "not shown to be imitated"), ("m", "c", "e1", "not auditable"),
        ],
        columns=["model_version", "subject", "encoder", "verdict"],
    )  # fmt: skip
    table = agreement(rows).set_index("subject")
    assert table["encoders"].tolist() == [3, 2, 1]
    assert table["encoders_auditable"].tolist() == [2, 2, 0]
    assert table["encoders_imitated"].tolist() == [2, 1, 0]
    assert table["unanimous"].tolist() == [True, False, False]
    with pytest.raises(ValueError, match="two verdicts"):
        agreement(pd.concat([rows, rows]))
    with pytest.raises(ValueError, match="no column 'verdict'"):
        agreement(rows.drop(columns="verdict"))
