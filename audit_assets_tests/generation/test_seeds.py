from hypothesis import given
from hypothesis import strategies as st

from audit_assets.generation.seeds import image_seed

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
KEYS = st.tuples(WORDS, WORDS, st.integers(0, 1000))


@given(KEYS, KEYS)
def test_two_images_share_a_seed_only_if_they_are_the_same_image(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    assert (image_seed(*one) == image_seed(*other)) == (one == other)


@given(KEYS)
def test_a_seed_fits_a_signed_64_bit_integer(key: tuple[str, str, int]) -> None:
    assert 0 <= image_seed(*key) < 2**63


def test_a_seed_is_the_same_on_every_machine_and_day() -> None:
    assert image_seed("artist:claude-monet", "a painting by {name}", 3) == 7300343800023085025
