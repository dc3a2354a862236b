"""One artist's page over all model versions, for the artist and for counsel.

The three answers come first. The evidence follows in the order of an argument: what was asked, what came beside what the artist's works
look like, how often a name that means nothing does as well, whether the test could have seen an imitation, and what it does not prove.
The pages of all artists are made with the reports.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from audit_assets.config import INDIRECT, OTHER
from audit_assets.errors import InputError
from audit_assets.publication.drawings import paper_figures as figures
from audit_assets.publication.drawings import strips
from audit_assets.publication.pages.copies import pairs_of_artist
from audit_assets.publication.pages.page import Chart, Load, Picture, render, thumbnail, write
from audit_assets.publication.queries import arms as read_arms
from audit_assets.publication.queries import artist as read_artist
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries import raters as asked
from audit_assets.publication.queries.embedded import Embedded
from audit_assets.publication.words import argument, arm_tables, origins, training
from audit_assets.publication.words import report_tables as tables
from audit_assets.publication.words import version_tables as versions
from audit_assets.publication.words.copies import texts_of_version
from audit_assets.publication.words.numbers import (
    DEFAULT_LABEL,
    KINDS,
    counted,
    isolated,
    known,
    probability,
    true,
)
from audit_assets.publication.words.raters import of_version as words_of_raters
from audit_assets.publication.words.table import Table, columns
from audit_assets.publication.words.verdicts import Answered, sentences, three_answers, withheld_images
from audit_assets.warehouse.images import SHOW_NOTHING

SIZES = ((60, 224), (1500, 144))
"""(pictures, pixels): with at most so many pictures on all artists' pages, this is the size of each."""
SMALLEST = 96
"""Pixels of a picture on the pages of a large audit: 250 artists with two versions of ten images stay below 40 MB."""
IN_AN_ARM = 5
"""Pictures of an artist per arm and version."""
PRINTED = 448
"""Pixels of a picture for a printed page."""
_LEAST_SHARED_FIRST = ("independent", "image only", "unknown", "shared")
_AT_ONCE = 4
T = TypeVar("T")


class ArtistPages:
    """The pages of one open database. What they share is read once.

    ``size``: pixels of a picture; by default the larger the fewer pictures the audit has.
    """

    def __init__(
        self, connection: read.Connection, load: Load, protocol: str | None = None, size: int | None = None
    ) -> None:
        self.connection, self.load, self._protocol = connection, load, protocol
        self.embedded = Embedded(connection)
        self.everybody = read_artist.with_page(connection)
        self.size = size or _size(connection)
        self._kept: dict[tuple[str, ...], Any] = {}
        self._of_all = False

    def written(self, artist: str, folder: Path) -> Path:
        """Write ``<slug>.html`` into ``folder`` for the artist of this slug or name; return its path.

        Raises InputError, and replaces nothing, if the artist is unknown, is a control or has left the roster, or if no model
        version was asked for the artist.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return self._begun(artist, pool).written(folder)

    def all_written(self, folder: Path) -> Iterator[Path]:
        """Write the page of everybody who has one; yield each path.

        While one page is put together, the pictures of the next are shrunk: PIL leaves the interpreter to other threads meanwhile.
        """
        self._of_all = True
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            before = None
            for subject in self.everybody["subject"]:
                begun = self._begun(str(subject), pool)
                if before is not None:
                    yield before.written(folder)
                before = begun
            if before is not None:
                yield before.written(folder)

    def _begun(self, artist: str, pool: ThreadPoolExecutor) -> "_Page":
        """A page whose pictures are being made."""
        subject = read_artist.find(self.connection, artist)
        if Path(subject["subject"]).name != subject["subject"]:
            raise InputError(f"the slug {subject['subject']!r} cannot name a file. Remedy: publish again.")
        asked = read_artist.versions_asked(self.connection, subject["subject"], subject["name"])
        chosen = read.primary_protocol(self.connection, asked[0], self._protocol)
        return _Page(self, subject, chosen, asked, pool)

    def once(self, make: Callable[[], T], *key: str) -> T:
        """What ``make`` returns, which all pages share."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast(T, self._kept[key])

    def rows(self, ask: Callable[[str | None], pd.DataFrame], slug: str, *key: str) -> pd.DataFrame:
        """A query's rows of one artist. If the pages of all are made, one query asks for all artists."""
        if not self._of_all:
            return ask(slug)
        every = self.once(lambda: ask(None), *key)
        groups = self.once(lambda: dict(iter(every.groupby("subject", sort=False))), *key, "groups")
        return groups.get(slug, every.iloc[:0])


def _size(connection: read.Connection) -> int:
    (pictures,) = read.rows(
        connection,
        "SELECT (SELECT count(*) FROM imitations JOIN subjects USING (subject) WHERE kind IN ('artist', 'untrained_artist')) "
        "+ (SELECT count(*) FROM reference_works JOIN subjects USING (subject) WHERE kind IN ('artist', 'untrained_artist')) AS n",
    )["n"]
    return next((size for most, size in SIZES if pictures <= most), SMALLEST)


def write_artist_page(database: Path, artist: str, load: Load, folder: Path, protocol: str | None = None) -> Path:
    """Write the page of one artist of a database, as `ArtistPages.written` does."""
    with read.opened(database) as connection:
        return ArtistPages(connection, load, protocol).written(artist, folder)


def write_artist_pages(database: Path, load: Load, folder: Path) -> Iterator[Path]:
    """Write the page of everybody who has one; yield each path."""
    with read.opened(database) as connection:
        yield from ArtistPages(connection, load).all_written(folder)


class _Page:
    """One page while it is made."""

    def __init__(
        self,
        pages: ArtistPages,
        subject: dict[str, Any],
        protocol: str,
        audited: list[str],
        pool: ThreadPoolExecutor,
    ) -> None:
        self.connection, self.pages, self.audited, self.protocol = pages.connection, pages, audited, protocol
        self.slug, self.name, self.subject = str(subject["subject"]), str(subject["name"]), subject
        self.verdicts = self._rows(read_artist.verdicts)
        self.answers = _by_encoder(self._rows(read_artist.answers))
        self.taken = self._rows(read_artist.trials)
        self.leaks = _by_encoder(self._rows(read_arms.leakage_of))
        self.in_arms = pages.rows(lambda s: read_arms.pictures(self.connection, s, IN_AN_ARM), self.slug, "arms")
        self.works = pages.rows(lambda s: read_artist.works(self.connection, s), self.slug, "works")
        self.images = pages.rows(lambda s: read_artist.images(self.connection, s), self.slug, "images")
        self.copies = _by_encoder(read_artist.copies(self.connection, protocol, self.slug))
        self.copied = read_artist.copied(self.connection, protocol, self.slug)
        self.texts = read_artist.texts(self.connection, self.slug)
        self.rated = asked.of_artist(self.connection, protocol, self.slug)
        self.alpha = pages.once(lambda: read.alpha(self.connection, protocol), "alpha", protocol)
        self.primary = pages.once(lambda: read.primary_encoder(self.connection), "primary")
        self.versions = pages.once(
            lambda: read.versions(self.connection).set_index("model_version", drop=False), "versions"
        )
        self.alone = pages.once(lambda: read.only_artist(self.connection) is not None, "alone")
        self._being_made = self._begin_pictures(pool)

    def written(self, folder: Path) -> Path:
        return write(folder / f"{self.slug}.html", self.rendered())

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        """SHA-256 -> picture, of every image of the artist's name and every work."""
        return {sha256: made.result() for sha256, made in self._being_made.items()}

    def _rows(self, ask: Callable[[read.Connection, str, str | None], pd.DataFrame]) -> pd.DataFrame:
        return self.pages.rows(
            lambda slug: ask(self.connection, self.protocol, slug), self.slug, ask.__name__, self.protocol
        )

    def rendered(self) -> str:
        compared, once = self._rows(read_artist.compared), self.pages.once
        return render(
            "artist.html.j2",
            paged=frozenset(self.pages.everybody["subject"]),
            artists_at="",
            name=self.name,
            facts=self._facts(),
            protocol=self.protocol,
            primary=self.primary,
            first=self.audited[0],
            versions=[self._version(v) for v in self.audited],
            captions=training.captions(self.connection, self.subject),
            tests=origins.tests(self._rows(read_artist.tests)),
            still_works=arm_tables.of_one_artist(self._rows(read_arms.of_artist), self.name),
            in_arms=self._in_arms(),
            compared=versions.changed_subjects(compared, "Two versions with the same prompts and seeds; the difference is the later minus the earlier version."),
            images=origins.images(self.versions, self.images),
            real_works=origins.real_works(self.works),
            provenance=once(lambda: origins.provenance(self.versions), "provenance"),
            protocols=once(lambda: tables.protocol(self.connection, self.protocol), "protocol", self.protocol),
            encoders=once(lambda: origins.encoders(self.connection), "encoders"),
            made_from=once(lambda: read.made_from(self.connection), "made from"),
        )  # fmt: skip

    def _begin_pictures(self, pool: ThreadPoolExecutor) -> dict[str, Future[Picture]]:
        """Reading and shrinking the pictures takes most of the time."""
        alts = {str(w["image_sha256"]): f"Real work {w['work']} of {self.name}" for w in self.works.to_dict("records")}
        for row in self.in_arms.to_dict("records"):
            alts[str(row["image_sha256"])] = (
                f"Image of {row['model_version']} in the arm {row['arm']}, trial {row['trial']}"
            )
        numbers = dict.fromkeys(self.audited, 0)
        for row in self.images[self.images["image_sha256"].notna()].to_dict("records"):
            version = str(row["model_version"])
            if version in numbers:
                numbers[version] += 1
                alts[str(row["image_sha256"])] = (
                    f"Image {numbers[version]} that {version} made in the name of {self.name}"
                )
        load, size = self.pages.load, self.pages.size
        return {
            sha256: pool.submit(lambda s, a: thumbnail(load(s), a, size, quality=55, effort=2), sha256, alt)
            for sha256, alt in alts.items()
        }

    def _in_arms(self) -> list[dict[str, Any]]:
        """The first images of each arm and version, to look at."""
        found = []
        for version in self.audited:
            rows = self.in_arms[self.in_arms["model_version"] == version]
            for arm, own in rows.groupby("arm", sort=False):
                prompts = ", ".join(f"“{prompt}”" for prompt in own["prompt"].dropna().unique())
                if works := own["upload_sha256"].nunique():
                    prompts += f", with {works} of the artist’s works, one for each image"
                pictures = [self.pictures[sha256] for sha256 in own["image_sha256"]]
                found.append(
                    {"version": version, "arm": arm, "prompts": prompts or "prompt not known", "pictures": pictures}
                )
        return found

    def _facts(self) -> str:
        facts = [
            KINDS.get(self.subject["kind"], self.subject["kind"]).removesuffix("s"),
            counted(len(self.works), "real work"),
        ]
        if known(self.subject["mentions"]) is not None:
            facts.append(f"named by {counted(self.subject['mentions'], 'scanned caption')}")
        if true(self.subject["opted_out"]):
            facts.append("has opted out of training (the audit records this and treats the artist like any other)")
        said = "; ".join(facts)
        return said[:1].upper() + said[1:]

    def _version(self, version: str) -> dict[str, Any]:
        rows = self.verdicts[self.verdicts["model_version"] == version].to_dict("records")
        main = next((r for r in rows if r["encoder"] == self.primary), None)
        own = self.answers.get((version, self.primary), [])
        images = self.images[self.images["model_version"] == version]
        named = images[images["template"] >= 0]
        encoder = self.pages.once(lambda: _least_shared(self.connection, version), "least shared", version)
        three = [] if main is None else argument.three_sentences(main, own, self.name, self.alpha)
        groups, rest = self._beside_works(version, encoder, images)
        return {
            "name": version,
            "retired": true(self.versions["retired"][version]),
            "verdict": "no verdict" if main is None else str(main["verdict"]),
            "conclusion": "No encoder that reads text has results." if main is None else argument.conclusion(main, self.name),
            "because": "" if main is None else str(main["because"]),
            "three": three,
            "asked": argument.asked(images, self.name, self.versions.loc[version].to_dict()),
            "came": argument.came(images),
            "withheld": withheld_images(named["status"].tolist()),
            "texts": texts_of_version(self.texts, version),
            "raters": words_of_raters(self.rated, version),
            "copied": pairs_of_artist(self.copied[self.copied["model_version"] == version], self.name, self.pages.load),
            "encoder": encoder,
            "groups": groups,
            "others": any(entry["other"] for group in groups for entry in group["images"]),
            "rest": rest,
            "controls": [] if main is None else argument.nothing_does_as_well(main, self.name),
            "charts": self._charts(version, rows),
            "seen": three[-1][2] if three else "This was not tested.",
            "words": [self._by(version, r, named) for r in rows],
        }  # fmt: skip

    def _by(self, version: str, row: dict[Any, Any], named: pd.DataFrame) -> dict[str, Any]:
        """One encoder's verdict on one version, with its answers."""
        encoder = str(row["encoder"])
        own = self.copies.get((version, encoder), [])
        withheld = withheld_images(named["status"].tolist())
        return {
            "encoder": encoder,
            "verdict": row["verdict"],
            "sentences": [
                *sentences(row, self.name, self.alpha, own, alone=self.alone),
                *withheld,
                *arm_tables.house_style(self.leaks.get((version, encoder), []), self.name),
            ],
            "answers": _three(three_answers(self.answers.get((version, encoder), []), row), version, encoder),
        }

    def _beside_works(
        self, version: str, encoder: str, images: pd.DataFrame
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Every image beside the artist's work that it resembles most, and the works to which no image is nearest."""
        nearest = self.pages.embedded.nearest_works(self.slug, version, encoder)
        taken: dict[tuple[int, int], list[dict[Any, Any]]] = {}
        for row in self.taken[self.taken["model_version"] == version].to_dict("records"):
            taken.setdefault((int(row["template"]), int(row["trial"])), []).append(row)
        groups: dict[int | None, list[dict[str, Any]]] = {}
        existing = images[images["image_sha256"].notna()].to_dict("records")
        for number, row in enumerate(existing, 1):
            key = (int(row["template"]), int(row["trial"]))
            near = nearest.get(key)
            groups.setdefault(near.own_work if near else None, []).append(
                {
                    "number": number,
                    "where": _where(*key) + (f", {row['status']}" if row["status"] in SHOW_NOTHING else ""),
                    "picture": self.pictures[row["image_sha256"]],
                    "nearest": near,
                    "other": isolated(near.other_name) if near and near.other_subject else "",
                    "taken": [_taken_for(r, self.name, row["status"]) for r in taken.get(key, ())],
                }
            )
        works = {
            int(w["work"]): {"work": int(w["work"]), "picture": self.pictures[w["image_sha256"]]}
            for w in self.works.to_dict("records")
        }
        beside = [
            {"work": works.get(work) if work is not None else None, "images": groups[work]}
            for work in sorted(groups, key=lambda w: (w is None, w or 0))
        ]
        return beside, [shown_work for work, shown_work in works.items() if work not in groups]

    def _charts(self, version: str, verdicts: list[dict[Any, Any]]) -> list[Chart]:
        drawn: list[Chart] = []
        name = figures.printable(self.name, self.slug, width=40, lines=1)
        for place, row in enumerate(verdicts):
            encoder = row["encoder"]
            if not pd.isna(row["label_set"]):
                found = self.pages.embedded.background_probabilities(self.slug, version, encoder, row["label_set"])
                label = f"probability of the label “{name}” (log scale)"
                drawn += _strips(found, f"probability-{version}-{place}", label, encoder, logarithmic=True)
            found = self.pages.embedded.background_similarities(self.slug, version, encoder)
            label = f"mean cosine similarity to the real works of {name}"
            drawn += _strips(found, f"similarity-{version}-{place}", label, encoder, logarithmic=False)
        return drawn


def _by_encoder(table: pd.DataFrame) -> dict[tuple[str, str], list[dict[Any, Any]]]:
    """The rows of each model version and encoder, in order."""
    found: dict[tuple[str, str], list[dict[Any, Any]]] = {}
    for row in table.to_dict("records"):
        found.setdefault((str(row["model_version"]), str(row["encoder"])), []).append(row)
    return found


def _three(found: list[Answered], version: str, encoder: str) -> Table:
    return Table(
        f"The three answers of {encoder} about {version}.",
        columns("Question", "Answer", "Number", "Reason", "What would settle it"),
        [(a.question, a.answer, a.number, a.reason, a.settle or "–") for a in found],
    )


def _least_shared(connection: read.Connection, version: str) -> str:
    """The encoder that has least in common with the model, so that likeness is measured independently of the model."""
    relations = read.encoder_relations(connection, version)
    names = read.encoders(connection)["encoder"].tolist()
    return str(min(names, key=lambda e: _LEAST_SHARED_FIRST.index(relations.get(e, "unknown"))))


_APART = {INDIRECT: "described, not named, ", OTHER: "not asked as in the protocol, "}


def _where(template: int, trial: int) -> str:
    """An image's template and trial, as in the appendix and the database."""
    asked = _APART[template] if template < 0 else f"template {template}, " if template else ""
    return f"{asked}trial {trial}"


def _taken_for(row: dict[Any, Any], name: str, status: str) -> str:
    """The label that one encoder gave one image, as a sentence."""
    encoder = row["encoder"]
    if pd.isna(row["predicted_label"]):
        return f"{encoder}: a {status} image, counted as not identified."
    name, label = isolated(name), str(row["predicted_label"])
    what = (
        f"“{label.removeprefix(DEFAULT_LABEL)}”, which names no artist,"
        if label.startswith(DEFAULT_LABEL)
        else isolated(str(row["predicted_name"]))
    )
    if row["correct"]:
        return f"{encoder} takes it for {name}, with probability {probability(row['probability_of_subject'])}."
    return (
        f"{encoder} takes it for {what} with probability {probability(row['probability'])}; {name} is in place {row['rank_of_subject']:.0f} "
        f"with probability {probability(row['probability_of_subject'])}."
    )


def _strips(found: dict[str, pd.DataFrame], name: str, label: str, encoder: str, *, logarithmic: bool) -> list[Chart]:
    """The artist's own pictures as points, other names' as marks; no chart if nothing was measured."""
    found = {whose: rows[rows["value"].notna()] for whose, rows in found.items()}  # a blank image has no label
    if not found or found["imitations"].empty:
        return []
    lines = []
    for whose, rows in found.items():
        if rows.empty:
            continue
        own = whose in ("imitations", "real works")
        called = {"imitations": "these images", "real works": "the artist's real works"}.get(
            whose, f"images of {whose}"
        )
        said = [
            f"{called}, {'work' if whose == 'real works' else 'trial'} {i}: {probability(v)}"
            for i, v in (zip(rows["image"], rows["value"], strict=True) if own else ())
        ]
        lines.append(strips.Strip(called, rows["value"].tolist(), said, own=whose == "imitations"))
    medians = "; ".join(f"{line.label} {probability(np.median(line.values))}" for line in lines if len(line.values))
    alt = f"By {encoder}, {label}. Medians: {medians}."
    caption = f"By {encoder}: {label}. Medians: {medians}. Tall marks are medians. If a line has more than {strips.QUANTILES} images, as many quantiles of them are drawn."
    return [Chart(name, strips.strips(lines, label, alt, logarithmic=logarithmic), alt, caption)]
