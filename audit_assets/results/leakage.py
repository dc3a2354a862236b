"""Make the rows of unprompted leakage: whose images a model makes if no artist is asked for, or an invented name."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from audit_assets.config import UNPROMPTED, EncoderEntry
from audit_assets.measurement.answers import UNTESTED, Finding
from audit_assets.measurement.leakage import leak
from audit_assets.measurement.name_controls import UNREAD
from audit_assets.results.label_sets import label_embeddings, label_sets, not_read
from audit_assets.results.recipe import works_of
from audit_assets.roster.strata import TESTED
from audit_assets.warehouse.database import columns
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

INVENTED, NO_NAME = "invented names", "no name"
"""What the images were asked for."""


def leakage_rows(
    ws: Workspace, model: str, encoder: EncoderEntry, rows: pd.DataFrame, trials: pd.DataFrame
) -> pd.DataFrame:
    """The rows of `unprompted_leakage` of one encoder: per tested subject, one for invented names, and one for each prompt without a name.

    ``rows`` and ``trials`` are the images of the arms and their labels.
    """
    subjects = ws.subjects()
    headline = ws.warehouse.read(f"identification_trials/{model}")
    invented = _invented(headline[headline["encoder"] == encoder.name], subjects)
    habits, unread = _of_works(ws, encoder), not_read(ws, encoder)
    tables = [_of_prompts(invented, subjects, habits, unread).assign(asked_for=INVENTED, prompt=None)]
    arms = [arm.name for arm in ws.protocol.arms if arm.way == UNPROMPTED]
    unprompted = trials.merge(
        rows[["arm", "subject", "template", "trial", "prompt"]], on=["arm", "subject", "template", "trial"]
    )
    for prompt in [p for a in ws.protocol.arms if a.name in arms for p in a.templates]:
        own = unprompted[unprompted["arm"].isin(arms) & (unprompted["prompt"] == prompt)]
        tables.append(_of_prompts(own, subjects, habits, unread).assign(asked_for=NO_NAME, prompt=prompt))
    if not arms:
        nothing = _of_prompts(unprompted.iloc[:0], subjects, habits, unread)
        tables.append(
            nothing.assign(
                asked_for=NO_NAME,
                prompt=None,
                answer=UNTESTED,
                reason="The protocol asks for nothing without a name.",
                settle="An arm of the way `unprompted` in the protocol.",
            )
        )
    return pd.concat(tables, ignore_index=True)


def _invented(trials: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    """Images of names that belong to nobody and share no part with an artist's, labelled among all names."""
    shares = subjects["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    names = set(subjects.loc[subjects["kind"].isin(["random_name", "nonsense"]) & ~shares, "subject"])
    own = (
        (trials["label_set"] == "joint") & (trials["template"] == trials["label_template"]) & (trials["template"] >= 0)
    )
    return trials[own & trials["subject"].isin(names)]


Habits = dict[str, tuple[list[int], list[int]]]
"""By label, of each other artist: how many real works the encoder takes for this label's, and of how many."""


def _of_works(ws: Workspace, encoder: EncoderEntry) -> Habits:
    """The habits of the encoder with each prompted subject."""
    if not (tables := works_of(ws, [encoder])):
        return {}
    works = ws.warehouse.read_all(tables)
    labels = ws.warehouse.read(f"label_embeddings/{encoder.name}")
    return taken_for(works, labels, ws.subjects())


def taken_for(works: pd.DataFrame, labels: pd.DataFrame, subjects: pd.DataFrame) -> Habits:
    """For each label of `joint`, among which unprompted images compete too: the works of each other artist that are nearest to it.

    `works` has subject and embedding, and may have works of background artists, who have no label in `joint`.
    """
    if works.empty:
        return {}
    names, texts = label_embeddings(labels, label_sets(subjects)["joint"], 0)
    nearest = np.array(names, dtype=object)[(vectors(works["embedding"]) @ texts.T).argmax(axis=1)]
    whose = works["subject"].astype(str).to_numpy()
    artists, of = np.unique(whose, return_counts=True)
    counted = pd.crosstab(pd.Categorical(whose, artists), pd.Categorical(nearest, names), dropna=False)
    found: Habits = {}
    for name in names:
        if not str(name).startswith("default:"):
            others = artists != name
            found[str(name)] = (counted[name].to_numpy()[others].tolist(), of[others].tolist())
    return found


def _of_prompts(
    images: pd.DataFrame, subjects: pd.DataFrame, habits: Habits, unread: Collection[str] = ()
) -> pd.DataFrame:
    """One row per tested subject: the images of these prompts that fall to it. ``images`` has subject, template and predicted_label.

    ``unread``: names of which the encoder reads no word. Their labels are the template without a name, so they are neither tested nor controls.
    """
    names = label_sets(subjects)["joint"]
    place = {name: i for i, name in enumerate(names)}
    shown = images[images["predicted_label"].notna()]
    prompts = shown["subject"].astype(str).unique().tolist()
    at = {prompt: i for i, prompt in enumerate(prompts)}
    fell = np.zeros((len(prompts), len(names)), dtype=np.int64)
    total = np.zeros(len(prompts), dtype=np.int64)
    for prompt, label in zip(shown["subject"].astype(str), shown["predicted_label"].astype(str), strict=True):
        total[at[prompt]] += 1
        if label in place:
            fell[at[prompt], place[label]] += 1
    own = np.array([at.get(name, -1) for name in names], dtype=np.int64)
    shares = subjects["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    invented = set(subjects.loc[(subjects["kind"] == "random_name") & ~shares, "subject"])
    controls = [place[name] for name in names if name in invented and name not in unread]
    lines = []
    for subject, kind in zip(subjects["subject"].astype(str), subjects["kind"].astype(str), strict=True):
        if kind not in TESTED:
            continue
        works = habits.get(subject, ([], []))
        one = leak(fell, total, own, place[subject], controls, works=works)
        finding = Finding(UNTESTED, UNREAD[0], settle=UNREAD[1]) if subject in unread else one.finding
        lines.append(
            {
                "subject": subject, "kind": kind, "images": one.images, "fell": one.fell, "share": one.share, "low": one.low,
                "high": one.high, "expected": one.expected, "controls": one.controls, "reaching": one.reaching, "p_value": one.p_value,
                "p_floor": 1 / (1 + one.controls), "level": one.level, "works_share": sum(works[0]) / sum(works[1]) if sum(works[1]) else np.nan, "answer": finding.answer,
                "reason": finding.reason, "settle": finding.settle,
            }
        )  # fmt: skip
    wanted = [
        c
        for c in columns("unprompted_leakage")
        if c not in ("protocol", "model_version", "encoder", "asked_for", "prompt")
    ]
    return pd.DataFrame(lines, columns=wanted)
