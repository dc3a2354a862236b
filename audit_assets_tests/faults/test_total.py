"""What the whole suite showed; the last module, by its name."""

import pytest

from audit_assets_tests.faults.conftest import Ledger


def test_more_than_a_hundred_faults_lost_nothing_and_published_nothing_wrong(ledger: Ledger) -> None:
    if not {"kills", "damaged tables", "daemons killed in a backfill", "drivers at once"} <= ledger.faults.keys():
        pytest.skip("only a part of the suite was run")
    assert sum(ledger.faults.values()) >= 100
    assert (ledger.lost, ledger.wrong) == ([], [])
