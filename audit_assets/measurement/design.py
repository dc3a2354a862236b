"""What an audit of a given size can find, by the rules of the run, before anyone pays for its images.

Each statement is a question, an answer and a sentence, and, if the answer is not "yes", what would change it. The
limits are those that the run applies: control names per stratum and shown images (``name_controls``), other names and
other artists with works that matching needs, the smallest p-value 1 / (1 + other cells), Benjamini-Hochberg over the
artists whose identification passed, and six works for the positive control. ``power_table`` says how often an imitated
artist is found; it draws audits and runs the test that it is given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil, comb

import numpy as np
import pandas as pd

from audit_assets.measurement.answers import NO, UNTESTED, YES, Answer
from audit_assets.measurement.name_controls import FEWEST_NAMES, FEWEST_SHOWN, LEVEL, label_set_to_use, level_of
from audit_assets.measurement.power import accuracy_half_width
from audit_assets.measurement.vectors import FloatArray
from audit_assets.measurement.versions import MOST_EXACT, power_of_difference_in_differences

FEWEST_OTHER_NAMES = 10
"""Other names with images that matching needs."""
FEWEST_OTHER_ARTISTS = 5
"""Other artists with works that matching needs."""
FEWEST_WORKS = 6
"""Works that the positive control needs: half of them stand in for images, the other half are matched."""
ACCURACY = 0.8
"""The accuracy whose interval a plan states; the paper's was 0.81."""

PValues = Callable[[FloatArray, FloatArray, int], FloatArray]
"""A matching test: (similarity (rows, columns), mean works (rows, d), audited) -> p-values (audited,), NaN if not
tested."""


@dataclass(frozen=True)
class Design:
    """An audit that is planned.

    ``works``: number of works of each audited artist, 0 for one without. ``strata``: for each stratum
    (``name_controls.stratum_of``) its artists and the control names that are drawn for it; the artists must add up to
    the length of ``works``. ``background``: other artists with works. ``images`` per name. ``default_labels``: labels
    that name no one. ``has_text``: whether the encoder has a text side. ``match_in_strata``: whether matching compares
    an artist with the names of its own stratum alone. ``opted_out``: artists of a declared group, if versions are to be
    compared. ``correlation`` of right and wrong between two images of one artist, for the accuracy of a roster alone;
    it is not that of embeddings.
    """

    works: Sequence[int]
    strata: Mapping[str, tuple[int, int]]
    background: int = 0
    images: int = 10
    default_labels: int = 3
    has_text: bool = True
    match_in_strata: bool = False
    opted_out: int = 0
    alpha: float = 0.05
    correlation: float = 0.5

    def __post_init__(self) -> None:
        artists = sum(artists for artists, _ in self.strata.values())
        if artists != len(self.works) or artists == 0:
            raise ValueError(
                f"{len(self.works)} artists have works stated and the strata hold {artists}; pass the same, at least one."
            )
        if (
            min([self.background, self.images, self.default_labels, self.opted_out, *self.works]) < 0
            or self.opted_out > artists
        ):
            raise ValueError(
                "Numbers of works, images, labels and artists cannot be negative, nor more artists opt out than there are."
            )
        if not (0 < self.alpha < 1 and 0 <= self.correlation <= 1):
            raise ValueError("Pass an alpha between 0 and 1, and a correlation from 0 to 1.")

    @property
    def artists(self) -> int:
        return len(self.works)

    @property
    def names(self) -> int:
        return sum(names for _, names in self.strata.values())

    @property
    def matched(self) -> int:
        """Artists with works."""
        return sum(works > 0 for works in self.works)

    @property
    def tables(self) -> list[tuple[str, int, int]]:
        """Of each matrix that matching ranks in: its stratum ("" for all), the audited artists and the names in its
        columns."""
        if not self.match_in_strata:
            return [("", self.artists, self.artists + self.names)]
        return [(stratum, artists, artists + names) for stratum, (artists, names) in self.strata.items() if artists]

    @property
    def other_cells(self) -> int:
        """Cells that are no own cells, of the smallest matrix."""
        rows = self.matched + self.background
        return min(rows * columns - min(artists, self.matched) for _, artists, columns in self.tables)

    @property
    def smallest_p(self) -> float:
        """Of matching, in the smallest matrix."""
        return 1 / (1 + self.other_cells)


@dataclass(frozen=True)
class Statement:
    """``settle`` is empty if the answer is "yes"."""

    question: str
    answer: Answer
    sentence: str
    settle: str = field(default="")


def statements(design: Design) -> list[Statement]:
    """What this audit can find, in the order of the three answers, then the roster and versions."""
    found = [*_steers(design), _towards(design), _seen(design), _verdict(design)]
    if design.artists > 1:
        found += [_single(design), _accuracy(design)]
    if design.opted_out:
        found.append(_versions(design))
    return found


def _artists(number: int) -> str:
    return f"{number:,} artist{'' if number == 1 else 's'}"


def _first_upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _who(design: Design) -> str:
    return "this artist" if design.artists == 1 else "an artist"


def _steers(design: Design) -> list[Statement]:
    asked = "Can the audit tell whether the name steers the model?"
    if not design.has_text:
        return [
            Statement(
                asked, UNTESTED, "The encoder has no text: matching decides alone.", "An encoder with a text side."
            )
        ]
    if design.images < FEWEST_SHOWN:
        sentence = (
            f"{design.images} images per name are planned; identification needs {FEWEST_SHOWN} that are not blank."
        )
        return [Statement(asked, UNTESTED, sentence, f"{FEWEST_SHOWN - design.images} more images per name.")]
    return [_stratum(design, asked, stratum) for stratum, (artists, _) in design.strata.items() if artists]


def _stratum(design: Design, asked: str, stratum: str) -> Statement:
    artists, names = design.strata[stratum]
    of = f" ({stratum})" if design.artists == 1 else f" ({_artists(artists)} of {stratum})"
    if len(design.strata) == 1:
        of = ""
    if names < FEWEST_NAMES:
        sentence = f"{names} control names of {stratum} are planned; identification needs {FEWEST_NAMES}."
        return Statement(asked + of, UNTESTED, sentence, f"{FEWEST_NAMES - names} more control names of {stratum}.")
    level = level_of(names)
    may = int(np.floor(level * (1 + names) + 1e-9)) - 1
    reach = {0: "no control name", 1: "at most one control name"}.get(may, f"at most {may} control names")
    chance = label_set_to_use(
        design.artists + design.default_labels,
        design.names + design.default_labels,
        design.artists + design.names + design.default_labels,
    )[1]
    sentence = (
        f"{_who(design).capitalize()} passes if {reach} of {names} reaches the same share of {design.images} images; "
        f"a name without training images passes in {100 * level:.2g} % at most. {chance}"
    )
    return Statement(asked + of, YES, sentence)


def _towards(design: Design) -> Statement:
    asked = "Can the audit tell whether images resemble this artist's works?"
    if design.artists > 1:
        asked = "Can the audit tell whether images resemble their own artist's works?"
    if design.matched == 0:
        return Statement(
            asked, UNTESTED, "No works are planned: no verdict says more than 'identified above controls'.", f"Works of {_who(design)}."
        )  # fmt: skip
    if design.images == 0:
        return Statement(asked, UNTESTED, "No images are planned.", f"{FEWEST_SHOWN} images per name.")
    others = design.matched + design.background - 1
    stratum, _, columns = min(design.tables, key=lambda table: table[2])
    names, of = columns - 1, f" of {stratum}" if stratum else ""
    more = []
    if others < FEWEST_OTHER_ARTISTS:
        more.append(f"works of {FEWEST_OTHER_ARTISTS - others} more (background) artists")
    if names < FEWEST_OTHER_NAMES:
        more.append(f"{FEWEST_OTHER_NAMES - names} more control names{of}")
    if more:
        sentence = (
            f"Matching needs works of {FEWEST_OTHER_ARTISTS} other artists and images of {FEWEST_OTHER_NAMES} other names{of}; "
            f"{others} and {names} are planned."
        )
        return Statement(asked, UNTESTED, sentence, f"{_first_upper(' and '.join(more))}.")
    if design.smallest_p > design.alpha:
        sentence = f"The smallest p-value is {design.smallest_p:.2g}, above {design.alpha}."
        return Statement(asked, UNTESTED, sentence, "More control names.")
    without = design.artists - design.matched
    rest = f" {without} artist(s) without works can only be 'identified above controls'." if without else ""
    return Statement(
        asked, YES, f"The own cell is ranked among {design.other_cells:,} others, so p can be as small as {design.smallest_p:.1e}.{rest}"
    )  # fmt: skip


def _seen(design: Design) -> Statement:
    asked = "Can the audit tell whether it would have seen a perfect imitator?"
    short = [works for works in design.works if works < FEWEST_WORKS]
    if not short:
        have = (
            f"{min(design.works)} works"
            if design.artists == 1
            else f"At least {min(design.works)} works of each artist"
        )
        return Statement(asked, YES, f"{have} are planned, {FEWEST_WORKS} are needed: one half stands in for images.")
    if design.artists == 1:
        sentence = f"{short[0]} works are planned; the positive control needs {FEWEST_WORKS}. Only 'imitated' could be a verdict."
        return Statement(asked, UNTESTED, sentence, f"{FEWEST_WORKS - short[0]} more works.")
    sentence = f"{len(short)} of {design.artists} artists have fewer than {FEWEST_WORKS} works; none of them can be 'not shown to be imitated'."
    return Statement(
        asked, UNTESTED if len(short) == design.artists else NO, sentence, f"{FEWEST_WORKS} works of each artist."
    )


def _verdict(design: Design) -> Statement:
    """Whether 'imitated' can be reached at all."""
    asked = "Can this artist be called imitated?" if design.artists == 1 else "Can each artist be called imitated?"
    steers, towards = _steers(design), _towards(design)
    missing = [one for one in [towards, *(steers if design.has_text else [])] if one.answer != YES]
    blocked = towards.answer != YES or (design.has_text and all(one.answer != YES for one in steers))
    if blocked:
        return Statement(
            asked,
            NO,
            " ".join(dict.fromkeys(one.sentence for one in missing)),
            " ".join(dict.fromkeys(one.settle for one in missing)),
        )
    if missing:
        pairs = zip(steers, ((s, n) for s, n in design.strata.values() if s), strict=True)
        without = sum(artists for one, (artists, _) in pairs if one.answer != YES)
        sentence = f"{_artists(without)} of {design.artists} cannot: {' '.join(one.sentence for one in missing)}"
        return Statement(asked, NO, sentence, " ".join(one.settle for one in missing))
    needs = "matching" if not design.has_text else "identification and matching"
    return Statement(asked, YES, f"If the evidence of {needs} is positive, whatever else the audit shows.")


def family(design: Design, imitated: int) -> int:
    """Artists that matching is adjusted over if so many are imitated: those who pass identification, the others by its
    level.

    All artists with works if the encoder has no text. The level is that of the stratum with the fewest names.
    """
    if not design.has_text:
        return design.matched
    level = max((level_of(names) for artists, names in design.strata.values() if artists), default=LEVEL)
    return min(design.matched, imitated + ceil(level * (design.matched - imitated)))


def fewest_imitated(design: Design, *, all_pass: bool = False) -> int | None:
    """The smallest number of imitated artists that Benjamini-Hochberg lets matching find; None if no number suffices.

    ``all_pass``: if every name is identified, so that the filter leaves all artists. One artist is compared with alpha
    itself.
    """
    if design.artists == 1:
        return 1 if design.matched == 1 and design.smallest_p <= design.alpha else None
    for imitated in range(1, design.matched + 1):
        members = design.matched if all_pass else family(design, imitated)
        if design.smallest_p * members / imitated < design.alpha:
            return imitated
    return None


def _single(design: Design) -> Statement:
    asked = "Can one imitated artist be found if no other is?"
    if _towards(design).answer != YES:
        return Statement(asked, UNTESTED, "Nothing can be matched.", _towards(design).settle)
    fewest, worst = fewest_imitated(design), fewest_imitated(design, all_pass=True)
    after = family(design, 1)
    passing = f"About {_artists(after)} would remain after identification"
    if not design.has_text:
        passing = f"All {_artists(after)} with works are matched"
    if fewest == 1:
        q = design.smallest_p * after
        sentence = f"{passing}, so q can be as small as {q:.1e}."
        if worst != 1:
            least = "no number" if worst is None else f"at least {worst}"
            sentence += f" If all names were identified, {least} of the {design.matched} would have to be imitated."
        return Statement(asked, YES, sentence)
    cells = ceil(after / design.alpha) - design.other_cells
    rows, columns = design.matched + design.background, min(columns for _, _, columns in design.tables)
    return Statement(
        asked, NO,
        f"q cannot be below {design.smallest_p * after:.2g}; " + ("no number would do." if fewest is None else f"at least {fewest} must be imitated."),
        f"{ceil(cells / rows) + 1:,} more control names, or works of {ceil(cells / columns) + 1:,} more artists.",
    )  # fmt: skip


def _accuracy(design: Design) -> Statement:
    asked = f"To how many points is an accuracy of {ACCURACY:.0%} known?"
    if design.images == 0:
        return Statement(asked, UNTESTED, "No images are planned.", "Images.")
    half = accuracy_half_width(ACCURACY, artists=design.artists, images=design.images, icc=design.correlation)
    sentence = (
        f"± {100 * half:.1f} points over {design.artists} artists with {design.images} images each, if right and wrong are correlated with "
        f"{design.correlation:.2f} between images of one artist, and artists are independent. Artists who come in schools make it wider."
    )
    return Statement(asked, YES, sentence)


def _versions(design: Design) -> Statement:
    asked = "Can a later version show that the declared artists were left out?"
    group, others = design.opted_out, design.artists - design.opted_out
    if others == 0 or design.images == 0:
        return Statement(
            asked, UNTESTED, "No other artist with images is there to compare with.", "Artists who did not opt out."
        )
    ways = comb(group + others, group)
    if ways <= MOST_EXACT and 1 / ways > design.alpha:
        more = next(n for n in range(others + 1, 10_000) if 1 / comb(group + n, group) <= design.alpha) - others
        sentence = (
            f"{group} of {group + others} artists can be chosen in {ways} ways: p cannot be below {1 / ways:.2g}."
        )
        return Statement(asked, UNTESTED, sentence, f"{more} more artists who did not opt out.")
    powers = [
        f"{100 * power_of_difference_in_differences(effect, group=group, others=others, images=design.images, share=ACCURACY, movement=0.1, alpha=design.alpha):.0f} %"
        for effect in (0.2, 0.4)
    ]
    sentence = (
        f"If their share of {ACCURACY:.0%} falls by 20 or 40 points more than that of {others} others, this is found in {powers[0]} or "
        f"{powers[1]} of audits (retraining alone moving each artist by 10 points, as a standard deviation)."
    )
    return Statement(asked, YES, sentence)


def draw_audit(
    effect: float,
    *,
    works: int,
    names: int,
    background: int,
    images: int,
    rng: np.random.Generator,
    dimension: int = 48,
) -> tuple[FloatArray, FloatArray]:
    """Similarity (1 + background, 1 + names) and mean works (1 + background, d) of one artist, imitated with ``effect``.

    ``effect``: cosine between the artist's hand and the centre of the images. Two works of an artist have a correlation
    of 0.3 in every coordinate and two images of a name 0.5, as in the worlds of ``simulation``.
    """
    hands, centres = rng.normal(size=(1 + background, dimension)), rng.normal(size=(1 + names, dimension))
    centres[0] = effect * hands[0] + np.sqrt(1 - effect**2) * centres[0]

    def means(of: FloatArray, each: int, alike: float) -> FloatArray:
        rows = np.sqrt(alike) * of[:, None] + np.sqrt(1 - alike) * rng.normal(size=(len(of), each, dimension))
        return np.asarray((rows / np.linalg.norm(rows, axis=2, keepdims=True)).mean(axis=1))

    mean_works, mean_images = means(hands, works, 0.3), means(centres, images, 0.5)
    return mean_works @ mean_images.T, mean_works


def power_table(
    p_values: PValues,
    *,
    effects: Iterable[float] = (0.3, 0.5, 0.8),
    works: Iterable[int] = (5, 10, 20),
    names: Iterable[int] = (50, 70, 199),
    backgrounds: Iterable[int] = (0, 5, 20, 50),
    images: int = 10,
    audits: int = 100,
    seed: int = 0,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """How often matching finds one imitated artist: one row per effect, works, names and background.

    ``p_values``: the test of the run, see ``PValues``. ``power``: share of drawn audits with p <= ``alpha``;
    ``power_error`` its standard error; ``tested``: whether the limits of this module let matching run; if not,
    ``power`` is NaN and no audit is drawn.
    """
    lines = []
    for number, (effect, each, control, others) in enumerate(product(effects, works, names, backgrounds)):
        tested = others >= FEWEST_OTHER_ARTISTS and control >= FEWEST_OTHER_NAMES
        power = np.nan
        if tested:
            rng = np.random.default_rng([seed, number])
            draws = (
                draw_audit(effect, works=each, names=control, background=others, images=images, rng=rng)
                for _ in range(audits)
            )
            power = float(np.mean([bool(p_values(similarity, mean, 1)[0] <= alpha) for similarity, mean in draws]))
        error = float(np.sqrt(power * (1 - power) / audits)) if tested else np.nan
        lines.append((effect, each, control, others, images, audits, tested, power, error))
    columns = ["effect", "works", "names", "background", "images", "audits", "tested", "power", "power_error"]
    return pd.DataFrame(lines, columns=columns)
