"""These checks compute figures again from the rows below them, and return each error found as a sentence.

A published study of this kind printed per-artist tables that score the fifth-ranked label. Readers could not see this,
because no row recorded the predicted label. Here each image-level row holds a predicted label, its probability, the
subject's own probability and its rank. Wrong rows therefore contradict themselves. An empty list means that the check
found no error.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from audit_assets.measurement import matching
from audit_assets.measurement.exact_rank_sum import rank_sum_exact
from audit_assets.measurement.identification import BY_SUBJECT_COLUMNS, SUMMARY_COLUMNS, by_subject, summary
from audit_assets.measurement.multiplicity import ADJUSTMENTS, adjust
from audit_assets.measurement.vectors import indices, mask
from audit_assets.measurement.zero_shot import TIE, class_probabilities, identify, own_labels

TOLERANCE = 1e-12
_AUDIT = ["protocol", "model_version", "encoder", "label_set"]
_IMAGE = [*_AUDIT, "subject", "template", "label_template", "trial"]


def trial_findings(trials: pd.DataFrame, *, labels: Mapping[str, int]) -> list[str]:
    """Report errors in rows of ``identification_trials``, each kind of error once, with its first row.

    ``labels`` maps a label set to its number of labels.

    The check finds doubled images, labels shifted against their subjects, wrong ranks, values that cannot be
    probabilities, and blank images counted as correct. A rank r implies that r labels are at least as likely, so r x
    probability of the subject cannot exceed 1. Casper et al. (2023, section 2.1) define the figures, and the
    inequalities follow from the definitions.
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
        "the subject's label is more likely than the predicted one": among & (p_own > p + 4 * TIE),
        "a label that ranks first has another probability than the predicted one": among & (rank == 1) & (p_own != p),
        "the subject's label is too likely for its rank": among & (rank * p_own > 1 + 1e-9),
        "a blank image has a probability or is correct": predicted.isna() & (p.notna() | correct),
    }
    found = [_sentence(claim, trials, rows) for claim, rows in wrong.items() if rows.any()]
    kinds = trials.groupby("subject", sort=True)["kind"].nunique()
    if (kinds > 1).any():
        found.append(f"The subject {kinds.index[kinds > 1][0]!r} has more than one kind.")
    return found


def aggregate_findings(
    trials: pd.DataFrame,
    per_subject: pd.DataFrame,
    overall: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    labels: Mapping[str, int],
) -> list[str]:
    """Report where ``identification_by_subject`` and ``identification_summary`` differ from their recomputation.

    The check computes both again from ``trials`` alone and compares them cell by cell, to 1e-12. If rows cannot be
    aggregated at all (a doubled image), the check returns a finding and raises no exception.
    """
    try:
        again = by_subject(trials)
        found = _differences("identification_by_subject", per_subject, again, BY_SUBJECT_COLUMNS, [*_AUDIT, "subject"])
        summed = summary(trials, again, subjects, labels=labels)
    except ValueError as error:
        return [str(error)]
    keys = [*_AUDIT, "kind", "shares_name_parts"]
    return found + _differences("identification_summary", overall, summed, SUMMARY_COLUMNS, keys)


def trial_embedding_findings(
    trials: pd.DataFrame,
    images: npt.ArrayLike,
    labels: Sequence[str],
    label_embeddings: npt.ArrayLike,
    *,
    logit_scale: float,
) -> list[str]:
    """Report where rows of ``identification_trials`` differ from a new classification of their images.

    The rows are of one model version, encoder, label set and label template. ``images`` (n, d) are their embeddings,
    row by row. ``labels`` (L) are the names of ``label_embeddings`` (L, d). The check finds an error that the rows
    alone cannot show: each label was shifted by one *before* it was compared. Probabilities agree to 1e-9, because
    another number of rows at once adds in another order.
    """
    again = identify(
        class_probabilities(images, label_embeddings, logit_scale),
        own_labels(trials["subject"].tolist(), labels),
        blank=trials["predicted_label"].isna().to_numpy(),
    )
    names = np.array([*labels, None], dtype=object)[again.predicted]
    p, own = (trials[c].to_numpy(dtype="float64", na_value=np.nan) for c in ("probability", "probability_of_subject"))
    rank = trials["rank_of_subject"].astype("float64").fillna(0).to_numpy()
    predicted = trials["predicted_label"].astype(object).where(trials["predicted_label"].notna(), None).to_numpy()
    wrong = {
        "the predicted label is not the one that the embeddings give": predicted != names,
        "the probability is not the one that the embeddings give": ~_close(p, again.probability, 1e-9),
        "the probability of the subject is not the one that the embeddings give": ~_close(
            own, again.probability_of_subject, 1e-9
        ),
        "the rank is not the one that the embeddings give": rank != again.rank_of_subject,
    }
    return [_sentence(claim, trials, pd.Series(rows)) for claim, rows in wrong.items() if rows.any()]


def matching_findings(
    per_subject: pd.DataFrame,
    overall: pd.DataFrame,
    *,
    alpha: float = 0.05,
    family: Sequence[str] = ("protocol", "model_version", "encoder", "test", "alternative", "adjustment", "kind"),
) -> list[str]:
    """Report errors in rows of ``matching_by_subject``, and where ``matching_summary`` does not follow from them.

    In the rows without a control, each p-value must lie between its floor and 1, and no unreachable result may be
    significant. The check adjusts the p-values again within their ``family`` (the columns that rows of one family
    share), and derives significance again from the adjusted p-value. It also counts the summary again. In the rows with a
    control too, each p-value must lie above 0 and not above 1.
    """
    rows = per_subject[(per_subject["control"] == "none") & per_subject["subject"].notna()].reset_index(drop=True)
    p, floor, adjusted, significant, auc = (
        rows[c].to_numpy(dtype="float64", na_value=np.nan)
        for c in ("p_value", "p_floor", "p_adjusted", "significant", "auc")
    )
    again = np.full(len(rows), np.nan)
    for _, group in rows.groupby(list(family), sort=False, observed=True, dropna=False):
        adjustment = group["adjustment"].iloc[0]
        if adjustment in ADJUSTMENTS:
            again[group.index] = adjust(p[group.index].clip(0, 1), adjustment)
    tested = ~np.isnan(p)
    impossible = ~per_subject["p_value"].dropna().between(0, 1, inclusive="right")
    wrong = {
        "the p-value lies outside its floor and 1": tested & ~((p >= floor * (1 - 1e-9)) & (p > 0) & (p <= 1)),
        "the adjusted p-value is not that of its family": ~_close(adjusted, again, 1e-9),
        "significant does not follow from the adjusted p-value": significant != (adjusted <= alpha),
        "a result that is unreachable is significant": (
            rows["unreachable"].fillna(False).astype(bool).to_numpy() & (significant > 0)
        ),
        "the AUC lies outside 0 and 1": tested & ~((auc >= 0) & (auc <= 1)),
    }
    found = [
        f"In {int(bad.sum())} rows {claim}; first: subject {rows['subject'].iloc[int(np.argmax(bad))]}."
        for claim, bad in wrong.items()
        if bad.any()
    ]
    if impossible.any():
        found.append(f"In {int(impossible.sum())} rows, of controls too, the p-value is not above 0 and at most 1.")
    try:
        counted = matching.matching_summary(per_subject)
    except ValueError as error:
        return [*found, str(error)]
    keys = ["protocol", "model_version", "encoder", "test", "alternative", "control", "adjustment", "kind"]
    return found + _differences("matching_summary", overall, counted, matching.SUMMARY_COLUMNS, keys)


def rank_sum_embedding_findings(
    per_subject: pd.DataFrame,
    *,
    subjects: Sequence[str],
    references: npt.ArrayLike,
    imitations: npt.ArrayLike,
    subject_of_imitation: npt.ArrayLike,
    blank: npt.ArrayLike | None = None,
) -> list[str]:
    """Report where the rank-sum rows of ``matching_by_subject`` differ from the embeddings.

    The rows are of one model, encoder and kind. ``subjects`` (a) have their first real works in ``references`` (a, d).
    ``imitations`` (n, d), ``subject_of_imitation`` (n,) and ``blank`` are as in ``matching.paper_test``. Scipy
    (``mannwhitneyu``) computes the asymptotic test, one artist at a time, so the check shares only the cosine with the
    code that it checks. The check ignores rows of other tests and of controls.
    """
    distances = matching.cosine_distances(references, imitations)
    who = indices(subject_of_imitation, length=distances.shape[1], below=len(subjects), what="The subject of the image")
    shown = ~mask(blank, length=len(who), what="The mask of blank images")
    position = {subject: i for i, subject in enumerate(subjects)}
    checked = per_subject["test"].isin(["rank_sum_asymptotic", "rank_sum_exact"]) & (per_subject["control"] == "none")
    rows = per_subject[checked]
    columns = ("images", "others", "p_value", "auc")
    values = rows[list(columns)].astype("float64").to_numpy()
    found = []
    for published, subject, test, alternative in zip(
        values, rows["subject"].astype(str), rows["test"], rows["alternative"], strict=True
    ):
        if subject not in position:
            found.append(f"The subject {subject!r} has a row of {test} but no real work and no place in the test.")
            continue
        s = position[subject]
        own, others = distances[s, shown & (who == s)], distances[s, shown & (who != s)]
        expected = np.array(_rank_sum(own, others, test, alternative))
        # A p-value of 1e-30 is compared by its relative error. An AUC of 0 may be off by one rounding.
        same = np.isclose(published, expected, rtol=1e-9, atol=(0, 0, 0, TOLERANCE), equal_nan=True)
        found += [
            f"{test} ({alternative}) of {subject}: {columns[i]} is {published[i]:g}, from the embeddings {expected[i]:g}."
            for i in np.flatnonzero(~same)
        ]
    return found


def _rank_sum(
    own: npt.NDArray[np.float64], others: npt.NDArray[np.float64], test: str, alternative: str
) -> tuple[float, ...]:
    if len(own) == 0 or len(others) == 0:
        return float(len(own)), float(len(others)), np.nan, np.nan
    closer = alternative == "closer"
    scipys = scipy.stats.mannwhitneyu(
        own, others, use_continuity=False, alternative="less" if closer else "two-sided", method="asymptotic"
    )
    p = max(float(scipys.pvalue), matching.SMALLEST_P)
    if test == "rank_sum_exact":
        is_own = np.arange(len(own) + len(others)) < len(own)
        chosen: matching.Alternative = "closer" if closer else "two_sided"
        p = float(rank_sum_exact(np.r_[own, others][None], is_own[None], alternative=chosen).p_value[0])
    return float(len(own)), float(len(others)), p, 1 - float(scipys.statistic) / (len(own) * len(others))


def _close(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], tolerance: float) -> npt.NDArray[np.bool_]:
    return np.isclose(a, b, rtol=0, atol=tolerance, equal_nan=True)


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


def _sentence(claim: str, trials: pd.DataFrame, rows: pd.Series) -> str:
    first = trials.loc[rows.to_numpy()].iloc[0]
    where = f"subject {first['subject']}, template {first['template']}, trial {first['trial']}"
    return f"In {int(rows.sum())} rows {claim}; first: {where}."
