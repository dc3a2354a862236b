"""The deciding tests of one artist without other artists, from tables of works and images: names with the same images are one name."""

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.own_cell import SAME_IMAGES, OwnCell, own_cell_in_strata
from audit_assets.measurement.own_cell_companions import Ranks
from audit_assets.results.matched import Matched
from audit_assets.results.own_cells import names_in_strata
from audit_assets.results.specification import deciding_p
from audit_assets.results.verdicts import deciding
from audit_assets_tests.results.test_positive_control import one_artist, unit

NAMES, D = 40, 24


def audit(
    *, as_artist: int = 0, as_one: int = 0, imitated: bool = False, seed: int = 0
) -> tuple[Matched, pd.DataFrame]:
    """One artist and ``NAMES`` control names: the first ``as_artist`` have the artist's own images, the last ``as_one`` have one set of images."""
    rng = np.random.default_rng([7, seed])
    hand = 2 * rng.normal(size=D)
    centres = rng.normal(size=(1 + NAMES, 1, D))
    centres[0] = hand if imitated else centres[0]
    images = centres + rng.normal(size=(1 + NAMES, 6, D))
    images[1 : 1 + as_artist] = images[0]
    images[1 + NAMES - as_one :] = images[-1]
    works = unit(hand + rng.normal(size=(8, D)))
    return one_artist(works, np.arange(8), unit(images, axis=2), rng)


@pytest.mark.parametrize("names", [5, NAMES])
def test_control_names_with_the_artists_images_leave_the_artist_untested(names: int) -> None:
    found, subjects = audit(as_artist=names, imitated=True)
    test = names_in_strata(found, subjects)
    assert np.isnan([test.p_value[0], test.p_floor[0]]).all()
    assert test.reason[0] == f"{names} of the other names have {SAME_IMAGES}"
    assert np.isnan(deciding_p(found, subjects, alpha=0.05)["artist"])


def test_one_set_of_images_is_one_control_name() -> None:
    """Counted as forty, it gives a name of other images the first place in every second audit, whatever the works are."""
    for seed in range(5):
        found, subjects = audit(as_one=NAMES, seed=seed)
        test = names_in_strata(found, subjects)
        assert np.isnan(test.p_value[0])
        assert test.reason[0].startswith(
            "1 control names have images of their own, not counting 39 with the same images as another;"
        )


def test_the_names_that_remain_are_those_that_are_counted() -> None:
    found, subjects = audit(as_one=11, imitated=True)
    test = names_in_strata(found, subjects)
    assert (test.others[0], test.reason[0]) == (30, "")
    assert test.p_value[0] == test.p_floor[0] == 1 / 31


def test_the_verdict_says_first_that_other_names_have_the_same_images() -> None:
    """Works of other artists would not mend it."""
    found, subjects = audit(as_artist=3)
    cells = found.cells
    ranks: dict[str, OwnCell | Ranks] = {
        "own_cell": own_cell_in_strata(cells.similarity, cells.lengths(), found.own, found.column_strata),
        "name_test": names_in_strata(found, subjects),
    }
    tests = pd.DataFrame(
        [
            {"test": test, "control": "none", "subject": "artist", "p_value": r.p_value[0], "p_floor": r.p_floor[0], "auc": np.nan, "reason": r.reason[0]}
            for test, r in ranks.items()
        ]
    )  # fmt: skip
    match = deciding(found, tests)
    assert np.isnan(match.p[0])
    assert SAME_IMAGES in match.reason[0]
    assert match.few_artists == [""]
