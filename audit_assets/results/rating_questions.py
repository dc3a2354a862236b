"""What human raters are asked: the image of an artist's name beside that of a control name, under works of the artist.

Every rater gets the same questions, each in an order of the rater's own, which the seed decides. The table `rating_questions` is the key: which
side shows what. It stays in the warehouse; the packets do not have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.measurement.ratings import FEWEST_NAMES
from audit_assets.results.copies import copies_of
from audit_assets.results.matched import strata_of
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace

WORKS = 3
"""Works of the artist above each question."""
CHECK_EVERY = 10
"""One attention check for so many questions, and two at least."""
SIDES = ("left", "right")


@dataclass(frozen=True)
class Wanted:
    """What is exported: how many raters, how many questions per artist, of which artists (all, if none is named), by which seed."""

    raters: int = 5
    questions: int = FEWEST_NAMES
    artists: tuple[str, ...] = ()
    seed: int = 0


def key_of(model: str) -> str:
    """Return the place of the key of a model version's packets."""
    return f"rating_questions/{model}"


def drawn(ws: Workspace, model: str, wanted: Wanted) -> tuple[pd.DataFrame, dict[str, str]]:
    """Draw the questions of every rater: table `rating_questions`, without the hashes of the pages, and why each other wanted artist is not asked about.

    InputError if no question can be asked, or if an artist is not one of the audit's.
    """
    subjects = ws.subjects()
    copied = ws.warehouse.read(copies_of(model))
    images = ws.warehouse.read_all([f"imitations/{model}/{s}" for s in ws.prompted()])
    works = ws.warehouse.read_all([f"reference_works/{s}" for s in ws.referenced()]) if ws.referenced() else None
    if works is None or works.empty:
        raise InputError("ratings: no artist has real works, so raters would have nothing to compare images with.")
    return questions(
        images, works, copied, subjects, wanted, about={"protocol": ws.protocol.name, "model_version": model}
    )


def questions(
    images: pd.DataFrame,
    works: pd.DataFrame,
    copied: pd.DataFrame,
    subjects: pd.DataFrame,
    wanted: Wanted,
    about: dict[str, str],
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Draw the questions from tables: `imitations`, `reference_works`, `image_copies` and `subjects` (see ``drawn``)."""
    if wanted.raters < 1 or wanted.questions < 1:
        raise InputError("ratings: give one rater and one question per artist, or more.")
    artists = subjects.loc[subjects["kind"] == "artist", "subject"].astype(str).tolist()
    if unknown := [a for a in wanted.artists if a not in artists]:
        raise InputError(
            f"--artist {unknown[0]}: is no artist of this audit; give the slug of one, such as {artists[0]}."
        )
    shown = shown_to_raters(images, copied)
    strata = strata_of(subjects)
    shares = subjects["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    # An invented word is no name of the artist's origin, so it would be no evidence beside one.
    controls = subjects.loc[(subjects["kind"] == "random_name") & ~shares, "subject"].astype(str)
    rng = np.random.default_rng([wanted.seed, 18])
    asked: list[dict[str, object]] = []
    passed_over: dict[str, str] = {}
    shown_before: dict[str, int] = {}
    for artist in wanted.artists or artists:
        own = shown.loc[shown["subject"] == artist, "image_sha256"].tolist()
        real = works.loc[works["subject"] == artist, "image_sha256"].drop_duplicates().tolist()
        beside = shown[shown["subject"].isin([c for c in controls if strata[c] == strata[artist]])]
        if lacks := _lacks(real, own, beside):
            passed_over[artist] = lacks
            continue
        named: dict[str, int] = {}
        for image in rng.permutation(own)[: wanted.questions]:
            # Each question is beside another control name, as long as there are others: the answer counts control names. Of their images, one of those
            # that were shown least, so that a picture that comes back gives nothing away.
            uses = beside["subject"].map(named).fillna(0).to_numpy()
            times = beside["image_sha256"].map(shown_before).fillna(0).where(uses == uses.min(), np.inf).to_numpy()
            other = beside.iloc[int(rng.choice(np.flatnonzero(times == times.min())))]
            named[str(other["subject"])] = named.get(str(other["subject"]), 0) + 1
            shown_before[str(other["image_sha256"])] = shown_before.get(str(other["image_sha256"]), 0) + 1
            asked.append(_question(artist, str(image), other, rng.permutation(real)[:WORKS].tolist(), check=False))
    if not asked:
        raise InputError(
            f"ratings: no artist has {WORKS} real works, an image that shows something, and a control name of the same origin with one."
        )
    for _ in range(max(2, len(asked) // CHECK_EVERY)):
        # One side shows a work that stands above it.
        at = asked[int(rng.integers(len(asked)))]
        other = shown[shown["subject"] == at["other_subject"]].iloc[0]
        above = list(at["works"])  # type: ignore[call-overload]
        asked.append(_question(str(at["subject"]), above[int(rng.integers(WORKS))], other, above, check=True))
    table = pd.DataFrame(asked)
    table["question"] = range(len(table))
    table["named_first"] = rng.integers(0, 2, len(table)).astype(bool)
    packets = [_packet(table, rater, wanted, about) for rater in range(1, wanted.raters + 1)]
    table = pd.concat(packets, ignore_index=True).assign(**about, page_sha256=None)[columns("rating_questions")]
    return table, passed_over


def _lacks(works: Sequence[str], images: Sequence[str], beside: pd.DataFrame) -> str:
    """What a question about an artist lacks, in words; empty if nothing."""
    if len(works) < WORKS:
        return f"fewer than {WORKS} real works"
    if not images:
        return "no image of the name that shows something and is no near copy"
    return "no control name of the same origin with an image that shows something" if beside.empty else ""


def shown_to_raters(images: pd.DataFrame, copied: pd.DataFrame) -> pd.DataFrame:
    """The rows of `imitations` whose images raters can be asked about, each image of a subject once.

    Raters judge style, and they would recognise near copies as works.
    """
    copies = set(copied.loc[copied["is_copy"].astype(bool), "image_sha256"])
    shown = images[(images["status"] == "ok") & (images["template"] >= 0) & ~images["image_sha256"].isin(copies)]
    return shown.drop_duplicates(["subject", "image_sha256"])


def ask_the_same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two keys are those of the same packets: equal in every column but the hashes of the pages, which follow from the others."""
    return one.drop(columns="page_sha256").to_json() == other.drop(columns="page_sha256").to_json()


def without_answer(key: pd.DataFrame) -> list[str]:
    """The artists of a key of packets about whom raters can give a share but no answer: too few control names stand beside them."""
    names = key[~key["is_check"]].groupby("subject")["other_subject"].nunique()
    return [str(subject) for subject in names.index[names < FEWEST_NAMES]]


def _question(artist: str, image: str, other: pd.Series, above: Sequence[str], *, check: bool) -> dict[str, object]:
    return {
        "subject": artist, "image_sha256": image, "other_subject": str(other["subject"]), "other_sha256": str(other["image_sha256"]),
        "works": list(above), "is_check": check,
    }  # fmt: skip


def _packet(table: pd.DataFrame, rater: int, wanted: Wanted, about: dict[str, str]) -> pd.DataFrame:
    """The questions of one rater, in an order and on sides of the rater's own."""
    rng = np.random.default_rng([wanted.seed, 19, rater])
    own = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    own["position"] = range(1, len(own) + 1)
    own["image_side"] = [SIDES[i] for i in rng.integers(0, 2, len(own))]
    # The name depends on all that is asked, so answers are never taken for those to other questions. It is a hash, so it gives no rater the key.
    name = digest([about, wanted.seed, rater, own.to_json()])[:16]
    return own.assign(rater=rater, packet=name, seed=wanted.seed)
