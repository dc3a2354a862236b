"""Controls and the reasons why they are clean."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from audit_assets.config import Controls
from audit_assets.measurement.strata import script_of
from audit_assets.roster.controls import (
    COLUMNS,
    DRAWN,
    choose_controls,
    draw_controls,
    draw_recombined,
    nonsense_words,
    shortages,
    untrained_controls,
)
from audit_assets.roster.origins import origins_of
from audit_assets.roster.parts import name_parts, parts_of, shares_name_parts, word_count
from audit_assets.roster.stage import RosterStage
from audit_assets.roster.strata import TESTED, strata_of
from audit_assets.runs.remarks import roster_notes
from audit_assets.workspace import Workspace
from audit_assets_tests.roster.real_data import real_names

NOBODY = pd.DataFrame({"name": [], "pool": []})
ROSTER = ["Ada Brandvold", "Bruno Eklund", "Clara O'Farkas", "Dario Oduya", "Elena Ulvang", "Greta Moravec"]
FIRSTS = ["Michael", "Jennifer", "James", "David", "Christopher", "Amanda", "Robert", "John", "Jessica", "William"]
LASTS = ["Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Miller", "Davis", "Rodriguez", "Martinez"]


def artists(names: Sequence[str] = ROSTER, **others: str) -> pd.DataFrame:
    """A table of artists; `others` are further names and their kinds, '_' for a space."""
    kinds = ["artist"] * len(names) + list(others.values())
    everybody = [*names, *(name.replace("_", " ") for name in others)]
    return pd.DataFrame(
        {"name": everybody, "kind": kinds, "aliases": [[] for _ in everybody], "source": "a catalogue", "locale": ""},
        index=range(len(everybody)),
    )


def drawn(controls: Controls, table: pd.DataFrame | None = None, roster: Sequence[str] | None = None) -> pd.DataFrame:
    """All pools; the roster is the whole table unless another is given."""
    table = artists() if table is None else table
    first = draw_controls(table, controls)
    return pd.concat([first, draw_recombined(table, controls, set(roster or table["name"]), first)], ignore_index=True)


def used(table: pd.DataFrame, pool: str) -> list[str]:
    return table.loc[(table["pool"] == pool) & (table["status"] == "used"), "name"].tolist()


def test_the_same_seed_draws_the_same_candidates_and_none_is_an_artist() -> None:
    controls = Controls(random_names=5, recombined_names=3, nonsense=2)
    pd.testing.assert_frame_equal(drawn(controls), drawn(controls))
    assert not set(drawn(controls)["name"]) & set(ROSTER)
    assert drawn(Controls(random_names=0, recombined_names=0)).empty
    assert (drawn(controls)["pool"] == "random_names").sum() == 15


def test_controls_are_the_first_names_of_the_draw_without_a_mention_and_say_why() -> None:
    controls = Controls(random_names=5, recombined_names=5)
    table = drawn(controls)
    mentions = {str(table["name"][0]): 3, str(table["name"][4]): 1}
    chosen = choose_controls(table, mentions, artists(), controls, 20_000)
    assert tuple(chosen) == COLUMNS
    assert used(chosen, "random_names") == [table["name"][i] for i in (1, 2, 3, 5, 6)]
    assert len(used(chosen, "recombined_names")) == 5
    clean = chosen[chosen["status"] == "used"]
    assert (clean["mentions"] == 0).all()
    assert clean["why"].str.endswith("0 of 20000 captions name it").all()
    assert clean["why"].str.contains("equals none of 6 known names").all()
    assert clean.loc[clean["pool"] == "random_names", "why"].str.contains("shares no part with the roster's 6").all()
    assert chosen.loc[[0, 4], "status"].tolist() == ["refused", "refused"]
    assert chosen["why"][0] == "3 of 20000 captions name it"
    assert chosen.loc[chosen["pool"] == "random_names", "faker_version"].notna().all()
    assert (chosen["shares_name_parts"] == (chosen["pool"] == "recombined_names")).all()


def test_a_name_drawn_twice_is_in_one_pool() -> None:
    """With common names of artists, Faker draws what is recombined too."""
    common = [f"{first} {last}" for first, last in zip(FIRSTS, LASTS, strict=True)]
    wish = Controls(random_names=300, recombined_names=30, share_name_parts=True)
    table = drawn(wish, artists(common))
    assert table["name"].is_unique
    assert (table["pool"] == "random_names").sum() == 900
    assert (table["pool"] == "recombined_names").sum() < 90


def test_a_random_name_shares_no_part_with_the_roster_and_a_recombined_name_only_such() -> None:
    controls = Controls(random_names=4, recombined_names=8)
    chosen = choose_controls(drawn(controls), {}, artists(), controls, 1)
    assert not any(shares_name_parts(name, ROSTER) for name in used(chosen, "random_names"))
    assert all(name_parts(name) <= parts_of(ROSTER) for name in used(chosen, "recombined_names"))


def test_a_recombined_name_takes_no_part_from_an_artist_whom_a_criterion_removed() -> None:
    controls = Controls(random_names=1, recombined_names=6)
    chosen = choose_controls(drawn(controls, roster=ROSTER[:4]), {}, artists(ROSTER[:4]), controls, 1)
    recombined = used(chosen, "recombined_names")
    assert len(recombined) == 6
    assert all(name_parts(name) <= parts_of(ROSTER[:4]) for name in recombined)
    of_all = drawn(Controls(random_names=1, recombined_names=30))
    in_order = [name for name in of_all["name"] if name in recombined]
    assert in_order == recombined


def test_of_a_table_much_larger_than_the_roster_enough_names_are_recombined() -> None:
    many = [f"F{i}a L{i}b" for i in range(3000)]
    controls = Controls(random_names=1, recombined_names=70)
    table = draw_recombined(artists(many), controls, set(many[:20]), NOBODY)
    assert len(table) == 380  # every pair of the roster: 20 x 19
    assert all(name_parts(name) <= parts_of(many[:20]) for name in table["name"])


def test_random_names_have_the_rosters_numbers_of_words() -> None:
    names = [*ROSTER[:4], "Clara de Wit", "Anna van Dyck"]
    controls = Controls(random_names=6, recombined_names=0)
    chosen = choose_controls(drawn(controls, artists(names)), {}, artists(names), controls, 1)
    assert sorted(map(word_count, used(chosen, "random_names"))) == [2, 2, 2, 2, 3, 3]


def test_names_of_one_length_that_are_all_taken_are_made_up_for_by_others() -> None:
    names = [*ROSTER[:4], "Clara de Wit", "Anna van Dyck"]
    controls = Controls(random_names=6, recombined_names=0)
    table = drawn(controls, artists(names))
    three = dict.fromkeys(table.loc[table["name"].map(word_count) == 3, "name"], 1)
    chosen = choose_controls(table, three, artists(names), controls, 1)
    assert list(map(word_count, used(chosen, "random_names"))) == [2] * 6


def test_a_script_that_no_artist_is_written_in_is_refused() -> None:
    controls = Controls(random_names=2, locale="ja_JP", recombined_names=0)
    japanese = ["葛飾 北斎", "歌川 広重"]
    assert (
        len(
            used(
                choose_controls(drawn(controls, artists(japanese)), {}, artists(japanese), controls, 1), "random_names"
            )
        )
        == 2
    )
    cyrillic = artists(["Илья Репин"])
    chosen = choose_controls(draw_controls(cyrillic, controls), {}, artists(), controls, 1)
    assert used(chosen, "random_names") == []
    (short,) = shortages(chosen, controls, cyrillic)
    assert short.startswith("controls.random_names of ru_RU: 0 names of the 2 asked for; 6 were drawn and 6 refused")
    assert "the first refused: no artist who is tested has control names of ru_RU" in short


@pytest.mark.parametrize("roster", [["1984"], ["葛飾 北斎", "1984"]])
def test_control_names_of_any_script_are_taken_for_a_name_without_letters(roster: list[str]) -> None:
    controls = Controls(random_names=2, locale="ru_RU", recombined_names=0)
    chosen = choose_controls(drawn(controls, artists(roster)), {}, artists(roster), controls, 1)
    russian = chosen[(chosen["locale"] == "ru_RU") & (chosen["status"] == "used")]
    assert len(russian) == 2
    assert shortages(chosen, controls, artists(roster)) == []
    others = choose_controls(
        chosen[list(DRAWN)], {}, artists([n for n in roster if n != "1984"] or ROSTER), controls, 1
    )
    assert (others["script"] == "Cyrillic").any()
    assert set(others.loc[others["script"] == "Cyrillic", "status"]) == {"refused"}


def test_shared_parts_are_counted_and_refused_unless_allowed() -> None:
    common = [f"{first} {last}" for first in ("Michael", "Jennifer", "James") for last in ("Smith", "Jones")]
    allowed = Controls(random_names=150, share_name_parts=True, recombined_names=0)
    table = drawn(allowed, artists(common))
    chosen = choose_controls(table, {}, artists(common), allowed, 1)
    sharing = chosen[chosen["shares_name_parts"]]
    assert len(sharing)
    assert set(sharing["status"]) <= {"used", "spare"}
    assert sharing["why"].str.contains("shares '(?:michael|jennifer|james|smith|jones)").all()
    strict = choose_controls(table, {}, artists(common), Controls(random_names=150, recombined_names=0), 1)
    assert set(strict.loc[strict["shares_name_parts"], "status"]) == {"refused"}


def test_thousands_of_real_artists_leave_enough_clean_names() -> None:
    """They use up nearly all of Faker's names, so only those of the roster may decide."""
    names, controls = real_names(), Controls(random_names=70, recombined_names=0)
    roster = names[:250]
    chosen = choose_controls(draw_controls(artists(names), controls), {}, artists(roster), controls, 1)
    assert len(used(chosen, "random_names")) == 70
    assert not any(shares_name_parts(name, roster) for name in used(chosen, "random_names"))


def test_without_captions_it_is_said_that_nothing_was_scanned() -> None:
    controls = Controls(random_names=3, recombined_names=0)
    chosen = choose_controls(drawn(controls), None, artists(), controls, 0)
    assert chosen["mentions"].isna().all()
    assert chosen["why"].str.contains("no captions were scanned").all()


def test_a_pool_with_too_few_clean_names_is_smaller_and_says_so() -> None:
    controls = Controls(random_names=2, recombined_names=0)
    table = drawn(controls)
    chosen = choose_controls(table, dict.fromkeys(table["name"][:5], 1), artists(), controls, 9)
    assert len(used(chosen, "random_names")) == 1
    (short,) = shortages(chosen, controls, artists())
    assert short.startswith("controls.random_names of en_US: 1 names of the 2 asked for; 6 were drawn and 5 refused")
    assert "the first refused: 1 of 9 captions name it" in short
    assert shortages(choose_controls(table, {}, artists(), controls, 9), controls, artists()) == []
    wish = Controls(random_names=0, recombined_names=1)
    (short,) = shortages(
        choose_controls(drawn(wish, artists(["Mononym"])), {}, artists(["Mononym"]), wish, 1),
        wish,
        artists(["Mononym"]),
    )
    assert short.startswith("controls.recombined_names: 0 names of the 1 asked for")


def test_the_name_of_a_single_artist_is_recombined_with_random_names() -> None:
    controls = Controls(random_names=30, recombined_names=8)
    one = artists(ROSTER[:1])
    chosen = choose_controls(drawn(controls, one), None, artists(ROSTER[:1]), controls, 0)
    names = used(chosen, "recombined_names")
    assert len(names) == 8
    assert {name.startswith("Ada ") for name in names} == {True, False}
    assert all(shares_name_parts(name, ROSTER[:1]) and name != ROSTER[0] for name in names)


def test_control_names_come_from_where_the_artists_names_come_from() -> None:
    table = artists(["Ada Brandvold", "Hokusai Example", "Илья Репин", "葛飾北斎"])
    table["locale"] = ["no_NO", "ja_JP", "", "ja_JP"]
    controls = Controls(random_names=3, recombined_names=0)
    assert Controls(locale="en-GB") == Controls(locale="en_GB")  # as rows of artists.csv are read
    assert origins_of(table, "en_US") == {
        ("no_NO", True): ["Ada Brandvold"],
        ("ja_JP", True): ["Hokusai Example"],
        ("ja_JP", False): ["葛飾北斎"],
        ("ru_RU", False): ["Илья Репин"],
    }
    chosen = choose_controls(draw_controls(table, controls), None, table, controls, 0)
    assert chosen[chosen["status"] == "used"].groupby("locale").size().to_dict() == {"ja_JP": 6, "no_NO": 3, "ru_RU": 3}
    assert set(chosen.loc[chosen["locale"] == "ru_RU", "script"]) == {"Cyrillic"}
    in_use = chosen[(chosen["status"] == "used") & (chosen["locale"] == "ja_JP")]
    assert in_use["script"].tolist() == ["Latin"] * 3 + ["Japanese"] * 3


@pytest.fixture
def staged(small_audit: Callable[..., Path], tmp_path: Path) -> Callable[..., RosterStage]:
    """Roster, controls and subjects of an audit without captions, whose artists are lines `name,kind,locale`."""

    def make(*rows: str, **controls: object) -> RosterStage:
        asked = {"random_names": 4, "recombined_names": 0, **controls}
        config = small_audit(tmp_path, captions=None, roster={"artists": "artists.csv", "criteria": 9}, controls=asked)
        (tmp_path / "artists.csv").write_text("\n".join(["name,kind,locale", *rows]), encoding="utf-8")
        ws = Workspace.open(config, new=True)
        stage = RosterStage(ws.audit, ws.warehouse)
        stage.make_roster()
        stage.make_controls()
        stage.make_subjects()
        return stage

    return make


def beside(stage: RosterStage) -> dict[str, tuple[str, list[str]]]:
    """The stratum of each tested subject, and the random names in it."""
    subjects = stage.warehouse.read("subjects")
    stratum = subjects["subject"].map(strata_of(subjects))
    random = subjects["kind"] == "random_name"
    own = subjects[subjects["kind"].isin(TESTED)].index
    return {
        str(subjects["name"][i]): (stratum[i], subjects.loc[random & (stratum == stratum[i]), "name"].tolist())
        for i in own
    }


@pytest.mark.parametrize(
    ("han", "latin", "scripts"),
    [("草間彌生,artist,", "Ai Weiwei,artist,zh_CN", "Han"), ("草間彌生,artist,ja_JP", "Takashi Murakami,artist,ja_JP", "Japanese")],
)  # fmt: skip
def test_artists_of_one_locale_in_two_scripts_have_control_names_of_their_own_script(
    staged: Callable[..., RosterStage], han: str, latin: str, scripts: str
) -> None:
    stage, locale = staged(han, latin), latin[-5:]
    (of_han, names), (of_latin, romanised) = beside(stage).values()
    assert (of_han, of_latin) == (f"locale {locale}, script {scripts}", f"locale {locale}, script Latin")
    assert (len(names), len(romanised), stage.shortages()) == (4, 4, [])
    assert {script_of(name, locale) for name in names} == {scripts}
    assert {script_of(name) for name in romanised} == {"Latin"}


@pytest.mark.parametrize("name", ["ヒグチユウコ", "さくらももこ", "岩崎ちひろ", "佐々木マキ"])
@pytest.mark.parametrize("locale", ["", "ja_JP"])
def test_an_artist_whose_name_has_kana_has_japanese_control_names(
    staged: Callable[..., RosterStage], name: str, locale: str
) -> None:
    """Most of them are in Han characters alone, as most Japanese names are."""
    stage = staged(f"{name},artist,{locale}", "手塚治虫,artist,")
    stratum, names = beside(stage)[name]
    assert stratum == ("locale ja_JP" if locale else "script Japanese")
    assert len(names) == 4
    assert set(stage.used_controls().set_index("name").loc[names, "locale"]) == {"ja_JP"}
    assert beside(stage)["手塚治虫"][0] == "script Han"
    assert len(beside(stage)["手塚治虫"][1]) == 4
    assert stage.shortages() == stage.unmatched_controls() == []


def test_a_script_that_a_locale_does_not_write_is_a_shortage(staged: Callable[..., RosterStage]) -> None:
    stage = staged("Ada Brandvold,artist,no_NO", "Илья Репин,artist,no_NO")
    found = beside(stage)
    assert found["Илья Репин"] == ("locale no_NO, script Cyrillic", [])
    assert len(found["Ada Brandvold"][1]) == 4
    (short,) = stage.shortages()
    assert short.startswith("controls.random_names of no_NO, script Cyrillic: 0 names of the 4 asked for")
    assert "give the artist another locale" in short


@pytest.mark.parametrize(
    ("artist", "untrained", "stratum"),
    [
        ("Ada Brandvold,artist,no_NO", "Ben Sample,untrained_artist,", "script Latin"),
        ("Ада Бранд,artist,", "Ben Sample,untrained_artist,", "script Latin"),
        ("Ada Brandvold,artist,", "Илья Репин,untrained_artist,", "script Cyrillic"),
        ("Ada Brandvold,artist,", "Илья Репин,untrained_artist,ru_RU", "locale ru_RU"),
    ],
)
def test_an_untrained_artist_has_control_names_whatever_the_others_are(
    staged: Callable[..., RosterStage], artist: str, untrained: str, stratum: str
) -> None:
    stage = staged(untrained, artist)
    of_untrained, of_artist = beside(stage).values()
    assert of_untrained[0] == stratum
    assert (len(of_untrained[1]), len(of_artist[1]), stage.shortages()) == (4, 4, [])
    assert set(of_untrained[1]).isdisjoint(of_artist[1])


def test_names_drawn_for_artists_who_are_not_in_the_roster_are_refused() -> None:
    """Else they would be in the stratum of artists without a locale, to whom they are foreign."""
    table = artists(["Ada Brandvold", "Hana Mori"]).assign(locale=["", "ja_JP"])
    controls = Controls(random_names=3, recombined_names=0)
    chosen = choose_controls(draw_controls(table, controls), None, table[:1], controls, 0)
    assert chosen[chosen["status"] == "used"].groupby("locale").size().to_dict() == {"en_US": 3}
    assert shortages(chosen, controls, table[:1]) == []


def test_an_edit_of_a_locale_draws_its_names_and_drops_those_of_the_former_one(
    staged: Callable[..., RosterStage],
) -> None:
    def locales(cell: str) -> set[str]:
        return set(staged(f"Ada Brandvold,artist,{cell}").used_controls()["locale"])

    assert locales("") == {"en_US"}
    assert locales("cs_CZ") == {"cs_CZ"}  # added
    assert locales("no_NO") == {"no_NO"}  # corrected
    assert locales("") == {"en_US"}  # deleted


def test_names_of_the_audits_own_locale_are_drawn_once(staged: Callable[..., RosterStage]) -> None:
    """A warehouse keeps them although a later version of Faker would draw others."""
    first = staged("Ada Brandvold,artist,").warehouse.inputs("control_candidates")
    assert staged("Ada Brandvold,artist,en_US").warehouse.inputs("control_candidates") == first


def test_plan_and_run_print_every_shortage(staged: Callable[..., RosterStage]) -> None:
    stage = staged("Mononym,artist,", recombined_names=1)
    (short,) = stage.shortages()
    assert short in roster_notes(Workspace.of(stage.audit))


def test_nonsense_is_pronounceable_nobody_and_of_few_tokens() -> None:
    names = nonsense_words(50, seed=3, known=ROSTER)
    assert len(set(names)) == 50
    assert max(map(len, names)) < 18
    assert all(name_parts(name).isdisjoint(parts_of(ROSTER)) for name in names)
    controls = Controls(random_names=0, nonsense=10, recombined_names=0)
    table = draw_controls(artists(), controls, lambda name: len(name) - 6)
    assert len(table) == 30
    assert table["pieces"].is_monotonic_increasing
    assert table["pieces"].max() <= 8
    chosen = choose_controls(table, {}, artists(), controls, 9)
    assert used(chosen, "nonsense") == table["name"][:10].tolist()
    assert chosen["why"][0].startswith(f"invented, {table['pieces'][0]} tokens; equals none of 6 known names")
    assert set(chosen["kind"]) == {"nonsense"}
    crumbs = draw_controls(artists(), controls, lambda name: 3 if name in ROSTER else 99)
    (short,) = shortages(choose_controls(crumbs, {}, artists(), controls, 9), controls, artists())
    assert short.startswith("controls.nonsense: 0 names of the 10 asked for")


def test_untrained_artists_say_who_vouches_for_them() -> None:
    table = untrained_controls(artists(Una_West="untrained_artist", Walt_Ash="background"), {"Una West": 4}, ROSTER, 9)
    assert tuple(table) == COLUMNS
    assert table["name"].tolist() == ["Una West"]
    assert table["why"][0].endswith("(source: a catalogue); 4 of 9 captions name it")
    assert untrained_controls(artists(), None, ROSTER, 0).empty
