"""Would another template, encoder, label set or test have given another result?

Casper et al. (2023) use one template, one encoder and one label set. They classify with the same text from which they
generate. A near-identical study of the same year labelled with another template than it prompted with, and found under
1 % for digital artists. An audit therefore reports how far its results depend on such choices.
"""

from collections.abc import Set
from itertools import combinations

import numpy as np
import pandas as pd
import scipy


def rank_correlations(scores: pd.DataFrame) -> pd.DataFrame:
    """Compute Spearman's rho and Kendall's tau-b per pair of settings, which say if two settings order artists alike.

    ``scores`` has the columns ``subject``, ``setting`` (any label of a combination of choices) and ``score`` (accuracy,
    AUC, ...). Returns ``setting``, ``other_setting``, ``subjects`` (scored in both), ``spearman``, ``kendall``. The
    correlations are NaN below three subjects, and if one setting gives all subjects one score. Ties are treated as in
    Kendall (1945, *Biometrika* 33, 239-251).

    Raises ValueError if columns are missing or a subject is scored twice in a setting.
    """
    wide = _wide(scores, "score")
    lines = []
    for first, second in combinations(wide.columns, 2):
        both = wide[[first, second]].dropna()
        x, y = both[first].to_numpy(dtype=float), both[second].to_numpy(dtype=float)
        spearman = kendall = np.nan
        if len(both) >= 3 and np.ptp(x) > 0 and np.ptp(y) > 0:
            spearman, kendall = (
                float(scipy.stats.spearmanr(x, y).statistic),
                float(scipy.stats.kendalltau(x, y).statistic),
            )
        lines.append((first, second, len(both), spearman, kendall))
    return pd.DataFrame(lines, columns=["setting", "other_setting", "subjects", "spearman", "kendall"])


def verdict_flips(verdicts: pd.DataFrame, *, baseline: str) -> pd.DataFrame:
    """Return the share of verdicts that change if one setting replaces the baseline.

    ``verdicts`` has the columns ``subject``, ``setting`` and ``verdict``. Returns one row per other setting:
    ``subjects`` counts those judged in both settings, ``flipped`` and ``share`` measure the changes, ``lost`` counts
    changes from "imitated", and ``gained`` counts changes to "imitated".

    Raises ValueError if columns are missing, a subject is judged twice in a setting, or the baseline is not a setting.
    """
    wide = _wide(verdicts, "verdict")
    if baseline not in wide.columns:
        raise ValueError(f"The baseline {baseline!r} is not among the settings {', '.join(map(str, wide.columns))}.")
    lines = []
    for setting in wide.columns.drop(baseline):
        both = wide[[baseline, setting]].dropna()
        flipped = both[baseline] != both[setting]
        lost = (both[baseline] == "imitated") & flipped
        gained = (both[setting] == "imitated") & flipped
        share = float(flipped.mean()) if len(both) else np.nan
        lines.append((setting, len(both), int(flipped.sum()), share, int(lost.sum()), int(gained.sum())))
    return pd.DataFrame(lines, columns=["setting", "subjects", "flipped", "share", "lost", "gained"])


def template_matrix(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy per pair of prompt template and label template, from the image-level rows.

    ``trials`` has the columns of ``identification_trials``. Returns the audit's keys, ``kind``, ``template``,
    ``label_template``, ``images``, ``image_accuracy``. The paper reports the diagonal. A fall beside the diagonal shows
    how much of the accuracy comes from one string that recognises itself.
    """
    keys = ["protocol", "model_version", "encoder", "label_set", "kind", "template", "label_template"]
    rows = trials.assign(correct=trials["correct"].astype(bool))
    groups = rows.groupby(keys, sort=True, observed=True)["correct"]
    return groups.agg(images="size", image_accuracy="mean").reset_index()


def independence(models: pd.DataFrame, encoders: pd.DataFrame, *, named: Set[str]) -> pd.DataFrame:
    """Report which encoder shares a text encoder with which generator. A headline needs a pair that does not share one.

    ``models`` has the columns ``model_version`` and ``text_encoder_families`` (a list; NULL or empty if unknown).
    ``encoders`` has the columns ``encoder``, ``kind`` and ``family``. ``named`` holds the families that identify one
    text encoder (any two models may be "clip"). Returns ``model_version``, ``encoder`` and ``relation``. A relation is
    'shared', 'independent', 'image only' (the encoder has no text side to share), or 'unknown' (a closed model, or a
    family without a name on either side).
    """
    lines = []
    for model, families in zip(models["model_version"], models["text_encoder_families"], strict=True):
        known = set(families) if isinstance(families, list | tuple | set | np.ndarray) and len(families) else None
        for encoder, kind, family in zip(encoders["encoder"], encoders["kind"], encoders["family"], strict=True):
            lines.append((model, encoder, _relation(known, str(kind), family, named)))
    return pd.DataFrame(lines, columns=["model_version", "encoder", "relation"])


def _relation(families: set[str] | None, kind: str, family: object, named: Set[str]) -> str:
    if kind == "image":
        return "image only"
    if families is None or not isinstance(family, str):
        return "unknown"
    if family in families and family in named:
        return "shared"
    return "independent" if {family, *families} <= named else "unknown"


def _wide(table: pd.DataFrame, value: str) -> pd.DataFrame:
    needed = ["subject", "setting", value]
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise ValueError(f"The table has no column {missing[0]!r}; pass {', '.join(needed)}.")
    if table.duplicated(["subject", "setting"]).any():
        row = table[table.duplicated(["subject", "setting"])].iloc[0]
        raise ValueError(f"The subject {row['subject']!r} has two values in setting {row['setting']!r}; pass one.")
    return table.set_index(["setting", "subject"])[value].unstack("setting")  # noqa: PD010 - pivot_table would aggregate
