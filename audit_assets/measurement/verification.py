"""Can every figure be computed again from the rows below it? Checks that return what they find, as sentences.

A published study of this kind printed per-artist tables that score the fifth-ranked label. Nobody could see it,
because no row said what was predicted. Here the image-level rows carry enough to contradict themselves when they are
wrong: a predicted label, its probability, the subject's own probability and its rank. An empty list means that
nothing was found.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from audit_assets.measurement.identification import BY_SUBJECT_COLUMNS, SUMMARY_COLUMNS, by_subject, summary

TOLERANCE = 1e-12
_AUDIT = ["protocol", "model_version", "encoder", "label_set"]
_IMAGE = [*_AUDIT, "subject", "template", "label_template", "trial"]


def trial_findings(
    trials: pd.DataFrame, *, labels: Mapping[str, int], images_each: Mapping[str, int] | int | None = None
) -> list[str]:
    """What is wrong with rows of ``identification_trials``; each kind of error once, with its first row.

    ``labels`` maps a label set to its number of labels; ``images_each`` is the number of images that the protocol
    asks of every subject (or a map by subject), for each audit and label template.

    Catches doubled and missing images, labels shifted against their subjects, ranks that are off (a rank r implies
    that r labels are at least as likely, so r x probability of the subject cannot exceed 1), probabilities that are
    none, and blank images counted as correct. Casper et al. (2023, section 2.1) define the figures; the inequalities
    follow.
    """
    predicted = trials["predicted_label"].astype(object).where(trials["predicted_label"].notna(), None)
    own = trials["subject"].astype(object)
    correct = trials["correct"].astype(bool)
    rank = trials["rank_of_subject"].astype("float64")
    p, p_own = trials["probability"].astype("float64"), trials["probability_of_subject"].astype("float64")
    number = trials["label_set"].map(dict(labels)).astype("float64")
    among = p_own.notna() & predicted.notna()
    wrong = {
        "the same image occurs twice": trials.duplicated(_IMAGE, keep="first"),
        "correct does not say whether the predicted label is the subject's": correct != (predicted == own),
        "correct does not say whether the subject's label ranks first": among & (correct != (rank == 1)),
        "a label set has no number of labels": number.isna(),
        "the rank lies outside 1 and the number of labels": among & ~((rank >= 1) & (rank <= number)),
        "a probability lies outside 0 and 1": ~p.dropna().between(0, 1).reindex(p.index, fill_value=True)
        | ~p_own.dropna().between(0, 1).reindex(p.index, fill_value=True),
        "the predicted label is less likely than chance": among & (p < 1 / number - 1e-9),
        "the subject's label is more likely than the predicted one": among & (p_own > p + 1e-12),
        "a label that ranks first has another probability than the predicted one": among & (rank == 1) & (p_own != p),
        "the subject's label is too likely for its rank": among & (rank * p_own > 1 + 1e-9),
        "a blank image has a probability or is correct": predicted.isna() & (p.notna() | correct),
    }
    found = [_sentence(claim, trials, rows) for claim, rows in wrong.items() if rows.any()]
    kinds = trials.groupby("subject", sort=True)["kind"].nunique()
    if (kinds > 1).any():
        found.append(f"The subject {kinds.index[kinds > 1][0]!r} has more than one kind.")
    return found + _missing(trials, images_each)


def aggregate_findings(
    trials: pd.DataFrame,
    per_subject: pd.DataFrame,
    overall: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    labels: Mapping[str, int],
) -> list[str]:
    """Where ``identification_by_subject`` and ``identification_summary`` differ from their recomputation.

    Both are computed again from ``trials`` alone and compared cell by cell, to 1e-12. Rows that cannot be aggregated at
    all (a doubled image) are a finding, not an exception.
    """
    try:
        again = by_subject(trials)
        found = _differences("identification_by_subject", per_subject, again, BY_SUBJECT_COLUMNS, [*_AUDIT, "subject"])
        summed = summary(trials, again, subjects, labels=labels)
    except ValueError as error:
        return [str(error)]
    keys = [*_AUDIT, "kind", "shares_name_parts"]
    return found + _differences("identification_summary", overall, summed, SUMMARY_COLUMNS, keys)


def _differences(
    name: str, published: pd.DataFrame, again: pd.DataFrame, columns: tuple[str, ...], keys: list[str]
) -> list[str]:
    if len(published) != len(again):
        return [f"{name} has {len(published)} rows, the image-level rows give {len(again)}."]
    left, right = (table.sort_values(keys, ignore_index=True, key=_as_text) for table in (published, again))
    found = []
    for column in columns:
        a, b = left[column], right[column]
        if b.dtype == "float64":
            same = np.isclose(a.astype("float64"), b, rtol=0, atol=TOLERANCE, equal_nan=True)
        else:
            same = (_as_text(a) == _as_text(b)).to_numpy()
        if not same.all():
            row = int(np.argmin(same))
            where = ", ".join(f"{key} {right[key].iloc[row]}" for key in keys)
            found.append(f"{name}.{column} is {a.iloc[row]}, recomputed {b.iloc[row]} ({where}).")
    return found


def _as_text(values: pd.Series) -> pd.Series:
    return values.astype(object).map(lambda value: "" if pd.isna(value) else str(value))


def _missing(trials: pd.DataFrame, images_each: Mapping[str, int] | int | None) -> list[str]:
    if images_each is None:
        return []
    keys = [*_AUDIT, "subject", "label_template"]
    counts = trials.groupby(keys, sort=True, observed=True).size().rename("images").reset_index()
    each = dict.fromkeys(counts["subject"], images_each) if isinstance(images_each, int) else dict(images_each)
    absent = sorted(set(each) - set(counts["subject"]))
    wanted = counts["subject"].map(each).astype("float64")
    found = [f"The subject {absent[0]!r} has no image at all ({len(absent)} such subjects)."] if absent else []
    off = counts["images"] != wanted
    if off.any():
        row = counts[off].iloc[0]
        found.append(
            f"The subject {row['subject']!r} has {row['images']} images, the protocol asks {wanted[off].iloc[0]:g} "
            f"({int(off.sum())} such groups)."
        )
    return found


def _sentence(claim: str, trials: pd.DataFrame, rows: pd.Series) -> str:
    first = trials.loc[rows.to_numpy()].iloc[0]
    where = f"subject {first['subject']}, template {first['template']}, trial {first['trial']}"
    return f"In {int(rows.sum())} rows {claim}; first: {where}."
