"""Judge every artist again with other choices: another test, label set, template, half of the works, half of the roster.

A verdict that only one of several defensible choices gives is weaker than one that all give. Steegen et al. (2016, *Perspectives
on Psychological Science* 11, 702-712) call such a table a multiverse. The choices here describe; none of them decides.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry, Protocol
from audit_assets.measurement.answers import NO, UNTESTED, YES, of_identification, word
from audit_assets.measurement.discoveries import filtered_bh
from audit_assets.measurement.own_cell import own_cell_in_strata
from audit_assets.measurement.vectors import BoolArray
from audit_assets.results.beside_names import beside_control_names
from audit_assets.results.blocked import statuses_of, withheld_of
from audit_assets.results.copies import images_with_copies
from audit_assets.results.identification import identification_trials, text_side
from audit_assets.results.label_sets import not_read
from audit_assets.results.matched import Matched, Works, of_tables, works_of_everyone
from audit_assets.results.own_cells import decided_by_names, names_in_strata
from audit_assets.results.positive_control import by_identification
from audit_assets.workspace import Workspace

OWN = "verdict"
"""The choice of the audit itself, from which changes are counted."""
TESTS = (
    ("name_test", "closer"),
    ("own_rank", "closer"),
    ("rank_sum_exact", "closer"),
    ("rank_sum_asymptotic", "two_sided"),
)
"""Tests of matching that could have decided. The last two are the paper's, by Bonferroni."""

JOINT, WORKS, ROSTER, TEMPLATE = "joint_labels", "half_of_the_works", "half_of_the_roster", "template "
TEXT = "text_blurred"


@dataclass(frozen=True)
class Choice:
    """One other way to judge. ``families`` are sets of artists that are adjusted together: subject to p of matching.

    ``steers`` has the first answer per subject; None if the choice does not concern it.
    """

    name: str
    families: tuple[dict[str, float], ...]
    steers: dict[str, str] | None = None


def judged(
    ws: Workspace, model: str, verdicts: pd.DataFrame, matching: pd.DataFrame, trials: pd.DataFrame
) -> pd.DataFrame:
    """Make the verdict on every artist for every encoder and choice: subject, setting (encoder, choice), verdict.

    The first setting is the verdict's own, by the encoder that decides the headline. Another test replaces the p-value; another label
    set or template replaces the first answer; fewer works, artists or images replace the p-value. The positive control remains that
    of the verdict.
    """
    tables = [pd.DataFrame(columns=["subject", "setting", "verdict"])]
    deciding, statuses = ws.audit.deciding_encoder.name, statuses_of(ws, model)
    control = ws.warehouse.read(f"positive_control/{model}")
    for encoder in sorted(ws.encoders(model), key=lambda e: e.name != deciding):
        own, tests, identified = (t[t["encoder"] == encoder.name] for t in (verdicts, matching, trials))
        own = own[(own["kind"] == "artist") & own["towards"].notna()]
        if own.empty:
            continue
        finds = by_identification(control[control["encoder"] == encoder.name])
        own = own.assign(
            withheld=[withheld_of(statuses.get(str(s), ())).total > 0 for s in own["subject"]],
            finds=pd.Series([finds.get(str(s)) for s in own["subject"]], index=own.index, dtype=object),
        )
        tables.append(by_tests(own, tests, alpha=ws.protocol.matching.alpha).assign(encoder=encoder.name))
        choices = other_choices(ws, model, encoder, identified)
        again = [by_choice(own, choice, alpha=ws.protocol.matching.alpha) for choice in choices]
        tables += [table.assign(encoder=encoder.name) for table in again]
    rows = pd.concat(tables, ignore_index=True)
    rows["setting"] = rows["encoder"] + " | " + rows["setting"] if len(rows) else rows["setting"]
    return rows[["subject", "setting", "verdict"]]


def by_tests(own: pd.DataFrame, matching: pd.DataFrame, *, alpha: float) -> pd.DataFrame:
    """Judge the artists of one encoder as the audit does, and by every other test of matching: subject, setting, verdict."""
    tables = [_rows(own, OWN, own["steers"].tolist(), own["towards"].tolist())]
    passed = _passed(own["steers"])
    for test, alternative in TESTS:
        of_test = matching[
            (matching["test"] == test) & (matching["control"] == "none") & (matching["alternative"] == alternative)
        ].drop_duplicates("subject").set_index("subject").reindex(own["subject"])  # fmt: skip
        p, floor = (of_test[c].to_numpy(dtype="float64", na_value=np.nan) for c in ("p_value", "p_floor"))
        p = _reachable(p, floor, alpha)
        if not np.isnan(p).all():
            adjusted = of_test["p_adjusted"].to_numpy(dtype="float64", na_value=np.nan)
            yes = adjusted <= alpha if test.startswith("rank_sum") else _found(p, passed, alpha)
            tables.append(_rows(own, test, own["steers"].tolist(), _answers(p, yes)))
    return pd.concat(tables, ignore_index=True)


def by_choice(own: pd.DataFrame, choice: Choice, *, alpha: float) -> pd.DataFrame:
    """Judge the artists of one encoder by another choice: subject, setting, verdict."""
    steers = own["steers"] if choice.steers is None else own["subject"].map(choice.steers)
    passed = _passed(steers)
    p = np.full(len(own), np.nan)
    yes = np.zeros(len(own), dtype=bool)
    for family in choice.families:
        members = np.flatnonzero(own["subject"].isin(family.keys()))
        p[members] = [family[s] for s in own["subject"].iloc[members]]
        yes[members] = _found(p[members], passed[members], alpha)
    return _rows(own, choice.name, steers.tolist(), _answers(p, yes))


def _found(p: np.ndarray, passed: BoolArray, alpha: float) -> BoolArray:
    """Return who is found, as the verdict decides it: by q if the artist passed, by p if not and for one artist alone."""
    q = filtered_bh(p, passed, alpha=alpha).q_value if len(p) > 1 else np.full(len(p), np.nan)
    return np.where(np.isnan(q), p <= alpha, q <= alpha)


def _passed(steers: pd.Series) -> BoolArray:
    """Return who takes part in the adjustment; an encoder without text asks no name."""
    return (steers.isna() | (steers == YES)).to_numpy(dtype=bool)


def _answers(p: np.ndarray, yes: BoolArray) -> list[str]:
    return [UNTESTED if np.isnan(value) else YES if found else NO for value, found in zip(p, yes, strict=True)]


def _rows(own: pd.DataFrame, setting: str, steers: list[str], towards: list[str]) -> pd.DataFrame:
    """Make the verdicts from the answers. A `no` that withheld images have left open stays open in every choice."""
    open_steers, open_towards = (own["withheld"] & (own[question] == UNTESTED) for question in ("steers", "towards"))
    steers = [UNTESTED if left and one == NO else one for left, one in zip(open_steers, steers, strict=True)]
    towards = [UNTESTED if left and one == NO else one for left, one in zip(open_towards, towards, strict=True)]
    seen = [
        third if finds is None else of_identification(first, finds)  # type: ignore[arg-type]
        for first, third, finds in zip(steers, own["seen"], own["finds"], strict=True)
    ]
    words = [word(first, second, third) for first, second, third in zip(steers, towards, seen, strict=True)]  # type: ignore[arg-type]
    return pd.DataFrame({"subject": own["subject"].to_numpy(), "setting": setting, "verdict": words})


def other_choices(ws: Workspace, model: str, encoder: EncoderEntry, trials: pd.DataFrame) -> Iterator[Choice]:
    """Compute what other choices of labels, template, works and roster give, for one encoder."""
    subjects, protocol = ws.subjects(), ws.protocol
    works = works_of_everyone(ws, encoder)
    if works is None:
        return
    images = images_with_copies(ws, encoder, model)
    p_of = partial(deciding_p, alpha=protocol.matching.alpha)
    unread = {encoder.name: not_read(ws, encoder)}
    all_p = p_of(of_tables(works, images, subjects), subjects)
    if len(trials):
        yield Choice(JOINT, (all_p,), _steers(trials[trials["label_set"] == "joint"], subjects, protocol, unread))
    named = sorted(t for t in images["template"].unique() if t >= 0)
    for template in named if len(named) > 1 else []:
        alone = trials[(trials["template"] == template) & (trials["label_template"] == template)]
        p = p_of(of_tables(works, images[images["template"] == template], subjects), subjects)
        yield Choice(f"{TEMPLATE}{template}", (p,), _steers(alone, subjects, protocol, unread) if len(trials) else None)
    if (blurred := _without_text(ws, model, encoder, images)) is not None:
        again = _classified(ws, model, encoder, blurred) if len(trials) else None
        p = p_of(of_tables(works, blurred, subjects), subjects)
        yield Choice(TEXT, (p,), None if again is None else _steers(again, subjects, protocol, unread))
    yield Choice(WORKS, (p_of(of_tables(half_of_works(works), images, subjects), subjects),))
    if len(works.pool) > 1:
        halves = [half_of_the_roster(works, subjects, half) for half in (0, 1)]
        yield Choice(ROSTER, tuple(p_of(of_tables(w, images, s), s) for w, s in halves if len(w.rows)))


def blurred_of(encoder: EncoderEntry, model: str) -> str:
    """Return the place of the embeddings of images whose text was blurred."""
    return f"blurred_embeddings/{encoder.name}/{model}"


def _without_text(ws: Workspace, model: str, encoder: EncoderEntry, images: pd.DataFrame) -> pd.DataFrame | None:
    """Return the images with the embeddings of those in which text was blurred; None if none has text, or text was not looked for."""
    if not ws.audit.text_in_images or not ws.warehouse.made(where := blurred_of(encoder, model)):
        return None
    again = ws.warehouse.read(where)
    return None if again.empty else replaced(images, again)


def replaced(images: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """Return the images with the embeddings of `again` (subject, template, trial, embedding) for those that it has."""
    keys = ["subject", "template", "trial"]
    place = {key: i for i, key in enumerate(zip(*(again[k] for k in keys), strict=True))}
    at = [place.get(key, -1) for key in zip(*(images[k] for k in keys), strict=True)]
    new = again["embedding"].tolist()
    embeddings = [old if i < 0 else new[i] for i, old in zip(at, images["embedding"], strict=True)]
    return images.assign(embedding=pd.Series(embeddings, index=images.index, dtype=object))


def _classified(ws: Workspace, model: str, encoder: EncoderEntry, images: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of identification of images other than the audit's own."""
    return identification_trials(
        images[images["copy_of"].isna()].reset_index(drop=True),
        ws.warehouse.read(f"label_embeddings/{encoder.name}"),
        ws.subjects(),
        protocol=ws.protocol,
        model_version=model,
        encoder=encoder.name,
        text=text_side(ws, encoder, 1.0),
    )


def deciding_p(found: Matched | None, subjects: pd.DataFrame, *, alpha: float) -> dict[str, float]:
    """Return p of the test that decides per tested subject; NaN if it could not run, or could not reach ``alpha`` whatever the images show."""
    if found is None or not found.tested:
        return {}
    cells = found.cells
    own = own_cell_in_strata(cells.similarity, cells.lengths(), found.own, found.column_strata)
    names = names_in_strata(found, subjects)
    first, second = (_reachable(test.p_value, test.p_floor, alpha) for test in (own, names))
    by_names = decided_by_names(own.p_value, own.reason, names.p_value)
    return dict(zip(found.tested, np.where(by_names, second, first).tolist(), strict=True))


def _reachable(p: np.ndarray, floor: np.ndarray, alpha: float) -> np.ndarray:
    """Return p, and NaN for a test whose smallest p is above ``alpha``: it cannot say "yes", so it does not say "no"."""
    return np.where(floor > alpha + 1e-12, np.nan, p)


def _steers(
    trials: pd.DataFrame, subjects: pd.DataFrame, protocol: Protocol, unread: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """Return the first answer per prompted subject from these trials. `unread` as in `beside_control_names`."""
    if trials.empty:
        return {}
    table = beside_control_names(trials, subjects, protocol=protocol, unread=unread)
    return dict(zip(table["subject"].astype(str), table["answer"].astype(str), strict=True))


def half_of_works(works: Works) -> Works:
    """Keep the first half of each artist's works in the order of their hashes, which no person chose."""
    place = works.rows.groupby("subject").cumcount()
    number = works.rows.groupby("subject")["work"].transform("size")
    return _kept(works, (place < (number + 1) // 2).to_numpy(dtype=bool))


def half_of_the_roster(works: Works, subjects: pd.DataFrame, half: int) -> tuple[Works, pd.DataFrame]:
    """Keep every second artist with works, and all control names."""
    members = set(works.pool[half::2])
    left_out = set(works.pool) - members
    return _kept(works, works.rows["subject"].isin(members).to_numpy(dtype=bool)), subjects[
        ~subjects["subject"].isin(left_out)
    ]


def _kept(works: Works, kept: BoolArray) -> Works:
    rows = works.rows[kept].reset_index(drop=True)
    present = set(rows["subject"])
    pool = [s for s in works.pool if s in present]
    place = {s: i for i, s in enumerate(pool)}
    artist = np.asarray(rows["subject"].map(place).to_numpy(), dtype=np.int64)
    return replace(works, rows=rows, embeddings=works.embeddings[kept], pool=pool, artist=artist)
