"""The people of the miniature world: artists of every kind, their names, and hundreds of people with one or two works each.

The names decide what a control shows: a text encoder takes a surname that belongs to one artist for that artist. Therefore several
artists and many minor names share first and last names, as on the web.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from faker import Faker

from audit_assets.miniature.works import SIZE as SIZE
from audit_assets.miniature.works import Style, distinct_styles, style, work

SEED = 20230709
TRAINED, UNTRAINED, TWINS, BACKGROUND = 70, 10, 4, 32
TRAINING_WORKS = {"artist": 70, "untrained_artist": 40, "background": 40}
"""Works per artist on which the encoder is trained, and, for kind `artist`, the diffusion model too."""
REFERENCES = 10
"""Works per artist that no training uses. They are the references of the audit."""
MINOR_NAMES, WORKS_PER_MINOR = 700, 2

FIRST_NAMES = [
    "Ada",
    "Bruno",
    "Clara",
    "Dario",
    "Elena",
    "Félix",
    "Greta",
    "Hugo",
    "Inés",
    "Jonas",
    "Kira",
    "Léon",
    "Mara",
    "Nils",
    "Olga",
    "Pavel",
    "Rósa",
    "Stefan",
    "Tilda",
    "Viktor",
    "Wanda",
    "Yusuf",
    "Zoë",
    "Amir",
    "Beata",
    "Cyril",
    "Dagny",
    "Émile",
    "Freya",
    "Göran",
]
LAST_NAMES = [
    "Abelard",
    "Brandvold",
    "Castellan",
    "Drozdov",
    "Eklund",
    "Farkas",
    "Galanis",
    "Hollander",
    "Ivarsen",
    "Janković",
    "Kowalke",
    "Lindqvist",
    "Moravec",
    "Nakagami",
    "Oduya",
    "Petrescu",
    "Quillfeather",
    "Rasmussen",
    "Sandoval",
    "Thackeray",
    "Ulvang",
    "Vásquez",
    "Whitlock",
    "Xanthos",
    "Yamauchi",
    "Zieliński",
    "Ashdown",
    "Bellweather",
    "O'Corvin",
    "Sørby",
]

# These ten artists left before the second version was trained. They are among those whom the first version imitates best, so that the difference shows.
OPTED_OUT: tuple[int, ...] = (2, 7, 13, 23, 29, 33, 37, 48, 54, 61)


@dataclass(frozen=True)
class Person:
    """A person whose works exist in the world. `kind` is as in the published `subjects` table, or `minor`."""

    name: str
    kind: str
    style: Style
    works_seed: int
    twin_of: str | None = None

    def work(self, k: int) -> tuple[np.ndarray, str]:
        """Work `k`: ((32, 32, 3) uint8, title). No model is trained on the last `REFERENCES` works of an artist."""
        return work(self.style, (SEED, self.works_seed, k))

    @property
    def training_works(self) -> int:
        return TRAINING_WORKS.get(self.kind, WORKS_PER_MINOR)

    def references(self) -> list[np.ndarray]:
        return [self.work(self.training_works + k)[0] for k in range(REFERENCES)]


def _combinations(n: int, seed: int, taken: set[str]) -> list[str]:
    r = np.random.default_rng((SEED, seed))
    names: list[str] = []
    while len(names) < n:
        name = f"{r.choice(FIRST_NAMES)} {r.choice(LAST_NAMES)}"
        if name not in taken:
            taken.add(name)
            names.append(name)
    return names


def _strangers(n: int, taken: set[str]) -> list[str]:
    """Names from the pool of the random-name controls. None has a part of an artist's name."""
    faker = Faker("en_US")
    faker.seed_instance(SEED)
    parts = {part.casefold() for part in FIRST_NAMES + LAST_NAMES}
    names: list[str] = []
    while len(names) < n:
        name = f"{faker.first_name()} {faker.last_name()}"
        if name not in taken and not parts & set(name.casefold().split()):
            taken.add(name)
            names.append(name)
    return names


@cache
def artists() -> tuple[Person, ...]:
    """Trained, untrained, twin (in pairs) and background artists, in this order. The two of a pair share a style, so their works cannot be told apart."""
    taken: set[str] = set()
    names = _combinations(TRAINED + UNTRAINED + TWINS + BACKGROUND, 1, taken)
    styles = distinct_styles(TRAINED + UNTRAINED + TWINS // 2 + BACKGROUND, SEED)
    pairs = styles[TRAINED + UNTRAINED : TRAINED + UNTRAINED + TWINS // 2]
    styles[TRAINED + UNTRAINED : TRAINED + UNTRAINED + TWINS // 2] = [s for pair in pairs for s in (pair, pair)]
    kinds = ["artist"] * TRAINED + ["untrained_artist"] * (UNTRAINED + TWINS) + ["background"] * BACKGROUND
    people = []
    for i, (name, kind, st) in enumerate(zip(names, kinds, styles, strict=True)):
        pair = i - TRAINED - UNTRAINED
        twin = names[i ^ 1] if 0 <= pair < TWINS else None
        people.append(Person(name, kind, st, i, twin))
    return tuple(people)


@cache
def minors() -> tuple[Person, ...]:
    """People with two works each. Four in seven have names made of parts of the artists' names."""
    taken = {a.name for a in artists()}
    shared = _combinations(MINOR_NAMES * 4 // 7, 2, taken)
    names = shared + _strangers(MINOR_NAMES - len(shared), taken)
    return tuple(Person(name, "minor", style((SEED, 900_000 + j)), 5_000 + j) for j, name in enumerate(names))


@dataclass(frozen=True)
class Corpus:
    """Every training work: `images` (n, 32, 32, 3) uint8, and per row its title, its person's name, its style in words and its index.

    `person` is the index in `artists()`, or -1 for a minor name.
    """

    images: np.ndarray
    titles: list[str]
    names: list[str]
    descriptions: list[str]
    person: np.ndarray

    def rows(self, kinds: set[str]) -> np.ndarray:
        """Indices of the works whose artists have one of these kinds."""
        people = artists()
        return np.array([i for i, p in enumerate(self.person) if (people[p].kind if p >= 0 else "minor") in kinds])


@cache
def corpus() -> Corpus:
    """All training works, drawn from their seeds. These are about 9,000 works, which take 20 s."""
    images, titles, names, descriptions, person = [], [], [], [], []
    for i, p in [*enumerate(artists()), *((-1, m) for m in minors())]:
        for k in range(p.training_works):
            pixels, title = p.work(k)
            images.append(pixels)
            titles.append(title)
            names.append(p.name)
            descriptions.append(p.style.describe())
            person.append(i)
    return Corpus(np.stack(images), titles, names, descriptions, np.array(person))
