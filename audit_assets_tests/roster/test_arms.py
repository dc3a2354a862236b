"""Other ways to ask: spellings by stated rules, and who is asked what in an arm."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.config import Arm, Protocol
from audit_assets.roster.arms import CONTROL_PROMPT, Asked, asked_in, literal
from audit_assets.roster.normalise import tokens
from audit_assets.roster.spellings import misspelt, transliterated

PROTOCOL = Protocol(name="p", templates=("Artwork from {name}",), seed=5)


def subjects(*rows: dict) -> pd.DataFrame:
    defaults: dict = {
        "kind": "artist", "shares_name_parts": None, "locale": "", "indirect_prompt": "", "indirect_prompts": [], "translated": "",
        "titles": [], "described_as": "",
    }  # fmt: skip
    table = pd.DataFrame([defaults | {"subject": row["name"].lower().replace(" ", "-")} | row for row in rows])
    return table.astype({"shares_name_parts": "boolean"})


def control(name: str, **more: object) -> dict:
    return {"name": name, "kind": "random_name", "shares_name_parts": False, **more}


def arm(way: str, *templates: str, **more: object) -> Arm:
    return Arm.model_validate({"name": way, "way": way, "templates": templates or ("Artwork from {name}",), **more})


def of(found: list[Asked], subject: str) -> Asked:
    return next(one for one in found if one.subject == subject)


# ---- spellings
def test_a_misspelling_is_one_exchange_or_one_loss_and_the_same_each_time() -> None:
    found = {misspelt("Ada Brandvold", seed=seed) for seed in range(60)}
    assert len(found) > 8
    for one in found:
        assert one is not None
        assert one.startswith("A")
        lost, exchanged = len(one) == len("Ada Brandvold") - 1, sorted(one) == sorted("Ada Brandvold")
        assert lost != exchanged
    assert misspelt("Ada Brandvold", seed=3) == misspelt("Ada Brandvold", seed=3)


def test_a_name_of_short_words_cannot_be_misspelt() -> None:
    assert misspelt("Bo Li", seed=1) is None


def test_a_misspelling_is_never_another_name() -> None:
    every = {tuple(tokens(one)) for one in (misspelt("Ann", seed=s) for s in range(50)) if one}
    assert every == {("an",)}  # Ann: the neighbours are equal, so only a loss changes it
    assert misspelt("Ann", seed=1, taken=every) is None


@given(st.text(max_size=40), st.integers(0, 2**31))
def test_any_text_is_misspelt_into_other_words_or_not_at_all(name: str, seed: int) -> None:
    found = misspelt(name, seed=seed)
    assert found is None or (tokens(found) and tokens(found) != tokens(name))


@given(st.text(max_size=40))
def test_a_transliteration_is_ascii_and_stays_as_it_is(name: str) -> None:
    found = transliterated(name)
    assert found.isascii()
    assert transliterated(found) == found


def test_marks_stay_with_their_letter() -> None:
    assert all("\u0301" not in one[:1] for s in range(40) if (one := misspelt("Zoe\u0301 Abc", seed=s)))


# ---- who is asked
def test_control_names_are_misspelt_by_the_same_rule() -> None:
    own = subjects({"name": "Ada Brandvold"}, control("Kari Nordmann"), control("Bo Li"))
    found = asked_in(arm("misspelt"), own, PROTOCOL)
    assert [one.kind for one in found] == ["artist", "random_name", "random_name"]
    assert found[0].prompts == (f"Artwork from {misspelt('Ada Brandvold', seed=5)}",)
    assert found[1].prompts == (f"Artwork from {misspelt('Kari Nordmann', seed=5)}",)
    assert found[2].prompts == ()
    assert "three letters" in found[2].problem


def test_a_name_in_ascii_cannot_be_asked_for_by_transliteration() -> None:
    own = subjects(
        {"name": "Ada Brandvold"}, {"name": "Иван Шишкин", "subject": "ivan"}, control("Пётр Орлов", subject="petr")
    )
    found = asked_in(arm("transliterated"), own, PROTOCOL)
    assert "nothing changes" in of(found, "ada-brandvold").problem
    assert of(found, "ivan").prompts == ("Artwork from Ivan Shishkin",)
    assert of(found, "petr").prompts == ("Artwork from Petr Orlov",)


def test_a_translation_is_what_the_table_says_and_controls_stay() -> None:
    own = subjects({"name": "Raffaello", "translated": "Raphael"}, {"name": "Ada Brandvold"}, control("Kari Nordmann"))
    found = asked_in(arm("translated"), own, PROTOCOL)
    assert of(found, "raffaello").prompts == ("Artwork from Raphael",)
    assert "`translated`" in of(found, "ada-brandvold").problem
    assert of(found, "kari-nordmann").prompts == ("Artwork from Kari Nordmann",)


def test_titles_go_with_the_name_and_controls_get_titles_of_the_artists() -> None:
    own = subjects({"name": "Ada Brandvold", "titles": ["Fjord", "Dusk {name}"]}, control("Kari Nordmann"))
    found = asked_in(arm("titled", "{title} by {name}"), own, PROTOCOL)
    assert of(found, "ada-brandvold").prompts == ("Fjord by Ada Brandvold", "Dusk {name} by Ada Brandvold")
    assert of(found, "kari-nordmann").prompts[0] in ("Fjord by Kari Nordmann", "Dusk {name} by Kari Nordmann")
    bare = asked_in(
        arm("titled", "{title} by {name}"), subjects({"name": "Ada Brandvold"}, control("Kari Nordmann")), PROTOCOL
    )
    assert all("`titles`" in one.problem for one in bare)


def test_descriptions_have_other_prompts_as_controls() -> None:
    own = subjects(
        {"name": "Ada Brandvold", "indirect_prompt": "red boats", "indirect_prompts": ["a blue harbour"]},
        {"name": "Bo Sample", "indirect_prompt": "a picture in the manner of Bo Sample"},
        {"name": "Cy None"},
        control("Kari Nordmann"),
    )
    found = asked_in(arm("described", "{name}", control_words=["Red boats", "a green hill"]), own, PROTOCOL)
    assert of(found, "ada-brandvold").prompts == ("red boats", "a blue harbour")
    assert "name the artist" in of(found, "bo-sample").problem
    assert "`indirect_prompt`" in of(found, "cy-none").problem
    controls = [one for one in found if one.kind == CONTROL_PROMPT]
    assert [one.prompts for one in controls] == [("a green hill",)]  # the artist's own words are no control
    assert "kari-nordmann" not in {one.subject for one in found}


def test_a_template_that_names_the_artist_beside_the_description_is_not_asked() -> None:
    own = subjects({"name": "Bo Sample", "prompt_name": "sks", "indirect_prompt": "red boats"})
    for template in ("{name} by Bo Sample", "{name}, sks"):
        (found,) = asked_in(arm("described", template), own, PROTOCOL)
        assert "name the artist" in found.problem
        assert found.prompts == ()


def test_a_class_is_asked_for_without_the_name() -> None:
    own = subjects({"name": "Ada Brandvold", "described_as": "a Norwegian illustrator"}, {"name": "Cy None"})
    found = asked_in(arm("classed", "In the style of {name}"), own, PROTOCOL)
    assert found[0].prompts == ("In the style of a Norwegian illustrator",)
    assert "`described_as`" in found[1].problem


def test_an_unprompted_arm_asks_for_nobody() -> None:
    found = asked_in(arm("unprompted", "Artwork", "A picture"), subjects({"name": "Ada Brandvold"}), PROTOCOL)
    assert [(one.subject, one.prompts) for one in found] == [
        ("prompt.001", ("Artwork",)),
        ("prompt.002", ("A picture",)),
    ]


def works(**numbers: int) -> dict[str, list[str]]:
    return {subject: [f"{subject} {n}" for n in range(number)] for subject, number in numbers.items()}


def test_the_first_works_of_artists_are_given_and_those_of_some_of_the_background() -> None:
    own = subjects(
        {"name": "Old", "kind": "background"},
        {"name": "Ada"},
        {"name": "Bo", "kind": "untrained_artist"},
        {"name": "Few"},
        control("Kari Nordmann"),
        {"name": "Older", "kind": "background"},
        {"name": "Oldest", "kind": "background"},
    )
    given = arm("reference_image", "a picture", "a drawing", works=2, controls=1)
    found = asked_in(given, own, PROTOCOL, works=works(old=4, ada=9, bo=5, few=4, older=6, oldest=7))
    assert [(one.subject, one.kind) for one in found] == [
        ("ada", "artist"), ("bo", "untrained_artist"), ("few", "artist"), ("older", "background"),
    ]  # fmt: skip
    assert of(found, "ada").prompts == ("a picture", "a drawing") * 2
    assert of(found, "ada").uploads == ("ada 0", "ada 0", "ada 1", "ada 1")
    assert of(found, "few").uploads == of(found, "few").prompts == ()
    assert "4 real works" in of(found, "few").problem
    assert "add 1 works" in of(found, "few").problem


def test_an_artist_without_works_cannot_be_asked_by_one() -> None:
    (one,) = asked_in(arm("reference_image", "a picture"), subjects({"name": "Ada"}), PROTOCOL)
    assert "0 real works" in one.problem


def test_other_works_and_another_strength_make_other_images() -> None:
    given = [Asked("ada", "artist", ("a",), "", "", (work,)) for work in ("one", "other")]
    hashes = {
        literal(arm("reference_image", "a", strength=s), one).generation_hash for s in (0.5, 0.6) for one in given
    }
    assert len(hashes) == 4
    plain = literal(arm("unprompted", "a"), Asked("prompt.001", "control_prompt", ("a",), "", ""))
    assert (plain.upload(0), literal(arm("reference_image", "a"), given[0]).upload(0)) == ("", "one")


def test_only_so_many_control_names_of_each_origin_are_asked() -> None:
    own = subjects(
        {"name": "Ada Brandvold"},
        {"name": "Иван Шишкин", "subject": "ivan"},
        *(control(f"Kari Nord{a}{b}") for a in "abc" for b in "xyz"),
        *(control(f"Пётр Орл{a}", subject=f"p{a}") for a in "абвг"),
        control("Share Part", shares_name_parts=True),
    )
    found = asked_in(arm("misspelt", controls=3), own, PROTOCOL)
    kinds = [one.subject for one in found if one.kind == "random_name"]
    assert len(kinds) == 6
    assert len([s for s in kinds if s.startswith("kari")]) == 3
    assert "share-part" not in kinds


def test_words_around_a_name_stay_around_it() -> None:
    found = asked_in(arm("misspelt"), subjects({"name": "Ada Brandvold"}), PROTOCOL, lambda name: f"{name}, sks style")
    assert found[0].prompts[0].endswith(", sks style")


def test_the_prompts_of_one_subject_are_a_protocol() -> None:
    one = Asked("ada", "artist", ("red {name} boats", "a harbour"), "", "")
    made = literal(arm("described", "{name}", trials=7), one)
    assert made.wordings("Ada") == {0: ("red {name} boats", "red {name} boats"), 1: ("a harbour", "a harbour")}
    assert made.trials == 7
    assert made.generation_hash != literal(arm("described", "{name}", trials=5), one).generation_hash


# ---- what a protocol may say
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"way": "misspelt", "templates": ["Artwork"]}, "must contain {name} once"),
        ({"way": "titled", "templates": ["Art by {name}"]}, "must contain {title} once"),
        ({"way": "unprompted", "templates": ["Art by {name}"]}, "no brace"),
        ({"way": "misspelt", "templates": ["{name}"], "control_words": ["a hill"]}, "control_words belong to"),
        ({"way": "classed", "templates": ["{name}"], "control_words": ["a hill", "A  hill"]}, "twice"),
        ({"way": "misspelt", "templates": ["{name}", "{name}"]}, "twice"),
        ({"way": "reference_image", "templates": ["Art by {name}"]}, "no brace"),
        ({"way": "misspelt", "templates": ["{name}"], "strength": 0.5}, "belongs to the way reference_image"),
        ({"way": "unprompted", "templates": ["art"], "works": 3}, "belongs to the way reference_image"),
        ({"way": "reference_image", "templates": ["art"], "works": None}, "needs a number"),
        ({"way": "reference_image", "templates": ["art"], "strength": 0}, "greater than 0"),
    ],
)
def test_an_arm_that_cannot_be_asked_is_refused_with_the_reason(content: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("{", r"\{").replace("}", r"\}")):
        Arm.model_validate({"name": "a", **content})


def test_a_protocol_without_arms_is_recorded_as_before() -> None:
    assert "arms" not in PROTOCOL.model_dump()
    assert "arms" not in PROTOCOL.model_dump(mode="json")
    with_arms = Protocol.model_validate({**PROTOCOL.model_dump(), "arms": [arm("misspelt").model_dump()]})
    assert with_arms.model_dump()["arms"][0]["way"] == "misspelt"
    assert {"works", "strength"} & with_arms.model_dump()["arms"][0].keys() == set()
    given = Protocol.model_validate({**PROTOCOL.model_dump(), "arms": [arm("reference_image", "a").model_dump()]})
    assert given.model_dump(mode="json")["arms"][0]["strength"] == 0.6
    assert with_arms.generation_hash == PROTOCOL.generation_hash
    assert with_arms.measurement_hash == PROTOCOL.measurement_hash
