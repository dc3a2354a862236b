"""The embeddings that are published with the results, read once per database for the pages of all artists.

Each method keeps what it computed: 250 artists' pages ask for the same matrices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import duckdb
import numpy as np
import pandas as pd

from audit_assets.measurement.zero_shot import class_probabilities
from audit_assets.publication.queries import database as read
from audit_assets.results.label_sets import label_embeddings, label_sets
from audit_assets.warehouse.store import vectors

AUDITED_KINDS = ("artist", "untrained_artist")
_IMAGE = ["subject", "template", "trial"]
T = TypeVar("T")


@dataclass(frozen=True)
class Nearest:
    """The real works nearest to one image: the artist's own, and another artist's. Cosine similarities."""

    own_work: int
    own_similarity: float
    other_subject: str
    other_name: str
    other_similarity: float


@dataclass(frozen=True)
class _Rows:
    """Rows of a table, and their embeddings as unit vectors of float64: products are cosines."""

    table: pd.DataFrame
    unit: np.ndarray


class Embedded:
    """Images, real works and labels of one open database as vectors."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._kept: dict[tuple[str, ...], Any] = {}

    def nearest_works(self, subject: str, model_version: str, encoder: str) -> dict[tuple[int, int], Nearest]:
        """(template, trial) -> the nearest real works to that image. Works without a picture are left out."""
        images, works = self._images(encoder, model_version), self._works(encoder)
        made = np.flatnonzero(self._of(subject, images.table, "images", encoder, model_version))
        own = self._of(subject, works.table, "works", encoder)
        if not len(made) or not own.any():
            return {}
        likeness = images.unit[made] @ works.unit.T
        mine = np.where(own, likeness, -np.inf).argmax(axis=1)
        theirs = np.where(own, -np.inf, likeness).argmax(axis=1)
        others = not own.all()
        number, whose, name = (self._column(works, column, encoder) for column in ("work", "subject", "name"))
        template, trial = (images.table[column].to_numpy()[made] for column in ("template", "trial"))
        return {
            (int(template[place]), int(trial[place])): Nearest(
                int(number[mine[place]]),
                float(likeness[place, mine[place]]),
                str(whose[theirs[place]]) if others else "",
                str(name[theirs[place]]) if others else "",
                float(likeness[place, theirs[place]]) if others else float("nan"),
            )
            for place in range(len(made))
        }

    def background_probabilities(
        self, subject: str, model_version: str, encoder: str, label_set: str
    ) -> dict[str, pd.DataFrame]:
        """The probability of this artist's label for groups of pictures, among the labels of one set: columns image, value.

        Keys 'imitations', 'real works', 'other artists', 'random names'. Only images of the first template, which the
        labels use too: the artist's own values are those of `identification_trials`.
        """
        members = self._label_sets().get(label_set, [])
        if subject not in members:
            return {}
        at = members.index(subject)
        images, made = self._probabilities(encoder, model_version, label_set)
        works, real = self._probabilities(encoder, "", label_set)
        audited, random = self._kinds(images, "probabilities", encoder, model_version)
        own = self._of(subject, images, "probabilities", encoder, model_version)
        of_works = self._of(subject, works, "all works", encoder)
        return {
            "imitations": _values(images["trial"], made[:, at], own),
            "real works": _values(works["work"], real[:, at], of_works),
            "other artists": _values(images["trial"], made[:, at], audited & ~own),
            "random names": _values(images["trial"], made[:, at], random),
        }

    def background_similarities(self, subject: str, model_version: str, encoder: str) -> dict[str, pd.DataFrame]:
        """Mean cosine similarity of groups of images to the artist's real works: columns image, value.

        Keys as in ``background_probabilities``, without 'real works'. Only images of prompts that name their subject.
        """
        images, works = self._images(encoder, model_version), self._all_works(encoder)
        own = self._of(subject, works.table, "all works", encoder)
        named = (images.table["template"] >= 0).to_numpy()
        if not own.any() or not named.any():
            return {}
        value = images.unit @ works.unit[own].mean(axis=0)
        audited, random = self._kinds(images.table, "images", encoder, model_version)
        mine = self._of(subject, images.table, "images", encoder, model_version)
        trial = images.table["trial"]
        return {
            "imitations": _values(trial, value, named & mine),
            "other artists": _values(trial, value, named & audited & ~mine),
            "random names": _values(trial, value, named & random),
        }

    def _once(self, make: Callable[[], T], *key: str) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        return cast(T, self._kept[key])

    def _subjects(self) -> pd.DataFrame:
        query = "SELECT * REPLACE (kind::VARCHAR AS kind) FROM subjects ORDER BY rowid"
        return self._once(lambda: read.rows(self.connection, query), "subjects")

    def _kinds(self, table: pd.DataFrame, *key: str) -> tuple[np.ndarray, np.ndarray]:
        """Which rows of a table are of an audited artist, and which of a random name: two masks."""

        def make() -> tuple[np.ndarray, np.ndarray]:
            kind = table["subject"].map(self._subjects().set_index("subject")["kind"])
            return kind.isin(AUDITED_KINDS).to_numpy(), (kind == "random_name").to_numpy()

        return self._once(make, "kinds", *key)

    def _of(self, subject: str, table: pd.DataFrame, *key: str) -> np.ndarray:
        """Which rows of a table are of a subject: a mask."""
        codes, subjects = self._once(lambda: pd.factorize(table["subject"]), "codes", *key)
        return np.asarray(
            codes == self._once(lambda: {s: i for i, s in enumerate(subjects)}, "places", *key).get(subject, -1)
        )

    def _label_sets(self) -> dict[str, list[str]]:
        return self._once(lambda: label_sets(self._subjects()), "label sets")

    def _column(self, works: _Rows, column: str, encoder: str) -> list[Any]:
        return self._once(lambda: works.table[column].tolist(), "column", column, encoder)

    def _all_works(self, encoder: str) -> _Rows:
        def make() -> _Rows:
            return _unit(read.embeddings(self.connection, "reference_embeddings", encoder))

        return self._once(make, "all works", encoder)

    def _works(self, encoder: str) -> _Rows:
        """Real works that have a picture, with the names of their artists."""

        def make() -> _Rows:
            named = read.rows(
                self.connection,
                "SELECT subject, work, s.name FROM reference_works JOIN subjects s USING (subject) WHERE image_sha256 IS NOT NULL",
            )
            works = read.embeddings(self.connection, "reference_embeddings", encoder)
            return _unit(works.merge(named, on=["subject", "work"]))

        return self._once(make, "works", encoder)

    def _images(self, encoder: str, model_version: str) -> _Rows:
        """One version's images that are not blank, in order."""

        def make() -> _Rows:
            made = read.embeddings(self.connection, "imitation_embeddings", encoder, model_version)
            shown = read.rows(
                self.connection,
                "SELECT subject, template, trial FROM imitations WHERE model_version = $model_version AND status = 'ok'",
                {"model_version": model_version},
            )
            made = made.merge(shown, on=_IMAGE)
            return _unit(made.sort_values(_IMAGE, ignore_index=True))

        return self._once(make, "images", encoder, model_version)

    def _probabilities(self, encoder: str, model_version: str, label_set: str) -> tuple[pd.DataFrame, np.ndarray]:
        """Pictures (n) and the probabilities of the labels of a set (n, labels): of a version's images, or of works if it is ''."""

        def make() -> tuple[pd.DataFrame, np.ndarray]:
            labels = read.embeddings(self.connection, "label_embeddings", encoder)
            _, embeddings = label_embeddings(labels, self._label_sets()[label_set], 0)
            scale = read.encoders(self.connection).set_index("encoder")["logit_scale"].astype(float)[encoder]
            if model_version:
                table = self._images(encoder, model_version).table
                table = table[table["template"] == 0].reset_index(drop=True)
            else:
                table = self._all_works(encoder).table
            if table.empty:
                return table, np.empty((0, len(embeddings)))
            return table, class_probabilities(vectors(table["embedding"]), embeddings, float(scale))

        return self._once(make, "probabilities", encoder, model_version, label_set)


def _values(image: pd.Series, values: np.ndarray, chosen: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"image": image.to_numpy()[chosen], "value": values[chosen]})


def _unit(table: pd.DataFrame) -> _Rows:
    if table.empty:
        return _Rows(table, np.empty((0, 0)))
    values = vectors(table["embedding"]).astype(np.float64)
    return _Rows(table, values / np.linalg.norm(values, axis=1, keepdims=True))
