"""Controls and the reasons why they are clean."""

import pytest

from audit_assets.errors import InputError
from audit_assets.roster.controls import choose_controls, draw_controls, names_to_scan, nonsense_words
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import name_parts, parts_of

ROSTER = ["Ada Brandvold", "Bruno Eklund", "Clara de Wit", "Dario Farkas", "Elena Oduya", "Greta Ulvang"]


def test_controls_are_names_without_a_mention() -> None:
    drawn = draw_controls(ROSTER, ["Michael Smith"], 5, seed=7)
    assert (drawn.pool == "random_names").sum() == 15
    mentioned = {drawn.name[0]: 3, drawn.name[4]: 1}
    table = choose_controls(drawn, mentioned, 5, captions=20_000)
    used = table[table.status == "used"]
    assert used.pool.value_counts().to_dict() == {"random_names": 5, "recombined_names": 5}
    assert (used.mentions == 0).all()
    assert used.why.str.endswith("0 of 20000 captions name it").all()
    assert table.loc[[0, 4], "status"].tolist() == ["refused", "refused"]
    assert table.why[0] == "3 of 20000 captions name it"
    assert (table.shared_parts.map(bool) == (table.pool == "recombined_names")).all()


def test_lengths_follow_the_roster_in_any_part_of_the_draw() -> None:
    drawn = draw_controls(["Ada Brandvold", "Bruno Eklund", "Clara de Wit"], [], 2, seed=7)
    lengths = drawn[drawn.pool == "random_names"].name.map(lambda name: len(tokens(name)))
    assert lengths.value_counts().to_dict() == {2: 4, 3: 2}
    assert list(names_to_scan(drawn)) == drawn.name.tolist()


def test_without_captions_it_is_said_that_nothing_was_scanned() -> None:
    table = choose_controls(draw_controls(ROSTER, [], 3, seed=1), None, 3)
    assert table.mentions.isna().all()
    assert table.why.str.contains("no captions were scanned").all()


def test_too_few_clean_names_are_counted() -> None:
    drawn = draw_controls(["Mononym"], [], 2, seed=1)
    with pytest.raises(InputError, match="1 of the 6 random names drawn are in no caption, 2 are wanted"):
        choose_controls(drawn, dict.fromkeys(drawn.name[:5], 1), 2, captions=9)


def test_nonsense_is_pronounceable_short_in_tokens_and_nobody() -> None:
    table = nonsense_words(50, seed=3, known=ROSTER, pieces=lambda name: len(name) // 3, most_pieces=4)
    assert table.name.is_unique
    assert (table.name.str.len() < 15).all()
    assert table.why.str.contains("tokens").all()
    assert all(name_parts(name).isdisjoint(parts_of(ROSTER)) for name in table.name)
    assert nonsense_words(50, seed=3, known=ROSTER).name.tolist() == nonsense_words(50, seed=3, known=[]).name.tolist()
    with pytest.raises(InputError, match="only 0 of 1 nonsense"):
        nonsense_words(1, seed=3, known=[], pieces=lambda name: 99)


def test_a_roster_too_small_to_recombine_has_random_names_all_the_same() -> None:
    drawn = draw_controls(["Ada Brandvold", "Ada Eklund"], [], 4, seed=1)
    assert (drawn.pool == "recombined_names").sum() == 0
    assert (choose_controls(drawn, {}, 4, captions=1).status == "used").sum() == 4
