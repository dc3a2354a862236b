"""Make the tables of a protocol's arms: what still works if the name is asked for in another way, and whose images the model makes unasked.

No figure of the headline depends on these tables. Labels are those of the headline: the artist's name as it is written, in the words of the first
template, among all names (`joint`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.config import UNPROMPTED, Arm, EncoderEntry
from audit_assets.measurement.answers import UNTESTED, Finding, from_matching, from_names, of_identification
from audit_assets.measurement.arms import beside_prompts, still_works
from audit_assets.measurement.classification import Competition, classify
from audit_assets.measurement.name_controls import FEWEST_SHOWN, UNREAD, beside_names
from audit_assets.measurement.own_cell import own_cell_in_strata
from audit_assets.results.beside_names import at_best, fallen, to_labels
from audit_assets.results.blocked import identified_but_for, matched_but_for, withheld_of
from audit_assets.results.copies import but_for_copies, copies_among
from audit_assets.results.identification import text_side
from audit_assets.results.label_sets import label_embeddings, label_sets, not_read
from audit_assets.results.leakage import leakage_rows
from audit_assets.results.matched import Works, of_tables, works_of_everyone
from audit_assets.results.own_cells import decided_by_names, names_in_strata, why_not_matched
from audit_assets.results.positive_control import by_identification
from audit_assets.results.recipe import Recipe, labels_of, together, works_of
from audit_assets.results.uploads import beside, left
from audit_assets.results.verdicts import split_reason
from audit_assets.roster.arms import BACKGROUND, CONTROL_PROMPT
from audit_assets.roster.strata import TESTED, strata_of
from audit_assets.roster.subjects import CONTROL_KINDS
from audit_assets.warehouse.database import columns
from audit_assets.warehouse.images import SHOW_NOTHING
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

TABLES = ("arm_trials", "arm_results", "unprompted_leakage")
_IMAGE = ["arm", "subject", "template", "trial"]


@dataclass(frozen=True)
class Images:
    """The images of one arm by one encoder.

    ``rows`` has every row of the arm (subject, kind, template, trial, status, problem, prompt); ``embedded`` those with an embedding;
    ``trials`` the label of each of these, and is empty for an encoder without text.
    """

    arm: Arm
    rows: pd.DataFrame
    embedded: pd.DataFrame
    trials: pd.DataFrame
    copies: Mapping[str, int] = field(default_factory=dict)
    """Subject -> images that are near copies of real works. They are not among the embedded."""


def trials_of(ws: Workspace, encoder: EncoderEntry, embedded: pd.DataFrame) -> pd.DataFrame:
    """Classify every embedded image of the arms among all names: subject, template, trial, predicted_label, correct, margin, ..."""
    labels = ws.warehouse.read(f"label_embeddings/{encoder.name}")
    names, texts = label_embeddings(labels, label_sets(ws.subjects())["joint"], 0)
    rows = embedded.sort_values(_IMAGE, ignore_index=True)
    if rows.empty:
        return pd.DataFrame(columns=columns("arm_trials"))
    place = {name: i for i, name in enumerate(names)}
    own = np.array([place.get(str(s), -1) for s in rows["subject"]], dtype=np.int64)
    found = classify(
        vectors(rows["embedding"]),
        texts,
        {"joint": Competition(np.arange(len(rows)), np.arange(len(names)), own)},
        logit_scale=text_side(ws, encoder, 1.0).logit_scale,
        blank=rows["status"].isin(SHOW_NOTHING).to_numpy(),
    )["joint"]
    label = np.array([*names, None], dtype=object)
    return rows[["model_version", *_IMAGE]].assign(
        protocol=ws.protocol.name,
        encoder=encoder.name,
        labels=len(names),
        predicted_label=label[found.trials.predicted],
        probability=found.trials.probability,
        probability_of_subject=found.trials.probability_of_subject,
        correct=found.trials.correct,
        margin=found.margin,
    )[columns("arm_trials")]


def arm_rows(ws: Workspace, model: str, encoder: EncoderEntry, images: Images, works: Works | None) -> pd.DataFrame:
    """The rows of `arm_results` of one arm: one per artist and untrained artist."""
    subjects = ws.subjects()
    tested = subjects[subjects["kind"].isin(TESTED)]
    statuses = {str(s): own["status"].tolist() for s, own in images.rows.groupby("subject")}
    problems = images.rows.dropna(subset=["problem"]).drop_duplicates("subject").set_index("subject")["problem"]
    lacking = {s: withheld_of(found, images.copies.get(s, 0)) for s, found in statuses.items()}
    alpha = ws.protocol.matching.alpha
    if images.arm.uploads:
        rest = None if works is None else left(works, set(images.rows["upload_sha256"].dropna()))
        named = {} if works is None or rest is None else beside(images.rows, images.embedded, works, rest, alpha)
        matching = _matched(images, subjects, rest, alpha)
    else:
        unread = not_read(ws, encoder)
        more = {s: found.total for s, found in lacking.items()}
        named = _identified(images, subjects, unread, more) if encoder.kind == "image_text" else {}
        matching = _matched(images, subjects, works, alpha)
    seen = _of_headline(ws, f"verdicts/{model}", encoder.name, "seen")
    control = ws.warehouse.read(f"positive_control/{model}")
    finds = by_identification(control[control["encoder"] == encoder.name])
    headline = _headline_shares(ws, model, encoder)
    lines = []
    for subject, kind in zip(tested["subject"].astype(str), tested["kind"].astype(str), strict=True):
        copied = images.copies.get(subject, 0)
        withheld = lacking.get(subject, withheld_of([], copied))
        row = named.get(subject)
        name = None if row is None else row["finding"]
        match, test, p_works = matching.get(subject, (None, None, np.nan))
        if withheld.total:
            name = (
                matched_but_for(name, withheld)
                if row is None or images.arm.uploads
                else identified_but_for(name, row["at_best"], withheld)
            )
            match = matched_but_for(match, withheld)
        name = but_for_copies(name, copied)
        if subject in problems.index and not withheld.shown + copied:
            answer = (UNTESTED, *split_reason(str(problems[subject])))
        else:
            first = None if name is None else name.answer
            could = of_identification(first, finds[subject]) if subject in finds else seen.get(subject)
            answer = still_works(name, match, could)
        own = images.rows[images.rows["subject"] == subject]
        lines.append(
            {
                "subject": subject, "kind": kind, "arm": images.arm.name, "way": images.arm.way,
                "prompts": int(own["prompt"].nunique()), "asked": withheld.asked, "withheld": withheld.total, "shown": withheld.shown + copied,
                **_figures(row), "headline_share": headline.get(subject, np.nan), "works_test": test, "works_p": p_works,
                "answer": answer[0], "reason": answer[1], "settle": answer[2],
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _figures(row: Mapping[str, Any] | None) -> dict[str, Any]:
    names = (
        "identified", "share", "share_low", "share_high", "controls", "control_share", "controls_reaching", "p_value", "p_floor", "level"
    )  # fmt: skip
    return {name: None if row is None else row[name] for name in names}


def _of_headline(ws: Workspace, table: str, encoder: str, column: str) -> dict[str, Any]:
    rows = ws.warehouse.read(table)
    rows = rows[(rows["encoder"] == encoder) & rows[column].notna()]
    return dict(zip(rows["subject"].astype(str), rows[column], strict=True))


def _headline_shares(ws: Workspace, model: str, encoder: EncoderEntry) -> dict[str, float]:
    """The identified share of each subject's images in the headline, among the labels of `joint`, where the images of arms compete too."""
    rows = ws.warehouse.read(f"identification_trials/{model}")
    own = rows[(rows["encoder"] == encoder.name) & (rows["label_set"] == "joint") & rows["predicted_label"].notna()]
    own = own[(own["template"] == own["label_template"]) & (own["template"] >= 0)]
    shares = own.assign(correct=own["correct"].astype(float)).groupby("subject", observed=True)["correct"].mean()
    return {str(subject): float(share) for subject, share in shares.items()}


# ---- identification
def _identified(
    images: Images, subjects: pd.DataFrame, unread: Collection[str], withheld: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Per tested subject of the arm: counts, figures beside controls, the finding, and `at_best`, the answer with every withheld image identified.

    `unread`: names that the encoder does not read. `withheld`: how many images of each subject were withheld.
    """
    shown = images.trials[images.trials["predicted_label"].notna()]
    if images.arm.names_the_artist:
        return _beside_names(shown, images, subjects, unread, withheld)
    found = _beside_prompts(shown, images, withheld)
    return {
        subject: row | {"finding": Finding(UNTESTED, UNREAD[0], settle=UNREAD[1])} if subject in unread else row
        for subject, row in found.items()
    }


def _beside_names(
    shown: pd.DataFrame, images: Images, subjects: pd.DataFrame, unread: Collection[str], withheld: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Each subject's own label, beside control names that are asked in the same way."""
    counts = shown.groupby("subject", observed=True).agg(
        shown=("correct", "size"), identified=("correct", "sum"), margin=("margin", "mean")
    )
    asked = images.rows.loc[images.rows["prompt"].notna() | images.rows["problem"].isna(), "subject"].unique()
    everyone = subjects[subjects["subject"].isin(set(asked))].reset_index(drop=True)
    table = counts.reindex(everyone["subject"]).reset_index()
    table[["shown", "identified"]] = table[["shown", "identified"]].fillna(0).astype("int64")
    stratum = everyone["subject"].map(strata_of(subjects))
    labels = int(images.trials["labels"].iloc[0]) if len(images.trials) else 0
    table = table.assign(
        stratum=stratum,
        locale=stratum.where(stratum.str.startswith("locale ")).str.removeprefix("locale "),
        script=stratum.where(stratum.str.startswith("script ")).str.removeprefix("script "),
        labels=labels,
        label_kind="joint",
        unread=everyone["subject"].isin(unread),
    )
    names = table[(everyone["kind"] == "random_name").to_numpy()]
    fell, tested = fallen(shown), table[~everyone["kind"].isin(CONTROL_KINDS).to_numpy()]
    slugs, controls = (rows["subject"].astype(str).tolist() for rows in (tested, names))
    tested = tested.assign(own_label=np.diagonal(to_labels(fell, slugs, slugs)))
    to_own = to_labels(fell, slugs, controls)
    found = beside_names(tested, names, fell=to_own)
    found["at_best"] = beside_names(at_best(tested, withheld), names, fell=to_own)["answer"]
    usable = names[(names["shown"] >= FEWEST_SHOWN) & ~names["unread"]]
    mean = float((usable["identified"] / usable["shown"]).mean()) if len(usable) else np.nan
    return {
        str(row["subject"]): {
            **{str(key): value for key, value in row.items()},
            "controls": row["names"],
            "control_share": mean,
            "controls_reaching": np.nanmax([row["names_reaching"], row["label_reaching"]]),
            "finding": from_names(pd.Series(row)),
        }
        for row in found.to_dict("records")
    }


def _beside_prompts(shown: pd.DataFrame, images: Images, withheld: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The label of each artist, over the artist's own prompts and over the other prompts of the arm."""
    prompts = images.rows.dropna(subset=["prompt"]).groupby("subject")["prompt"].agg(set)
    total = shown.groupby("subject").size().reindex(prompts.index, fill_value=0)
    found = {}
    for subject in prompts.index:
        if str(subject).startswith("prompt."):
            continue
        fell = shown[shown["predicted_label"] == subject].groupby("subject").size().reindex(prompts.index, fill_value=0)
        other = [s for s in prompts.index if s != subject and not prompts[s] & prompts[subject]]
        n, m, more = int(fell[subject]), int(total[subject]), withheld.get(str(subject), 0)
        beside = beside_prompts(n, m, fell[other], total[other])
        best = beside_prompts(n + more, m + more, fell[other], total[other])
        low, high = _exact(n, m)
        found[str(subject)] = {
            "shown": m, "identified": n, "share": n / m if m else np.nan, "share_low": low, "share_high": high, "at_best": best.finding.answer,
            "controls": beside.controls, "control_share": beside.control_share, "controls_reaching": beside.reached,
            "p_value": beside.p_value, "p_floor": 1 / (1 + beside.controls), "level": beside.level, "finding": beside.finding,
        }  # fmt: skip
    return found


def _exact(n: int, m: int) -> tuple[float, float]:
    from audit_assets.measurement.intervals import exact_binomial

    if m == 0:
        return np.nan, np.nan
    found = exact_binomial(n, m)
    return found.low, found.high


# ---- matching
def _matched(
    images: Images, subjects: pd.DataFrame, works: Works | None, alpha: float
) -> dict[str, tuple[Finding, str, float]]:
    """Per tested subject with works: the finding of matching in this arm, its test, and p. The columns are the prompts of the arm."""
    if works is None:
        return {}
    having = set(works.pool)
    with_works = [s for s in subjects.loc[subjects["kind"].isin(TESTED), "subject"].astype(str) if s in having]
    names = _columns(images, subjects)
    found = of_tables(works, images.embedded, names)
    nothing = Finding(
        UNTESTED, "No image of the arm shows anything.", settle="Five shown images of the artist and of the controls."
    )
    if found is None:
        return dict.fromkeys(with_works, (nothing, "own_cell", np.nan))
    own = own_cell_in_strata(found.cells.similarity, found.cells.lengths(), found.own, found.column_strata)
    alone = names_in_strata(found, names)
    result: dict[str, tuple[Finding, str, float]] = dict.fromkeys(with_works, (nothing, "own_cell", np.nan))
    for i, (subject, by_name) in enumerate(
        zip(found.tested, decided_by_names(own.p_value, own.reason, alone.p_value), strict=True)
    ):
        test = alone if by_name else own
        reason, settle = split_reason("" if by_name else why_not_matched(own.reason[i], alone.reason[i]))
        p = float(test.p_value[i])
        finding = from_matching(
            p=p, q=None, smallest_p=float(test.p_floor[i]), alpha=alpha, reason=reason, settle=settle or reason
        )
        result[subject] = (finding, "name_test" if by_name else "own_cell", p)
    return result


def _columns(images: Images, subjects: pd.DataFrame) -> pd.DataFrame:
    """The names of the matrix: everyone who was asked. In a way without a name, all prompts are of one stratum."""
    kinds = images.rows.drop_duplicates("subject").set_index("subject")["kind"]
    if images.arm.names_the_artist:
        return subjects[subjects["subject"].isin(kinds.index)].reset_index(drop=True)
    # Every artist whose works were given has an own cell, so that no cell of another artist with itself counts as usual.
    column = {CONTROL_PROMPT: "random_name", BACKGROUND: "untrained_artist"}
    return pd.DataFrame(
        {
            "subject": kinds.index.astype(str),
            "name": "a",
            "kind": [column.get(kind, kind) for kind in kinds],
            "shares_name_parts": False,
            "locale": "",
            "peers": "",
        }
    )


# ---- the recipe
def _sources(ws: Workspace, model: str) -> list[str]:
    headline = [
        f"{t}/{model}"
        for t in ("name_controls", "verdicts", "positive_control", "identification_trials", "copy_detection")
    ]
    works = [f"reference_works/{s}" for s in ws.referenced()]
    embedded = [t for e in ws.encoders(model) for t in _embeddings(ws, e, model)]
    return [
        *headline, "reference_trials", *labels_of(ws, model), *works, *works_of(ws, ws.encoders(model)), *ws.arm_tables(model), *embedded
    ]  # fmt: skip


def _embeddings(ws: Workspace, encoder: EncoderEntry, model: str) -> list[str]:
    return ws.arm_tables(model, f"arm_embeddings/{encoder.name}")


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    arms, made = ws.protocol.arms, {table: list[pd.DataFrame]() for table in TABLES}
    tables = ws.arm_tables(model)
    rows = ws.warehouse.read_all(tables) if tables else pd.DataFrame(columns=[*_IMAGE, "status", "prompt"])
    copied = copies_among(ws, model, lambda encoder: _embeddings(ws, encoder, model))
    for encoder in ws.encoders(model):
        of_encoder = _embeddings(ws, encoder, model)
        whole = all(ws.warehouse.inputs(table) is not None for table in of_encoder)
        embedded = ws.warehouse.read_all(of_encoder) if of_encoder and whole else rows.iloc[:0].assign(embedding=None)
        # Near copies show no style, in whatever way they were asked for.
        if copied:
            embedded = embedded[~embedded["image_sha256"].isin(copied)].reset_index(drop=True)
        embedded = embedded.assign(copy_of=None)
        text = encoder.kind == "image_text"
        by_words = embedded[~embedded["arm"].isin([arm.name for arm in arms if arm.uploads])]
        trials = trials_of(ws, encoder, by_words) if text else pd.DataFrame(columns=columns("arm_trials"))
        made["arm_trials"].append(trials)
        works = works_of_everyone(ws, encoder) if arms else None
        about = {"protocol": ws.protocol.name, "model_version": model, "encoder": encoder.name}
        for arm in (arm for arm in arms if arm.way != UNPROMPTED):
            # A supplied image of another prompt than the arm's has the template OTHER, and counts nowhere.
            of_arm, shown, labelled = (
                t[(t["arm"] == arm.name) & (t["template"].astype(int) >= 0)] for t in (rows, embedded, trials)
            )
            own = Images(arm, of_arm, shown, labelled, _copies(of_arm, copied))
            found = arm_rows(ws, model, encoder, own, works)
            if not whole:
                found = found.assign(
                    answer=UNTESTED, reason="The encoder failed at images of the arms.", settle="Another encoder."
                )
            made["arm_results"].append(found.assign(**about)[columns("arm_results")])
        if text:
            leaks = leakage_rows(ws, model, encoder, rows, trials)
            made["unprompted_leakage"].append(leaks.assign(**about)[columns("unprompted_leakage")])
    result = {name: together([t for t in found if len(t)], columns(name)) for name, found in made.items()}
    return {name: _typed(table) for name, table in result.items()}


def _copies(rows: pd.DataFrame, copied: set[str]) -> dict[str, int]:
    found = rows[rows["image_sha256"].isin(copied)].groupby("subject").size()
    return {str(subject): int(n) for subject, n in found.items()}


_COUNTS = (
    "template",
    "trial",
    "labels",
    "prompts",
    "asked",
    "withheld",
    "shown",
    "identified",
    "controls",
    "images",
    "fell",
    "reaching",
)
_FIGURES = (
    "share", "share_low", "share_high", "control_share", "controls_reaching", "p_value", "p_floor", "level", "headline_share", "works_p",
    "low", "high", "expected", "works_share", "probability", "probability_of_subject", "margin",
)  # fmt: skip


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    kinds = {**dict.fromkeys(_COUNTS, "Int32"), **dict.fromkeys(_FIGURES, "float64"), "correct": "boolean"}
    return table.astype({column: kinds.get(column, "str") for column in table.columns})


ARMS = Recipe(TABLES, _sources, _make, settings=lambda ws: [arm.model_dump() for arm in ws.protocol.arms])
"""What still works beside the headline, and unprompted leakage."""
