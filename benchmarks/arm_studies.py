"""Draw audits of known truth for arms and unprompted leakage: how often each rule is wrong, and what it finds.

Arms that name the artist are tested by the rules of the name itself, whose level the other studies draw. Here are the two rules that arms add:
a fixed label beside other prompts, and the house style of a model.
"""

from collections.abc import Iterator

import numpy as np

from audit_assets.measurement.answers import UNTESTED, YES
from audit_assets.measurement.arms import beside_prompts
from audit_assets.measurement.leakage import leak
from benchmarks.studies import Row, Study, mean, repeated, unit

LABELS, DIMENSION, ARTISTS = 60, 48, 10
HOUSE = (0.05, 0.1, 0.2, 0.5)
"""Shares of unprompted images that truly fall to the first artist."""


def other_prompts(audits: int, seed: int) -> Iterator[Row]:
    """Vary the number of other prompts, and how much the artist's description says of what the encoder takes for the artist's."""
    for controls in (49, 60, 99, 199):
        for nearness in (0.0, 0.2, 0.4):

            def one(
                rng: np.random.Generator, controls: int = controls, nearness: float = nearness
            ) -> dict[tuple[str, str], float]:
                return {(f"nearness {nearness:g}", "passes"): float(_passes(rng, controls, nearness))}

            yield from repeated("other prompts", f"{controls} prompts", audits, seed, one)


def _passes(rng: np.random.Generator, controls: int, nearness: float) -> bool:
    labels = unit(rng.normal(size=(LABELS, DIMENSION)))
    content = unit(rng.normal(size=(controls + 1, DIMENSION)))
    content[0] = nearness * labels[0] + np.sqrt(1 - nearness**2) * content[0]
    images = content[:, None] + rng.normal(size=(controls + 1, 5, DIMENSION)) / np.sqrt(DIMENSION)
    fell = ((images @ labels.T).argmax(axis=2) == 0).sum(axis=1)
    return beside_prompts(int(fell[0]), 5, fell[1:], np.full(controls, 5)).finding.answer == YES


def leakage(audits: int, seed: int) -> Iterator[Row]:
    """Vary the share of unprompted images that falls to one artist, and what the encoder prefers whatever the model draws."""
    for share in (0.0, *HOUSE):

        def house(rng: np.random.Generator, share: float = share) -> dict[tuple[str, str], float]:
            return _leaks(rng, share, np.zeros(ARTISTS))

        yield from repeated("leakage", f"{100 * share:g} %", audits, seed, house)

    def hubs(rng: np.random.Generator) -> dict[tuple[str, str], float]:
        return _leaks(rng, 0.0, rng.normal(size=ARTISTS), names=rng.normal(size=99))

    def preferred(rng: np.random.Generator) -> dict[tuple[str, str], float]:
        return _leaks(rng, 0.0, np.r_[4.0, np.zeros(ARTISTS - 1)])

    yield from repeated("leakage", "0 %, some labels are near to everything", audits, seed, hubs)
    yield from repeated("leakage", "0 %, the encoder prefers one artist's label", audits, seed, preferred)


def _leaks(
    rng: np.random.Generator, share: float, artists: np.ndarray, names: np.ndarray | None = None
) -> dict[tuple[str, str], float]:
    """Ten images of each of 99 invented names; any label takes an image by chance, in proportion to the exponential of its weight."""
    weight = np.exp(np.r_[artists, np.zeros(99) if names is None else names])
    chance = weight / weight.sum()
    rest = np.r_[0.0, chance[1:]]
    mixed = np.r_[share, (1 - share) * rest[1:] / rest.sum()] if share else chance
    fell = rng.multinomial(10, mixed, size=99)
    works = rng.multinomial(5, chance, size=40)  # what the encoder takes the real works of 40 others for
    own = np.r_[np.full(ARTISTS, -1), np.arange(99)]
    controls = np.arange(ARTISTS, ARTISTS + 99)
    found = [
        leak(fell, np.full(99, 10), own, label, controls, works=(works[:, label], np.full(40, 5))).finding.answer
        for label in range(ARTISTS)
    ]
    return {
        ("the artist", "called house style"): float(found[0] == YES),
        ("the artist", "not tested"): float(found[0] == UNTESTED),
        ("other artists", "called house style"): mean([answer == YES for answer in found[1:]]),
    }


STUDIES: dict[str, Study] = {"other prompts": other_prompts, "leakage": leakage}
