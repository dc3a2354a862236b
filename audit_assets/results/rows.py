"""Collect the rows of the table `matching_by_subject`, which several tests write."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement import matching


class Writer:
    """Rows of one model version by one encoder under one protocol."""

    def __init__(self, protocol: Protocol, model_version: str, encoder: str) -> None:
        self.keys = {"protocol": protocol.name, "model_version": model_version, "encoder": encoder}
        self.tables: list[pd.DataFrame] = []

    def add(
        self,
        kind: str,
        subject: Sequence[str | None],
        test: str,
        alternative: str,
        control: str,
        adjustment: str,
        **columns: Any,
    ) -> None:
        """Add one row per subject; None means all subjects together. `columns` are those of `matching_by_subject`."""
        self.tables.append(
            matching.matching_by_subject(
                **self.keys,
                test=test,
                alternative=alternative,
                control=control,
                adjustment=adjustment,
                subject=subject,
                kind=[kind] * len(subject),
                **columns,
            )
        )
