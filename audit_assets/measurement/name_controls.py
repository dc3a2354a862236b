"""Does the name steer the model? Identified images of an artist's name, beside those of names without training images.

A share of identified images means nothing by itself: a model that knows no artist still draws what a name suggests,
such as an origin or a genre, and an encoder then finds the name again. So each artist is compared with control names
that suggest the same: names of its *stratum* (the locale that ``artists.csv`` gives, else the script of the name, else
all names), which competed against equally many labels of the same kind, so that chance is equal.

**The rule.** Had the model not been trained on the artist, its name would be one more name of its stratum: the N + 1
shares are exchangeable, and the artist is among the best r of them with a chance of r / (N + 1) at most. Hence

    p = (1 + names that reach the artist's share) / (1 + N)        (ties count against the artist),

which is exact for every N, whatever the shares of names are distributed like: the sampling error of a threshold k needs
no allowance, because no k is estimated (Vovk, Gammerman and Shafer 2005, *Algorithmic learning in a random world*,
section 2.3; it is the p-value of a permutation test). The artist passes if p <= 1 %, or, if fewer than 99 names exist,
if no name reaches it. The level is then 1 / (1 + N), which the result states; with fewer than 49 names it is above 2 %,
and nothing is tested.

**The artist's label.** A name is exchangeable with others to the model, but its label need not be to the encoder: among
labels of invented names, the label of a real artist may take any image that looks like art. So the images of the control
names are counted too that fall to the artist's label, and the same rank is taken of the artist's own images among them:
this asks for nothing of the encoder but that it is the same for all images. p is the larger of the two, and both hold
under the null hypothesis, so the level stays.

**Unequal numbers of images.** Blank and missing images are no evidence, so 6 shown images may stand beside 10. With
fewer images a share of 1 is easier to reach. Two subjects are therefore compared at the smaller of their two numbers,
c: a name "reaches" the artist with the chance that c of its images, drawn without replacement, hold as many identified
ones as c of the artist's (hypergeometric, no random draw). With equal numbers this is 0 or 1.

**Ties.** Ten of ten images leave nothing to rank: if three of 199 names win all their images, no artist could pass. If
the mean margin of the shown images is given (``zero_shot.margins``: the own label's probability less that of the
best other), equal shares of equally many images are ranked by it. The p-value stays exact, because margins are as
exchangeable as shares. A name with another number of images that ties with the artist reaches it: the margin of ten
images says nothing of the five among them that would tie.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from audit_assets.measurement.rounding import beside
from audit_assets.measurement.strata import in_stratum, of_stratum
from audit_assets.measurement.vectors import FloatArray, IntArray

LEVEL = 0.01
"""Of names without training images, at most this share passes."""
FEWEST_NAMES = 49
"""The fewest control names of a stratum. With fewer, even the best of them passes in more than 2 % of cases, so nothing is tested."""
FEWEST_SHOWN = 5
"""The fewest shown images. With fewer, one image changes the share by 25 points."""
MOST_IMAGES = 100
"""No more images than this are proposed to settle a test."""

UNREAD = (
    "The encoder reads no word of this name: each has letters that its tokenizer does not know, or is cut off.",
    "The name in letters that the encoder knows, a shorter template, or an encoder that reads the name.",
)
"""Why a name whose label an encoder does not read is not tested, and what would settle it."""

NAME_COLUMNS = ("shown", "identified", "locale", "script", "labels", "label_kind")
SUBJECT_COLUMNS = ("subject", "shown", "identified", "stratum", "labels", "label_kind")
RANKS = ("needed_share", "needed_label")
"""What each of the two ranks asks for."""
RESULT_COLUMNS = (
    "subject", "stratum", "shown", "identified", "share", "share_low", "share_high", "names", "names_reaching", "p_value",
    "label_reaching", "p_floor", "level", "needed", "answer", "reason", "settle", *RANKS,
)  # fmt: skip


def label_set_to_use(
    own_labels: int, control_labels: int, joint_labels: int, of_stratum: tuple[int, int] = (0, 0)
) -> tuple[str, str]:
    """Which label set an artist is identified among, and why: ("own" or "joint", sentence).

    ``own_labels``: labels of the roster's own set, ``control_labels``: labels that control names compete against, and
    ``joint_labels``: both together, defaults included in each. "own", the paper's design, needs equal numbers, or
    chance differs: an artist alone among 4 labels is identified by chance in 25 %, its control names in 1.4 %. "joint"
    pads the artist's labels with the control names, and every subject then competes against the same labels.
    ``of_stratum``: the labels of the artist's stratum in the first two sets. An artist who is the only one of an origin would
    be identified by the origin alone, and control names that are many of one origin would not, so "own" needs at least as
    many of them among the artists.

    Raises ValueError if no set has two labels.
    """
    if max(own_labels, joint_labels) < 2:
        raise ValueError(f"{own_labels} and {joint_labels} labels: identification needs two; add control names.")
    artists, names = of_stratum
    if own_labels == control_labels and own_labels >= 2 and artists < names:
        return "joint", (
            f"Among the artists {artists} labels are of this stratum, and among the control names {names}, so chance would differ. All "
            f"subjects compete against the {joint_labels} labels of artists and control names together."
        )
    if own_labels == control_labels and own_labels >= 2:
        return "own", f"Artists and control names compete against {own_labels} labels each."
    return "joint", (
        f"In sets of their own, an artist would compete against {own_labels} labels and a control name against {control_labels}, so chance "
        f"would differ. All subjects compete against the {joint_labels} labels of artists and control names together."
    )


def reaching(identified: int, shown: int, names_identified: npt.ArrayLike, names_shown: npt.ArrayLike) -> FloatArray:
    """The chance that each name reaches the subject at the smaller of their numbers of images, shape (names,).

    See the module's docstring. Raises ValueError on impossible counts.
    """
    x, m = _counts(names_identified, names_shown, "control name")
    if not (0 <= identified <= shown and shown >= 1):
        raise ValueError(f"{identified} identified of {shown} shown images is impossible; count them again.")
    return _reaching(identified, shown, x, m)


def _reaching(identified: int, shown: int, x: IntArray, m: IntArray, *, more: int = 0) -> FloatArray:
    """With ``more`` = 1 the chance to exceed the subject."""
    pairs, where = np.unique(np.stack([x, m], axis=1), axis=0, return_inverse=True)
    chances = np.array([_chance(identified, shown, int(theirs), int(images), more) for theirs, images in pairs])
    return np.asarray(chances[where.ravel()], dtype=np.float64)


def _reaching_each(shown: int, x: IntArray, m: IntArray) -> FloatArray:
    """How many names reach each number of identified images from 0 to ``shown``, shape (shown + 1,)."""
    if (m == shown).all():
        counts = np.bincount(np.minimum(x, shown), minlength=shown + 1)
        return np.asarray(counts[::-1].cumsum()[::-1], dtype=np.float64)
    return np.array([_reaching(k, shown, x, m).sum() for k in range(shown + 1)])


@lru_cache(maxsize=1 << 16)
def _chance(identified: int, shown: int, theirs: int, images: int, more: int) -> float:
    if shown == images:
        return float(theirs >= identified + more)
    common = min(shown, images)
    counts = np.arange(common + 1)
    own = scipy.stats.hypergeom.pmf(counts, shown, identified, common)
    return float(np.clip(own @ scipy.stats.hypergeom.sf(counts + more - 1, images, theirs, common), 0.0, 1.0))


def beside_names(
    subjects: pd.DataFrame,
    names: pd.DataFrame,
    *,
    fell: npt.ArrayLike | None = None,
    level: float = LEVEL,
    fewest_names: int = FEWEST_NAMES,
    fewest_shown: int = FEWEST_SHOWN,
) -> pd.DataFrame:
    """Every subject beside the control names of its stratum: one row each, in the order of ``subjects``.

    ``subjects``: ``SUBJECT_COLUMNS``, with ``stratum`` from ``stratum_of``; ``names``: ``NAME_COLUMNS``. ``shown`` and
    ``identified`` count images, without blank and missing ones; ``labels`` and ``label_kind`` say what the subject
    competed against. A control name that is a subject itself must not stand among ``names`` for its own row: pass
    ``names`` a column ``subject``, and it is left out.

    ``fell`` (subjects, names): of the shown images of each name, how many fall to the subject's label among the labels of all
    names, and ``subjects["own_label"]`` how many of the subject's own do. Without it only the shares are ranked
    (``label_reaching`` is NaN).

    ``share`` has the exact binomial 95 % interval (Clopper and Pearson 1934) for further images of this name.
    ``names_reaching`` and ``label_reaching``, the names whose images fall to the subject's label as often as its own, may be
    fractions (see the module's docstring). p counts the larger of the two. ``p_floor`` is the smallest p that its names
    allow, ``needed`` the smallest number of the shown images with which the subject would pass, missing if none is
    enough: the larger of ``needed_share``, of identified images, and ``needed_label``, of images that fall to the subject's label.
    ``answer`` is "yes" if p <= ``level``, else "no", and "could not be tested", with ``reason`` and ``settle``,
    if the subject has fewer than ``FEWEST_SHOWN`` shown images, no label, too few names of its stratum, names with
    another chance, or names so often identified that no share of the images would pass.

    If both tables have a column ``margin``, the mean margin of the *shown* images, a name with the subject's share of
    equally many images reaches it only with as large a margin; a missing one counts against the subject. ``needed`` is then enough whatever
    the margin. "could not be tested" for names that are often identified themselves remains for a subject that does not
    pass.

    If a table has a column ``unread`` (bool), it marks names of which the encoder reads no word. To the encoder all such
    names are one. As a subject it "could not be tested", and as a control name it is left out.

    ``fewest_shown`` holds for subjects; the positive control, in which half of an artist's works stand in for images,
    may have fewer than a subject. Control names always need ``FEWEST_SHOWN``.

    Raises ValueError if columns are missing or counts are impossible.
    """
    for table, needed, what in ((subjects, SUBJECT_COLUMNS, "subjects"), (names, NAME_COLUMNS, "names")):
        missing = [column for column in needed if column not in table.columns]
        if missing:
            raise ValueError(f"The table of {what} has no column {missing[0]!r}; pass {', '.join(needed)}.")
    x, m = _counts(subjects["identified"], subjects["shown"], "subject")
    _counts(names["identified"], names["shown"], "control name")
    margins = np.full(len(subjects), np.nan)
    if "margin" in subjects.columns and "margin" in names.columns:
        margins = subjects["margin"].to_numpy(dtype=np.float64, na_value=np.nan)
    known = set(names["subject"]) if "subject" in names.columns else set()
    unread = _unread(subjects)
    if fell is None:
        to_label, own_label = np.full((len(subjects), len(names)), -1, np.int64), x
    else:
        to_label, own_label = np.asarray(fell, np.int64), subjects["own_label"].to_numpy(dtype=np.int64)
    if to_label.shape != (len(subjects), len(names)):
        raise ValueError(
            f"Counts of shape {to_label.shape} for {len(subjects)} subjects and {len(names)} names; count them again."
        )
    to_label, names = to_label[:, ~_unread(names)], names[~_unread(names)].assign(at=lambda t: np.arange(len(t)))
    # A control name is compared with the other names; all other subjects share one comparison.
    alone = np.where(subjects["subject"].isin(known), subjects["subject"].astype(str), "")
    cells = pd.DataFrame(
        {"stratum": subjects["stratum"].astype(str), "labels": subjects["labels"], "kind": subjects["label_kind"], "alone": alone}
    ).reset_index(drop=True)  # fmt: skip
    rows: list[dict[str, Any]] = [{} for _ in range(len(subjects))]
    strata = {s: names[in_stratum(s, names["locale"], names["script"])] for s in cells["stratum"].unique()}
    for (stratum, labels, kind, one), members in cells.groupby(["stratum", "labels", "kind", "alone"], dropna=False):
        others = strata[stratum]
        if one:
            others = others[others["subject"].astype(str) != one]
        control = _Control(str(stratum), others, labels, kind, _Rule(level, fewest_names, fewest_shown))
        for i in members.index:
            of_label = None if fell is None else (int(own_label[i]), to_label[i, control.at])
            rows[i] = control.row(int(x[i]), int(m[i]), float(margins[i]), of_label, unread=bool(unread[i]))
    table = pd.DataFrame(rows, columns=[c for c in RESULT_COLUMNS if c not in ("subject", "stratum")])
    table.insert(0, "subject", subjects["subject"].to_numpy())
    table.insert(1, "stratum", cells["stratum"].to_numpy())
    with np.errstate(invalid="ignore", divide="ignore"):
        table["share"] = np.where(m > 0, x / np.maximum(m, 1), np.nan)
    table["share_low"] = np.where(x > 0, scipy.stats.beta.ppf(0.025, x, m - x + 1), np.where(m > 0, 0.0, np.nan))
    table["share_high"] = np.where(x < m, scipy.stats.beta.ppf(0.975, x + 1, m - x), np.where(m > 0, 1.0, np.nan))
    counts = dict.fromkeys(("needed", *RANKS), "Int32")
    return table[list(RESULT_COLUMNS)].astype({**counts, "names": "int64"})


def _unread(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    given = table["unread"] if "unread" in table.columns else np.zeros(len(table))
    return np.asarray(given, dtype=np.bool_)


def level_of(names: int, level: float = LEVEL) -> float:
    """The chance that a name without training images passes, at most: ``level``, or 1 / (1 + names) if that is larger."""
    return max(level, 1 / (1 + names))


@dataclass(frozen=True)
class _Rule:
    level: float
    fewest_names: int
    fewest_shown: int


class _Control:
    """The control names of one stratum and one number of labels."""

    def __init__(self, stratum: str, names: pd.DataFrame, labels: Any, kind: Any, rule: _Rule) -> None:
        self.stratum, self.labels, self.kind, self.fewest = stratum, labels, kind, rule.fewest_names
        self.fewest_shown = rule.fewest_shown
        used = names[names["shown"] >= FEWEST_SHOWN]
        # A missing value equals nothing, so a subject without a label has no name beside it.
        same = (
            (used["labels"] == labels) & (used["label_kind"] == kind)
            if pd.notna(labels)
            else used["labels"].isna() & False
        )
        self.all_names, self.with_images = len(names), len(used)
        self.unlike = sorted(set(used.loc[~same.astype(bool), "labels"].dropna().astype(int)))
        used = used[same.astype(bool)]
        self.x, self.m, self.at = (used[c].to_numpy(dtype=np.int64) for c in ("identified", "shown", "at"))
        self.level, self.limit = rule.level, level_of(len(used), rule.level)
        margin = used["margin"] if "margin" in used.columns else pd.Series(np.nan, index=used.index)
        self.margin = margin.to_numpy(dtype=np.float64, na_value=np.nan)
        self.tables: dict[int, FloatArray] = {}
        self.chances: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}

    def _reached(self, identified: int, shown: int, margin: float) -> float:
        """Names that reach the subject; equal shares by margin, if there is one."""
        key = (identified, shown)
        if key not in self.chances:
            reach, above = (_reaching(*key, self.x, self.m, more=more) for more in (0, 1))
            self.chances[key] = above, reach - above
        above, tied = self.chances[key]
        # A comparison with a missing margin is False: the tie counts against the subject. So does a tie of unequal numbers of images:
        # the margin of all of a name's images says nothing of the part of them that equals the subject.
        return float(np.sum(above + tied * ~((self.m == shown) & (self.margin < margin))))

    def row(
        self,
        identified: int,
        shown: int,
        margin: float,
        of_label: tuple[int, IntArray] | None = None,
        *,
        unread: bool = False,
    ) -> dict[str, Any]:
        """``of_label``: how many of the subject's images fall to its label among all names, and how many of each name's."""
        n = len(self.x)
        row: dict[str, Any] = {"shown": shown, "identified": identified, "names": n, "p_floor": 1 / (1 + n)}
        refused = UNREAD if unread else self._refused(shown)
        if refused is None or (n and shown):
            # What the names say stands in the row even if it is not tested.
            if shown not in self.tables:
                self.tables[shown] = _reaching_each(shown, self.x, self.m)
            reached, by_label = self._reached(identified, shown, margin), np.nan
            needed = [self._needed(self.tables[shown])]
            if of_label is not None:
                own, theirs = of_label
                each = _reaching_each(shown, theirs, self.m)
                by_label = float(each[own])
                needed.append(self._needed(each))
                if refused is None and needed[1] is None and self._p(by_label) > self.limit + 1e-12:
                    refused = self._label_takes_all(shown, float(each[-1]))
            row |= {"names_reaching": reached, "label_reaching": by_label, "level": self.limit}
            row |= {"p_value": self._p(float(np.nanmax([reached, by_label])))}
            row |= {"needed": None if None in needed else max(k for k in needed if k is not None)}
            row |= dict(zip(("needed_share", "needed_label"), needed, strict=False))
            if refused is None and needed[0] is None and self._p(reached) > self.limit + 1e-12:
                refused = self._no_share_is_enough(shown, float(self.tables[shown][-1]))
        if refused is not None:
            return row | {
                "answer": "could not be tested",
                "reason": refused[0],
                "settle": refused[1],
                **dict.fromkeys(("needed", *RANKS)),
            }
        yes = row["p_value"] <= self.limit + 1e-12
        reach = "reach that" if np.isnan(margin) else "reach that, if equal shares are ranked by their mean margin"
        label = (
            ""
            if of_label is None
            else f"; images of {row['label_reaching']:.3g} of them fall to this name's label as often"
        )
        said = (
            f"{identified} of {shown} shown images are identified; {row['names_reaching']:.3g} of {n} control names "
            f"({self.stratum}, {self.labels} labels) {reach}{label}, p = {beside(row['p_value'], self.limit)}; up to {self.limit:.3g} passes.{self._left_out()}"
        )
        return row | {"answer": "yes" if yes else "no", "reason": said, "settle": ""}

    def _left_out(self) -> str:
        """Names of the stratum that nothing is compared with: of their images, some are blank, or repeat another one."""
        fewer = self.all_names - self.with_images
        names = "1 more name has" if fewer == 1 else f"{fewer} more names have"
        return f" {names} fewer than {FEWEST_SHOWN} shown images, and no part in this." if fewer else ""

    def _p(self, reached: float) -> float:
        return (1 + reached) / (1 + len(self.x))

    def _needed(self, each: FloatArray) -> int | None:
        """The smallest number of identified images that passes, if ``each`` number is reached by so many names; None if none does."""
        passing = np.flatnonzero((1 + each) / (1 + len(self.x)) <= self.limit + 1e-12)
        return int(passing[0]) if len(passing) else None

    def _label_takes_all(self, shown: int, reached: float) -> tuple[str, str]:
        return (
            f"Even {shown} of {shown} images would not pass: images of {reached:.3g} of {len(self.x)} control names of {self.stratum} fall to this "
            "name's label as often. The encoder gives this label to images of any name, so the label says nothing of the name.",
            "Another encoder, or more artists in the audit, whose labels compete with this one.",
        )

    def _refused(self, shown: int) -> tuple[str, str] | None:
        n, more = len(self.x), max(self.fewest_shown - shown, 0)
        if pd.isna(self.labels):
            return "The name competed against no labels: this encoder has no text.", "An encoder with a text side."
        if more:
            return f"{shown} shown images, fewer than {self.fewest_shown}.", f"{more} more images that are not blank."
        if n >= self.fewest:
            return None
        wanted = f"{self.fewest - n} more control names{of_stratum(self.stratum)}"
        if self.all_names == 0:
            return (
                f"No control name{of_stratum(self.stratum)} exists.",
                f"{wanted}; {_most(self.level)} for the level of {self.level:.0%}.",
            )
        if self.unlike and n < self.with_images:
            return (
                f"Chances differ: the name competed against {self.labels} labels ({self.kind}), and {self.with_images - n} of "
                f"{self.with_images} control names of {self.stratum} against others ({', '.join(map(str, self.unlike))} labels).",
                "The label set `joint`, in which artists and control names compete against the same labels.",
            )
        return (
            f"{n} control names of {self.stratum} have {FEWEST_SHOWN} shown images; a test needs {self.fewest}.",
            f"{wanted}.",
        )

    def _no_share_is_enough(self, shown: int, reached: float) -> tuple[str, str]:
        n = len(self.x)
        reason = (
            f"Even {shown} of {shown} images would not pass: {reached:.3g} of {n} control names of {self.stratum} reach that, so that p "
            f"would be {(1 + reached) / (1 + n):.3g}, above {self.limit:.3g}."
        )
        share = reached / n
        remedies = []
        if share < self.level:
            # (1 + share * names) / (1 + names) <= level
            names = int(np.ceil((1 - self.level) / (self.level - share)))
            remedies.append(f"about {max(names - n, 1):,} more control names, if as large a share of them reaches it")
        allowed = np.floor(self.limit * (1 + n) + 1e-9) - 0.5  # names that may reach, rounded
        images = next((k for k in range(1, MOST_IMAGES - shown + 1) if self._expected_with(k) <= allowed), None)
        if images is not None:
            remedies.append(f"about {images} more images of every name")
        if not remedies:
            return reason, (
                f"Neither more names nor up to {MOST_IMAGES} images settle it: names of this stratum are themselves identified. "
                "A larger label set or a narrower stratum may."
            )
        return reason, f"{' or '.join(remedies)}.".capitalize()

    def _expected_with(self, more: int) -> float:
        """Names expected to have every image identified after so many more, each by its posterior (Jeffreys' prior)."""
        full = self.m[self.x == self.m] + 0.5
        return float(np.sum(scipy.stats.betabinom.pmf(more, more, full, 0.5)))


def _most(level: float) -> str:
    return f"{int(np.ceil(1 / level)) - 1}"


def _counts(identified: npt.ArrayLike, shown: npt.ArrayLike, what: str) -> tuple[IntArray, IntArray]:
    x, m = np.asarray(identified, dtype=np.float64), np.asarray(shown, dtype=np.float64)
    if x.shape != m.shape or x.ndim != 1:
        raise ValueError(f"Identified {x.shape} and shown {m.shape} images; pass one count per {what} for both.")
    bad = ~((x >= 0) & (x <= m) & (x == np.floor(x)) & (m == np.floor(m)))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"The {what} in row {row} has {x[row]:g} identified of {m[row]:g} shown images; count them again."
        )
    return x.astype(np.int64), m.astype(np.int64)


def beside_recombined(subjects: pd.DataFrame, recombined: pd.DataFrame) -> pd.DataFrame:
    """The same statistic beside names made of artists' own parts: a stricter control, which decides nothing.

    ``subjects`` as in ``beside_names``; ``recombined``: ``shown``, ``identified``, ``labels``, ``label_kind`` and
    ``parts_of``, the list of subjects that each name takes a part of. Each subject is compared with the names made of
    its own parts that competed against equally many labels. Such a name can bring the artist about itself, so an artist
    who is imitated may not stand above it: a small p is more evidence, a large one is none against.

    Columns ``subject``, ``recombined_names``, ``recombined_reaching``, ``recombined_p`` (missing without a name or a
    shown image).
    """
    x, m = _counts(recombined["identified"], recombined["shown"], "recombined name")
    own_x, own_m = _counts(subjects["identified"], subjects["shown"], "subject")
    by_part: dict[str, list[int]] = {}
    for i, parts in enumerate(recombined["parts_of"]):
        for part in set(parts):
            by_part.setdefault(str(part), []).append(i)
    labels, kinds = recombined["labels"].to_numpy(), recombined["label_kind"].to_numpy()
    rows = []
    for i, subject in enumerate(subjects["subject"].astype(str)):
        mine = np.array(by_part.get(subject, []), dtype=np.int64)
        mine = mine[(m[mine] >= FEWEST_SHOWN) & (kinds[mine] == subjects["label_kind"].iloc[i])]
        mine = mine[labels[mine] == subjects["labels"].iloc[i]]
        if len(mine) == 0 or own_m[i] < FEWEST_SHOWN:
            rows.append((subject, len(mine), np.nan, np.nan))
            continue
        reached = float(_reaching(int(own_x[i]), int(own_m[i]), x[mine], m[mine]).sum())
        rows.append((subject, len(mine), reached, (1 + reached) / (1 + len(mine))))
    return pd.DataFrame(rows, columns=["subject", "recombined_names", "recombined_reaching", "recombined_p"])
