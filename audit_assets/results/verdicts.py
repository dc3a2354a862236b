"""Make the verdicts: three answers per artist, the word that follows from them, and one statement about the roster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry
from audit_assets.measurement.answers import (
    NO,
    UNTESTED,
    YES,
    Answers,
    Finding,
    agreement,
    from_matching,
    from_names,
    judge,
    of_identification,
)
from audit_assets.measurement.discoveries import Filtered, filtered_bh, true_discoveries
from audit_assets.measurement.name_controls import RANKS
from audit_assets.measurement.perfect_imitator import FEWEST_WORKS, PerfectImitator
from audit_assets.measurement.sensitivity import independence
from audit_assets.models.files import KNOWN_FAMILIES
from audit_assets.results.beside_names import COUNTED, in_both_ranks
from audit_assets.results.blocked import identified_but_for, matched_but_for, statuses_of, withheld_of
from audit_assets.results.copies import but_for_copies, copied, copies_of
from audit_assets.results.label_sets import not_read
from audit_assets.results.matched import Matched, matched
from audit_assets.results.own_cells import decided_by_names, why_not_matched
from audit_assets.results.positive_control import (
    MODEL,
    Needed,
    by_identification,
    control_rows,
    copy_rows,
    imitated_perfectly,
)
from audit_assets.results.recipe import Recipe, encoders_used, images_of, labels_of, together, works_of
from audit_assets.roster.strata import TESTED
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Matching:
    """The deciding test of each tested subject, its p and its smallest p.

    If the test did not run, p is NaN and a reason says why. ``few_artists``: how many other artists lack, if the name test without
    other artists decides; empty otherwise.
    """

    test: list[str]
    p: np.ndarray
    floor: np.ndarray
    auc: np.ndarray
    reason: list[str]
    few_artists: list[str]


def deciding(found: Matched, tests: pd.DataFrame) -> Matching:
    """Choose the own-cell test; if too few other artists have works, the name test without other artists."""
    rows = {
        test: tests[(tests["test"] == test) & (tests["control"] == "none")].set_index("subject").reindex(found.tested)
        for test in ("own_cell", "name_test")
    }
    own, names = rows["own_cell"], rows["name_test"]
    alone = decided_by_names(own["p_value"], own["reason"], names["p_value"])
    chosen = {
        column: np.where(alone, names[column], own[column]).astype(float) for column in ("p_value", "p_floor", "auc")
    }
    untested = [why_not_matched(str(o), str(n)) for o, n in zip(own["reason"], names["reason"], strict=True)]
    reason = np.where(alone, names["reason"], untested)
    return Matching(
        ["name_test" if a else "own_cell" for a in alone],
        chosen["p_value"],
        chosen["p_floor"],
        chosen["auc"],
        [str(r) for r in reason],
        [str(r) for r in np.where(alone, own["reason"], "")],
    )


def evidence(
    ws: Workspace,
    model: str,
    encoder: EncoderEntry,
    found: Matched | None,
    beside: pd.DataFrame,
    tests: pd.DataFrame,
    works: pd.DataFrame,
    statuses: Mapping[str, Sequence[str]],
) -> dict[str, pd.DataFrame]:
    """Make verdicts, answers, positive_control, near_copies and roster_findings of one model version and encoder.

    `beside`, `tests` and `works` have this encoder's rows of `name_controls` (with the columns of ``_ranks``),
    `matching_by_subject` and `reference_trials`. `statuses` are those of ``statuses_of``.
    """
    subjects = ws.subjects()
    prompted = subjects[subjects["kind"] != "background"]
    has_text = encoder.kind == "image_text"
    named = beside.set_index("subject")
    alpha = ws.protocol.matching.alpha
    tested: dict[str, dict[str, Any]] = {}
    tables: dict[str, pd.DataFrame] = {}
    if found is not None and found.tested:
        match = deciding(found, tests)
        passed = np.array([not has_text or named["answer"].get(s) == YES for s in found.tested])
        families = {kind: _family(found, match, passed, kind, alpha) for kind in TESTED}
        needed = _needed(found, match, families, named if has_text else None, works, subjects)
        perfect = imitated_perfectly(found, needed, seed=ws.protocol.seed)
        tables = {"positive_control": control_rows(found, needed, perfect), "near_copies": copy_rows(found)}
        finds = by_identification(tables["positive_control"])
        output = set(tables["near_copies"].loc[tables["near_copies"]["what"] == MODEL, "subject"])
        for i, subject in enumerate(found.tested):
            members, filtered = families[found.kinds[i]]
            at = members.index(i)
            tested[subject] = {
                "towards": _towards(match, filtered, i, at, len(members), alpha, subject in output),
                "seen": _seen(perfect, needed, i),
                "few_works": perfect.independent[i] < FEWEST_WORKS,
                "few_artists": match.few_artists[i],
                "finds": finds.get(subject),
                "test": match.test[i],
                "p_value": match.p[i],
                "q_value": filtered.q_value[at] if len(members) > 1 else np.nan,
                "family": filtered.family if len(members) > 1 else 1,
            }
    lines, answered = [], []
    in_pool, copies = set(ws.referenced()), copied(ws, model)
    for subject, kind in zip(prompted["subject"].astype(str), prompted["kind"].astype(str), strict=True):
        name = pd.Series(named.loc[subject]) if has_text and subject in named.index else None
        steers = from_names(name, has_text=True) if name is not None else None
        more = tested.get(subject, {})
        towards, seen = more.get("towards"), more.get("seen")
        if towards is None and kind in TESTED and subject in in_pool:
            towards, seen = _no_matrix(found is None)
        if has_text and steers is None:
            steers = Finding(UNTESTED, "No image could be classified.", settle="Images that show something.")
        if seen is not None and steers is not None and steers.answer == UNTESTED:
            seen = _unseen_without_identification(steers, seen if more.get("few_works") else None)
        if {NO, UNTESTED} & {f.answer for f in (steers, towards) if f}:
            found_withheld = withheld_of(statuses.get(subject, ()), int(copies.get(subject, 0)))
            steers = identified_but_for(steers, None if name is None else name["at_best"], found_withheld)
            towards = matched_but_for(towards, found_withheld)
        steers, towards = (but_for_copies(f, int(copies.get(subject, 0))) for f in (steers, towards))
        if seen is not None and more.get("few_artists"):
            seen = _seen_without_artists(steers, seen, more["few_artists"], more["finds"])
        answers = Answers(steers, towards, seen, identified_only=more.get("finds") is not None)
        judged = judge(answers)
        findings = {"steers": steers, "towards": towards, "seen": seen}
        lines.append(
            {
                "subject": subject, "kind": kind, "verdict": judged.verdict, "basis": judged.basis, "because": judged.because,
                **{question: None if f is None else f.answer for question, f in findings.items()},
                **_of_names(name), **{k: more.get(k) for k in ("test", "p_value", "q_value", "family")},
            }
        )  # fmt: skip
        answered += [{"subject": subject, "kind": kind, "question": q, **vars(f)} for q, f in findings.items() if f]
    verdicts = _typed(pd.DataFrame(lines))
    tables |= {"verdicts": verdicts, "answers": pd.DataFrame(answered), "roster_findings": _roster(verdicts, alpha)}
    return tables


def _of_names(name: pd.Series | None) -> dict[str, Any]:
    columns = {"images": "shown", "identified": "identified", "identified_needed": "needed", "name_p": "p_value"}
    same = {"label_set": "label_set", "stratum": "stratum"}
    return {ours: None if name is None else name[theirs] for ours, theirs in (columns | same).items()}


def _family(found: Matched, match: Matching, passed: np.ndarray, kind: str, alpha: float) -> tuple[list[int], Filtered]:
    """Return the tested subjects of a kind, and their adjusted p-values."""
    members = [i for i, k in enumerate(found.kinds) if k == kind]
    return members, filtered_bh(match.p[members], passed[members], alpha=alpha)


def _needed(
    found: Matched,
    match: Matching,
    families: dict[str, tuple[list[int], Filtered]],
    named: pd.DataFrame | None,
    works: pd.DataFrame,
    subjects: pd.DataFrame,
) -> Needed:
    """Return what the decision requires of each tested subject, and so of its perfect imitator."""
    p = np.zeros(len(found.tested))
    for members, filtered in families.values():
        p[members] = filtered.needed
    position = {name: i for i, name in enumerate(found.names)}
    images = np.array([int(found.cells.images[position[s]]) for s in found.tested])
    share = np.zeros((1, len(found.tested)))
    identified = None
    if named is not None:
        rows = named.reindex(found.tested)
        asked = rows[["needed_share", "needed_label"]].astype("float64").to_numpy()
        share = asked.T / rows["shown"].astype("float64").replace(0, np.nan).to_numpy()
        ranks = rows["label_set"].to_dict(), dict.fromkeys(found.tested, "joint")
        identified = np.stack([_works_identified(found, label_sets, works) for label_sets in ranks])
    alone = np.array([test == "name_test" for test in match.test])
    return Needed(p, share, identified, images, alone)


def _works_identified(found: Matched, label_sets: dict[Any, Any], works: pd.DataFrame) -> np.ndarray:
    """Say whether identification finds the artist in each real work, in the label set that is given for the artist."""
    known = works.set_index(["label_set", "subject", "work"])["correct"]
    keys = [
        (label_sets.get(s), s, int(w))
        for s, w in zip(found.works.rows["subject"], found.works.rows["work"], strict=True)
    ]
    return known.reindex(pd.MultiIndex.from_tuples(keys)).fillna(False).to_numpy(dtype=bool)


def _towards(
    match: Matching, filtered: Filtered, i: int, at: int, members: int, alpha: float, contaminated: bool
) -> Finding:
    q = None if members == 1 or np.isnan(filtered.q_value[at]) else float(filtered.q_value[at])
    reason, settle = split_reason(match.reason[i])
    if contaminated:
        settle = settle or "Works that the model did not make."
    found = from_matching(
        p=match.p[i], q=q, smallest_p=match.floor[i], alpha=alpha, needed=None if q is None else float(filtered.needed[at]),
        reason=reason, settle=settle, estimate=_known(match.auc[i]),
    )  # fmt: skip
    said = [found.reason]
    if match.test[i] == "name_test" and found.answer != UNTESTED:
        said.append("Too few other artists have works, so the images are compared with those of control names alone.")
    if contaminated:
        said.append("Works that are near-identical to an image of the model were left out.")
    return replace(found, reason=" ".join(said))


def split_reason(reason: str) -> tuple[str, str]:
    """Split a reason from its last sentence, as in '... needs 10. 3 more control names would settle it.'"""
    first, dot, rest = reason.partition(". ")
    if dot:
        return f"{first}.", rest
    first, semicolon, rest = reason.partition("; ")
    return (f"{first}.", f"{rest[:1].upper()}{rest[1:]}") if semicolon else (reason, reason)


def _seen(perfect: PerfectImitator, needed: Needed, i: int) -> Finding:
    """The third answer; of an artist whose perfect imitator could be identified and not matched, as if identification decided alone."""
    if np.isnan(perfect.called[i]):
        reason, settle = split_reason(perfect.reason[i])
        return Finding(UNTESTED, reason, settle=settle)
    called = float(perfect.called[i])
    matched_too = not perfect.reason[i]
    said = f"With half of the real works in place of images, {100 * called:.0f} % of the splits are "
    details = [f"median p = {perfect.p_value[i]:.2g}"] if matched_too else []
    if needed.identified is not None:
        ranks = "of the works identified", "of them fall to the artist's label among the labels of all names"
        for share, asked, what in zip(perfect.identified[:, i], needed.share[:, i], ranks, strict=True):
            limit = "no share would suffice" if np.isnan(asked) else f"{100 * asked:.0f} % needed"
            details.append(f"{100 * share:.0f} % {what}, {limit}")
    said += f"{'called imitated' if matched_too else 'identified as the decision needs'} ({'; '.join(details)})."
    return Finding(YES if called > 0.5 else NO, said, called, called)


def _seen_without_artists(steers: Finding | None, seen: Finding, few_artists: str, finds: bool | None) -> Finding:
    """The third answer if the name test without other artists decides: of identification alone, or could not be tested."""
    first = None if steers is None else steers.answer
    lacking, settle = split_reason(few_artists)
    if first == NO and finds is None:
        return seen  # It says what identification lacks; works of other artists would not be needed.
    if finds is not None and of_identification(first, finds) != UNTESTED:
        return replace(seen, reason=f"{seen.reason} Matching could not be tried on real works. {lacking}")
    why = f"{lacking} Without them, nothing shows whether real works resemble each other by the hand or because they are real."
    if seen.answer != UNTESTED or seen.reason == lacking:
        return Finding(UNTESTED, why, settle=settle)
    both = f"{seen.settle} {settle}".replace(" would settle it", "")
    return Finding(UNTESTED, f"{seen.reason} {why}", settle=both)


def _unseen_without_identification(steers: Finding, works: Finding | None) -> Finding:
    """The third answer if identification could not be tested: a perfect imitator would have to pass it too.

    `works` is the answer if there are too few works as well. What it asks for then does not settle the question alone.
    """
    why = f"A perfect imitator must be identified too, and that could not be tested. {steers.reason}"
    if works is None:
        return Finding(UNTESTED, why, settle=steers.settle)
    wanted = works.settle.replace(" would settle it", "")
    return Finding(UNTESTED, f"{works.reason} {why}", settle=f"{wanted} {steers.settle}")


def _no_matrix(no_images: bool) -> tuple[Finding, Finding]:
    why = "No name has enough shown images" if no_images else "The artist's works or images could not be matched"
    finding = Finding(UNTESTED, f"{why}.", settle="Five shown images of the artist's name and of control names.")
    return finding, finding


def _roster(verdicts: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """One row per tested kind: how many are called, and at least how many are imitated with 95 % confidence."""
    rows = []
    for kind in TESTED:
        own = verdicts[(verdicts["kind"] == kind) & verdicts["towards"].notna()]
        if own.empty:
            continue
        steered = own["steers"].isna() | (own["steers"] == YES)
        p = own["p_value"].astype("float64").to_numpy()
        counted = own["verdict"].value_counts()
        rows.append(
            {
                "kind": kind,
                "subjects": len(own),
                "steered": int(steered.sum()),
                "imitated": int(counted.get("imitated", 0)),
                "at_least": true_discoveries(p, passed=steered.to_numpy(dtype=bool), alpha=1 - CONFIDENCE),
                "confidence": CONFIDENCE,
                "not_shown": int(counted.get("not shown to be imitated", 0)),
                "not_auditable": int(counted.get("not auditable", 0)),
            }
        )
    return pd.DataFrame(rows)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    counts = dict.fromkeys(("images", "identified", "identified_needed", "family"), "Int32")
    figures = dict.fromkeys(("name_p", "p_value", "q_value"), "float64")
    return table.astype({**counts, **figures})


def _results(ws: Workspace, model: str) -> list[str]:
    per_model = [f"{t}/{model}" for t in ("name_controls", "identification_trials", "matching_by_subject")]
    return [*per_model, *labels_of(ws, model), "reference_trials", "model_versions", "encoders"]


def _sources(ws: Workspace, model: str) -> list[str]:
    works = [f"reference_works/{s}" for s in ws.referenced()]
    embeddings = [*images_of(ws, ws.encoders(model), model), copies_of(model), *works_of(ws, ws.encoders(model))]
    statuses = [f"imitations/{model}/{s}" for s in ws.prompted()]
    return [*_results(ws, model), *works, *embeddings, *statuses]


def _ranks(ws: Workspace, model: str, statuses: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What each rank of identification asks for, and `at_best`: the answer if every image that was withheld were identified.

    `name_controls` has the larger of the two numbers.
    """
    trials = ws.warehouse.read(f"identification_trials/{model}", COUNTED)
    unread = {e.name: not_read(ws, e) for e in ws.text_encoders(model)}
    subjects = ws.subjects()
    rows = in_both_ranks(trials, subjects, protocol=ws.protocol, unread=unread)
    lacking = {s: n for s, own in statuses.items() if (n := withheld_of(own).total)}
    rows["at_best"] = None
    if lacking:
        best = in_both_ranks(trials, subjects, protocol=ws.protocol, unread=unread, withheld=lacking)
        rows["at_best"] = best["answer"].where(best["subject"].isin(lacking), None)
    return rows[["encoder", "subject", *RANKS, "at_best"]]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    beside, tests = (ws.warehouse.read(f"{t}/{model}") for t in ("name_controls", "matching_by_subject"))
    statuses = statuses_of(ws, model)
    beside = beside.merge(_ranks(ws, model, statuses), on=["encoder", "subject"], how="left")
    works, models = ws.warehouse.read("reference_trials"), ws.warehouse.read("model_versions")
    relations = independence(
        models[models["model_version"] == model], encoders_used(ws, model), named=KNOWN_FAMILIES
    ).set_index("encoder")["relation"]
    made: dict[str, list[pd.DataFrame]] = {table: [] for table in TABLES}
    for e in ws.encoders(model):
        tables = evidence(
            ws,
            model,
            e,
            matched(ws, model, e),
            beside[beside["encoder"] == e.name],
            tests[tests["encoder"] == e.name],
            works[works["encoder"] == e.name],
            statuses,
        )
        tables["verdicts"]["relation"] = str(relations.get(e.name, "unknown"))
        for name, table in tables.items():
            keys = {"protocol": ws.protocol.name, "model_version": model, "encoder": e.name}
            if len(table):
                made[name].append(table.assign(**keys)[columns(name)])
    result = {name: together(tables, columns(name)) for name, tables in made.items()}
    agreed = agreement(result["verdicts"]).assign(protocol=ws.protocol.name)
    return {**result, "verdict_agreement": agreed[["protocol", *agreed.columns.drop("protocol")]]}


TABLES = ("verdicts", "answers", "positive_control", "near_copies", "roster_findings")
VERDICTS = Recipe((*TABLES, "verdict_agreement"), _sources, _make)
"""Three answers and one word per artist and encoder, what they rest on, and how many encoders agree."""
