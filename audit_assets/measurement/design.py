"""What an audit of a given size can find, by the rules of the run, before anyone pays for its images.

Each statement is a question, an answer and a sentence, and, if the answer is not "yes", what would change it. The limits
are those of the modules that apply them: control names of a stratum and shown images (``name_controls``), images per name
(``similarities``), other names and other artists with works (``own_cell``), control names if too few other artists have works
(``own_cell_companions.name_test_alone``), independent works (``perfect_imitator``), and Benjamini-Hochberg over all
artists with works. Blank images and near-identical works show only in the run, so a plan counts what is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from audit_assets.measurement import (
    name_controls,
    own_cell,
    own_cell_companions,
    perfect_imitator,
    remedies,
    similarities,
    version_power,
    versions,
)
from audit_assets.measurement.answers import NO, UNTESTED, YES, Answer
from audit_assets.measurement.power import accuracy_half_width
from audit_assets.measurement.strata import of_stratum

ACCURACY = 0.8
"""The accuracy whose interval a plan states; the paper's was 0.81."""

OWN_CELL, NAME_TEST = "own_cell", "name_test"


@dataclass(frozen=True)
class Stratum:
    """The artists of one stratum (``strata.stratum_of``), and the names that are compared with them.

    ``works``: number of works of each audited artist, 0 for one without. ``names``: its control names. ``others``: further
    names with images that are no controls (untrained artists), of which ``others_with_works`` have own cells of their own.
    ``labels``: labels of the stratum in the own set of the artists and in that of the control names. ``unread``: positions in
    ``works`` of artists of whose names the encoder reads no word, and ``unread_names``: control names of which it reads none.
    ``nonsense``: how many of ``names`` are words that no person bears, which identification does not compare with.
    """

    works: tuple[int, ...]
    names: int
    others: int = 0
    others_with_works: int = 0
    labels: tuple[int, int] = (0, 0)
    unread: frozenset[int] = frozenset()
    unread_names: int = 0
    nonsense: int = 0

    @property
    def matched(self) -> int:
        """Artists with works."""
        return sum(works > 0 for works in self.works)

    @property
    def compared(self) -> int:
        """Control names that identification can compare with."""
        return self.names - self.unread_names - self.nonsense


@dataclass(frozen=True)
class Design:
    """An audit that is planned.

    ``strata``: every stratum that has an audited artist, by its name. ``background``: other artists with works. ``images`` asked
    per name. ``labels``: labels in the own set of the artists, in that of the control names, and in the joint set.
    ``has_text``: whether the encoder has a text side. ``opted_out``: audited artists of the declared group, and
    ``opted_out_unread``: those of them whose names the encoder does not read. ``correlation`` of
    right and wrong between two images of one artist, for the accuracy of the roster alone; it is not that of embeddings.

    Raises ValueError without an artist, on negative numbers, and on an alpha or a correlation that is none.
    """

    strata: Mapping[str, Stratum]
    background: int = 0
    images: int = 10
    labels: tuple[int, int, int] = (0, 0, 0)
    has_text: bool = True
    opted_out: int = 0
    opted_out_unread: int = 0
    alpha: float = 0.05
    correlation: float = 0.5

    def __post_init__(self) -> None:
        if self.artists == 0:
            raise ValueError("No artist is audited; add one to the roster.")
        counts = [n for s in self.strata.values() for n in (*s.works, s.names, s.others, s.others_with_works)]
        unread, out = self.opted_out_unread, self.opted_out
        possible = 0 <= unread <= min(out, self.unread) and self.unread - unread <= self.artists - out
        if min([self.background, self.images, out, *counts]) < 0 or not possible:
            raise ValueError(
                "Numbers of works, images, names and artists are 0 or more, and no more opt out than exist."
            )
        if not (0 < self.alpha < 1 and 0 <= self.correlation <= 1):
            raise ValueError("Pass an alpha between 0 and 1, and a correlation from 0 to 1.")

    @property
    def works(self) -> list[int]:
        return [works for stratum in self.strata.values() for works in stratum.works]

    @property
    def artists(self) -> int:
        return len(self.works)

    @property
    def unread(self) -> int:
        """Audited artists of whose names the encoder reads no word."""
        return sum(len(stratum.unread) for stratum in self.strata.values())

    @property
    def matched(self) -> int:
        """Audited artists with works."""
        return sum(works > 0 for works in self.works)

    @property
    def rows(self) -> int:
        """Artists with works: the rows of the matrix of matching."""
        return self.matched + self.background


@dataclass(frozen=True)
class Statement:
    """``settle`` is empty if the answer is "yes"."""

    question: str
    answer: Answer
    sentence: str
    settle: str = field(default="")


@dataclass(frozen=True)
class Test:
    """How matching tests the artists of one stratum: ``own_cell`` or ``name_test``, empty if it cannot; its smallest p."""

    test: str
    smallest_p: float
    sentence: str
    settle: str = ""

    @property
    def possible(self) -> bool:
        return bool(self.test)


def statements(design: Design) -> list[Statement]:
    """What this audit can find, in the order of the three answers, then the roster and versions."""
    found = [*_steers(design), *_towards(design), _seen(design), _verdict(design)]
    if design.artists > 1:
        found += [_single(design), _accuracy(design)]
    if design.opted_out:
        found.append(_versions(design))
    return found


def identification(stratum: str, planned: Stratum, *, images: int) -> tuple[str, str]:
    """Why identification cannot be tested in a stratum, and what would settle it; both empty if it can."""
    if images < name_controls.FEWEST_SHOWN:
        needed = name_controls.FEWEST_SHOWN
        return (
            f"{images} images per name are planned; identification needs {needed} that are not blank.",
            f"{needed - images} more images per name.",
        )
    if planned.compared < name_controls.FEWEST_NAMES:
        needed, read = name_controls.FEWEST_NAMES, " that the encoder reads" if planned.unread_names else ""
        return (
            f"{planned.compared} control names{of_stratum(stratum)}{read} are planned; identification needs {needed}.",
            f"{needed - planned.compared} more control names{of_stratum(stratum)}{read}.",
        )
    return "", ""


def matching(stratum: str, planned: Stratum, *, rows: int, images: int, alpha: float) -> Test:
    """How the run tests an artist of this stratum who has works: by the own cell, else by the name test alone.

    ``rows``: artists with works, audited or background. Names are compared within the stratum only.
    """
    if images < similarities.FEWEST_IMAGES:
        needed = similarities.FEWEST_IMAGES
        return Test(
            "", np.nan, f"{images} images per name are planned; matching needs {needed} that are not blank.",
            f"{needed - images} more images per name.",
        )  # fmt: skip
    columns = len(planned.works) + planned.names + planned.others
    few_rows, few_columns = own_cell.FEWEST_ROWS - (rows - 1), own_cell.FEWEST_COLUMNS - (columns - 1)
    if few_rows <= 0 and few_columns <= 0:
        others = rows * columns - planned.matched - planned.others_with_works
        found = Test(OWN_CELL, 1 / (1 + others), f"The own cell is ranked among {others:,} other cells")
    elif few_rows > 0 and planned.names >= own_cell_companions.FEWEST_NAMES:
        found = Test(
            NAME_TEST, 1 / (1 + planned.names),
            f"{rows - 1} other artists have works, fewer than {own_cell.FEWEST_ROWS}, so the images are ranked among those of "
            f"{planned.names} control names alone, which cannot take out names whose images are near to all works",
        )  # fmt: skip
    else:
        needed = own_cell_companions.FEWEST_NAMES - planned.names if few_rows > 0 else few_columns
        background = f" and works of {few_rows} more background artists" if few_rows > 0 else ""
        return Test(
            "", np.nan,
            f"{columns - 1} other names{of_stratum(stratum)} have images and {rows - 1} other artists have works; matching needs "
            f"{own_cell.FEWEST_COLUMNS} and {own_cell.FEWEST_ROWS}, or {own_cell_companions.FEWEST_NAMES} control names.",
            f"{needed} more control names{of_stratum(stratum)}{background and f'; for the stronger test,{background[4:]} too'}.",
        )  # fmt: skip
    if found.smallest_p > alpha:
        more = ceil(1 / alpha) - 1 - planned.names if found.test == NAME_TEST else 1
        return Test(
            "", found.smallest_p, f"{found.sentence}: p cannot be below {found.smallest_p:.3g}, and {alpha} is the limit.",
            f"{max(more, 1)} more control names{of_stratum(stratum)}.",
        )  # fmt: skip
    return Test(found.test, found.smallest_p, f"{found.sentence}; p can be as small as {found.smallest_p:.1e}.")


def _tests(design: Design) -> dict[str, Test]:
    """The test of each stratum that has an artist with works."""
    planned = {name: stratum for name, stratum in design.strata.items() if stratum.matched}
    return {
        name: matching(name, stratum, rows=design.rows, images=design.images, alpha=design.alpha)
        for name, stratum in planned.items()
    }


def _artists(number: int) -> str:
    return f"{number:,} artist{'' if number == 1 else 's'}"


def _of(design: Design, stratum: str, artists: int) -> str:
    """Which artists a question is about, if an audit has several strata."""
    return "" if len(design.strata) == 1 else f" ({_artists(artists)}{of_stratum(stratum)})"


def _steers(design: Design) -> list[Statement]:
    asked = "Can the audit tell whether the name steers the model?"
    if not design.has_text:
        return [
            Statement(
                asked, UNTESTED, "The encoder has no text: matching decides alone.", "An encoder with a text side."
            )
        ]
    found = [
        _steers_in(design, asked, name, stratum)
        for name, stratum in design.strata.items()
        if len(stratum.unread) < len(stratum.works)
    ]
    if unread := design.unread:
        whose = "" if unread == design.artists else f" ({_artists(unread)} whose names the encoder does not read)"
        found.append(Statement(asked + whose, UNTESTED, *name_controls.UNREAD))
    return found


def _steers_in(design: Design, asked: str, name: str, stratum: Stratum) -> Statement:
    asked += _of(design, name, len(stratum.works) - len(stratum.unread))
    why, settle = identification(name, stratum, images=design.images)
    if why:
        return Statement(asked, UNTESTED, why, settle)
    level = name_controls.level_of(stratum.compared)
    may = int(np.floor(level * (1 + stratum.compared) + 1e-9)) - 1
    reach = {0: "no control name", 1: "at most one control name"}.get(may, f"at most {may} control names")
    chance = ""
    if max(design.labels) >= 2:
        chance = " " + name_controls.label_set_to_use(*design.labels, stratum.labels)[1]
    who = "This artist" if design.artists == 1 else "An artist"
    return Statement(
        asked, YES,
        f"{who} passes if {reach} of {stratum.compared} ({name}) reaches the same share of {design.images} images, and the images of "
        f"{reach} fall to the artist's label as often; a name without training images passes in {100 * level:.2g} % at most.{chance}",
    )  # fmt: skip


def _towards(design: Design) -> list[Statement]:
    own = "this artist's works" if design.artists == 1 else "their own artist's works"
    asked = f"Can the audit tell whether images resemble {own}?"
    if design.matched == 0:
        works = remedies.WORKS_OF_ONE if design.artists == 1 else "Works of the artists."
        none = "No works exist: no verdict says more than 'identified above controls'."
        return [Statement(asked, UNTESTED, none, works)]
    found = []
    for name, test in _tests(design).items():
        question = asked + _of(design, name, design.strata[name].matched)
        found.append(Statement(question, YES if test.possible else UNTESTED, test.sentence, test.settle))
    if without := design.artists - design.matched:
        sentence = f"{_artists(without)} without works: the most that a verdict can say is 'identified above controls'."
        found.append(Statement(asked + " (artists without works)", UNTESTED, sentence, "Works of each artist."))
    return found


def _seen(design: Design) -> Statement:
    asked = "Can the audit tell whether it would have seen a perfect imitator?"
    tests = _tests(design)
    unidentified = [one for one in (_steers(design) if design.has_text else []) if one.answer != YES]
    needed, alone = perfect_imitator.FEWEST_WORKS, design.artists == 1
    few = remedies.of_few_works(design.works[0], needed) if alone and design.works[0] < needed else ("", "")
    artists = _lacking_artists(design)
    lacking = [few[1], *(one.settle for one in unidentified), artists[1]]
    if not any(test.possible for test in tests.values()):
        unmatched = [one.settle for one in _towards(design) if one.answer != YES]
        said = f"Nothing can be matched. {few[0]}".strip()
        return Statement(asked, UNTESTED, said, remedies.joined([*lacking, *unmatched]))
    if artists[0] and not design.has_text:
        said = f"{few[0]} {artists[0]} Only 'imitated' could be a verdict.".strip()
        return Statement(asked, UNTESTED, said, remedies.joined([few[1], artists[1]]))
    able = can_be_imitated(design)
    if alone and unidentified:
        why = f"A perfect imitator must be identified too, and that cannot be tested. {unidentified[0].sentence}"
        return Statement(asked, UNTESTED, f"{few[0]} {why}".strip(), remedies.joined(lacking))
    enough = [
        works
        for name, stratum in design.strata.items()
        for i, works in enumerate(stratum.works)
        if works >= needed and able[name] and i not in stratum.unread
    ]
    if len(enough) == design.artists and artists[0]:
        return Statement(
            asked, NO, f"{artists[0]} Whether it would have identified a perfect imitator can be told: an artist whose name does not steer the "
            "model can be 'not shown to be imitated', and no other.", artists[1],
        )  # fmt: skip
    if len(enough) == design.artists:
        have = f"{enough[0]} works" if alone else f"At least {min(enough)} works per artist"
        return Statement(
            asked, YES, f"{have} exist, {needed} are needed: one half stands in for images. Works that are copies of each "
            "other, or of one series, count as one.",
        )  # fmt: skip
    if few[0]:
        return Statement(asked, UNTESTED, f"{few[0]} Only 'imitated' could be a verdict.", remedies.joined(lacking))
    without = design.artists - len(enough)
    cannot = "cannot be matched, or cannot be identified" if unidentified else "or cannot be matched"
    works = [f"{needed} works per artist."] if min(design.works) < needed else []
    unmatched = [one.settle for one in _towards(design) if one.answer != YES and not works]
    settle = remedies.joined([*works, *unmatched, *lacking])
    return Statement(
        asked, NO if enough else UNTESTED,
        f"{without} of {design.artists} artists have fewer than {needed} works, {cannot}; none of them can be 'not shown to be imitated'.", settle,
    )  # fmt: skip


def can_be_imitated(design: Design) -> dict[str, bool]:
    """Of each stratum: whether an artist with works, and with a name that the encoder reads, can be called imitated, by the rule of the run."""
    tests = _tests(design)
    return {
        name: name in tests
        and tests[name].possible
        and not (design.has_text and identification(name, stratum, images=design.images)[0])
        for name, stratum in design.strata.items()
    }


def _lacking_artists(design: Design) -> tuple[str, str]:
    """Why matching cannot be tried on a perfect imitator if the name test without other artists decides, and what would settle it.

    Both are empty if enough other artists have works, or if no audited artist has.
    """
    others = design.rows - 1
    if design.matched == 0 or others >= own_cell.FEWEST_ROWS:
        return "", ""
    return (
        f"{others} other artists have works, so nothing shows whether real works resemble each other by the hand or because they are real.",
        f"Works of {own_cell.FEWEST_ROWS - others} more background artists.",
    )


def _verdict(design: Design) -> Statement:
    asked = "Can this artist be called imitated?" if design.artists == 1 else "Can each artist be called imitated?"
    able = can_be_imitated(design)
    cannot = sum(
        sum(not (works > 0 and able[name] and i not in stratum.unread) for i, works in enumerate(stratum.works))
        for name, stratum in design.strata.items()
    )
    if not cannot:
        needs = "Identification and matching" if design.has_text else "Matching"
        return Statement(
            asked, YES, f"{needs} must be positive; nothing else that the audit shows can take this verdict back."
        )
    steers = _steers(design) if design.has_text else []
    missing = [one for one in [*steers, *_towards(design)] if one.answer != YES]
    who = "" if design.artists == 1 else f"{cannot} of {design.artists} artists cannot: "
    return Statement(
        asked, NO, who + " ".join(dict.fromkeys(one.sentence for one in missing)),
        remedies.joined(one.settle for one in missing),
    )  # fmt: skip


def smallest_p(design: Design) -> float:
    """Of the strata that can be tested, the smallest p-value of the one that can reach least; NaN if none can."""
    return max((test.smallest_p for test in _tests(design).values() if test.possible), default=np.nan)


def fewest_imitated(design: Design) -> int | None:
    """The smallest number of imitated artists that Benjamini-Hochberg lets matching find; None if no number suffices."""
    floor = smallest_p(design)
    if np.isnan(floor):
        return None
    return next((k for k in range(1, design.matched + 1) if floor * design.matched <= design.alpha * k), None)


def _single(design: Design) -> Statement:
    asked = "Can one imitated artist be found if no other is?"
    floor = smallest_p(design)
    if np.isnan(floor):
        return Statement(
            asked, UNTESTED, "Nothing can be matched.", remedies.joined(s.settle for s in _towards(design))
        )
    fewest = fewest_imitated(design)
    least = f"All {_artists(design.matched)} with works are adjusted together, so q can be as small as {floor * design.matched:.1e}"
    if fewest == 1:
        return Statement(asked, YES, f"{least}.")
    several = "no number would do" if fewest is None else f"at least {fewest} must be imitated"
    return Statement(
        asked, NO, f"{least}, and {design.alpha} is the limit: {several}.",
        f"More control names or background artists: {ceil(design.matched / design.alpha):,} other cells per stratum.",
    )  # fmt: skip


def _accuracy(design: Design) -> Statement:
    asked = f"To how many points is an accuracy of {ACCURACY:.0%} known?"
    if design.images == 0:
        return Statement(asked, UNTESTED, "No images are planned.", "Images.")
    half = accuracy_half_width(ACCURACY, artists=design.artists, images=design.images, icc=design.correlation)
    return Statement(
        asked, YES,
        f"± {100 * half:.1f} points over {design.artists} artists with {design.images} images each, if right and wrong are "
        f"correlated with {design.correlation:.2f} between images of one artist, and artists are independent. Artists who come in "
        "schools make it wider.",
    )  # fmt: skip


def _versions(design: Design) -> Statement:
    asked = "Can a later version show that the declared artists were left out?"
    group = design.opted_out - design.opted_out_unread
    others = design.artists - design.unread - group
    if design.has_text and design.unread and not (group and others):
        whose = "who opted out" if group == 0 else "who did not opt out"
        return Statement(
            asked, UNTESTED, f"No artist {whose} can be compared. {name_controls.UNREAD[0]}", name_controls.UNREAD[1]
        )
    if others == 0 or design.images == 0:
        return Statement(
            asked, UNTESTED, "No other artist with images exists to compare with.", "Artists who did not opt out."
        )
    if not design.has_text:
        return Statement(
            asked, UNTESTED, "The encoder has no text, so no share of identified images can be compared.", "An encoder with a text side."
        )  # fmt: skip
    if design.images < name_controls.FEWEST_SHOWN:
        needed = name_controls.FEWEST_SHOWN
        return Statement(
            asked, UNTESTED, f"{design.images} images per name are planned; a comparison of versions needs {needed} that are not blank.",
            f"{needed - design.images} more images per name.",
        )  # fmt: skip
    reason, settle = versions.too_few(group, others, alpha=design.alpha)
    if reason:
        return Statement(asked, UNTESTED, reason, settle)
    shares = [
        version_power.power_of_difference_in_differences(
            effect, group=group, others=others, images=design.images, share=ACCURACY, movement=0.1, alpha=design.alpha
        )
        for effect in (0.2, 0.4)
    ]
    left = (
        f" {_artists(design.unread)} whose names the encoder does not read cannot be compared." if design.unread else ""
    )
    return Statement(
        asked, YES,
        f"If their share of {ACCURACY:.0%} falls by 20 or 40 points more than that of {others} others, this is found in "
        f"{shares[0]:.0%} or {shares[1]:.0%} of audits (if retraining alone moves each artist by 10 points, as a standard deviation).{left}",
    )  # fmt: skip
