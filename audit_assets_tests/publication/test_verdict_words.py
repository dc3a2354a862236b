"""What a verdict says in sentences follows from its rows, and never claims more."""

import json
from typing import Any

import pandas as pd
import pytest

from audit_assets.publication.words import argument, sent
from audit_assets.publication.words.copies import text
from audit_assets.publication.words.numbers import one_in, p_text, percent
from audit_assets.publication.words.verdicts import sentences, three_answers, withheld_images

ROW: dict[str, Any] = {
    "model_version": "sd", "encoder": "clip", "verdict": "imitated", "because": "The name steers the model, towards this artist's works.",
    "steers": "yes", "towards": "yes", "seen": "yes", "p_value": 0.002, "q_value": 0.01, "family": 12, "relation": "shared",
    "recombined_names": 9, "recombined_reaching": 1.0, "recombined_p": 0.2, "confusable": None, "encoders": 2,
    "encoders_imitated": 1, "encoders_above": 0, "encoders_auditable": 2,
}  # fmt: skip
STEERS: dict[str, Any] = {
    "question": "steers", "answer": "yes", "number": 0.005, "estimate": 0.8, "low": 0.49, "high": 0.94, "reason": "8 of 10 shown images.",
    "settle": "",
}  # fmt: skip


def said(*, alone: bool = False, copies: tuple[dict[str, Any], ...] = (), **changes: Any) -> str:
    return " ".join(sentences({**ROW, **changes}, "Ana Lima", 0.05, copies, alone=alone))


def test_an_imitated_artist_is_told_by_what_how_likely_by_chance_and_how_it_follows() -> None:
    text = said()
    assert "Ana Lima is imitated by sd under this protocol, according to clip." in text
    assert ROW["because"] in text
    assert "in about 1 in 500 cases (p of matching = 0.002)" in text
    assert "q = 0.010 allows for the 12 subjects that were compared with their works" in text
    assert "That concerns the list, not Ana Lima alone." in text
    assert "Of the 2 encoders of this audit, 2 can audit Ana Lima, and 1 finds an imitation." in text


@pytest.mark.parametrize(
    ("agree", "above", "found"),
    [
        (2, 2, "and 2 identify the name above controls, without a comparison with real works."),
        (2, 1, "and 1 finds an imitation and 1 identifies the name above controls, without"),
        (0, 0, "and 0 find an imitation."),
    ],
)
def test_encoders_that_compared_no_works_find_no_imitation(agree: int, above: int, found: str) -> None:
    text = said(verdict="identified above controls", encoders_imitated=agree, encoders_above=above)
    assert f"Of the 2 encoders of this audit, 2 can audit Ana Lima, {found}" in text


def test_an_artist_audited_alone_is_not_told_of_a_list() -> None:
    text = said(alone=True, q_value=None, family=1, encoders=1)
    assert "about 1 in 500" in text
    assert "the list" not in text
    assert "encoders of this audit" not in text


def test_an_artist_is_imitated_although_the_gate_says_no() -> None:
    because = "The name steers the model, towards this artist's works. The positive control matters for negatives only."
    text = said(seen="no", because=because)
    assert "Ana Lima is imitated by sd" in text
    assert because in text


def test_not_shown_is_called_no_acquittal() -> None:
    text = said(verdict="not shown to be imitated", steers="no", because="Neither experiment shows an imitation.")
    assert "This is no acquittal." in text
    assert "may show an imitation that this audit does not show" in text


def test_an_artist_who_cannot_be_audited_is_told_that_it_is_no_finding() -> None:
    text = said(verdict="not auditable", p_value=None, q_value=None, because="Identification could not be tested.")
    assert "neither an imitation nor the absence of one" in text
    assert "Identification could not be tested." in text


def test_an_answer_carries_its_number_reason_and_remedy() -> None:
    untested = {
        "question": "towards", "answer": "could not be tested", "number": None, "estimate": None, "low": None, "high": None,
        "reason": "4 other names have images.", "settle": "6 more control names.",
    }  # fmt: skip
    steers, towards, seen = three_answers([STEERS, untested], {**ROW, "p_value": None, "q_value": None})
    assert (steers.answer, steers.number) == ("yes", "80 % (49.0 – 94.0) of images identified; p = 0.005")
    assert (towards.answer, towards.number, towards.settle) == ("could not be tested", "–", "6 more control names.")
    assert (seen.answer, seen.reason) == ("not asked", "The audit has no real works of this artist.")


def test_an_encoder_without_text_is_not_asked_whether_the_name_steers() -> None:
    assert three_answers([], ROW)[0].reason == "This encoder reads no text, so it cannot identify a name."


def test_confusable_artists_recombined_names_copies_and_relation_stand_beside_the_verdict() -> None:
    copies = (
        {"what": "works of one artist", "other_name": "Ana Lima"},
        {"what": "works of two artists", "other_name": "Bo Dahl"},
        {"what": "a work and an image of the model", "other_name": "Ana Lima"},
    )
    text = said(confusable=["Bo Dahl", "Eve Moss"], copies=copies)
    assert "this artist or Bo Dahl or Eve Moss" in text
    assert "of 9 control names made of parts of the name Ana Lima, 1 is identified as often (p = 0.200" in text
    assert "Near-identical works count once." in text
    assert "Works of Ana Lima and of Bo Dahl are near-identical: 1 pair." in text
    assert "because the model may have made them" in text
    assert "They can agree for that reason alone" in text


@pytest.mark.parametrize(
    "verdict", ["imitated", "not shown to be imitated", "not auditable", "identified above controls"]
)
def test_no_verdict_speaks_of_infringement(verdict: str) -> None:
    assert not {"infring", "copied", "guilty", "stole"} & set(said(verdict=verdict).lower().split())


def test_a_name_that_turns_the_line_turns_no_more_than_itself() -> None:
    text = sentences(ROW, "\u202eGnol", 0.05)[0]
    assert "\u2068\u202eGnol\u2069 is imitated" in text
    assert "\u2068" not in said()


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.000508, "about 1 in 2,000"), (0.05, "about 1 in 20"), (1 / 60, "about 1 in 60"), (0.9, "90 in 100")],
)
def test_a_small_probability_is_said_as_one_in_many(p: float, words: str) -> None:
    assert one_in(p) == words


@pytest.mark.parametrize(
    ("p", "alpha", "shown"),
    [
        (0.0503, 0.05, "0.0503"), (0.05, 0.05, "0.050"), (0.0497, 0.05, "0.050"), (0.050003, 0.05, "0.050003"), (0.0104, 0.05, "0.0104"),
        (0.0332, 0.033, "0.0332"), (0.0332, 0.05, "0.033"), (0.2, 0.05, "0.200"), (0.00104, 0.05, "0.00104"), (0.0004, 0.05, "4.0e-04"),
    ],
)  # fmt: skip
def test_a_rounded_p_is_on_the_side_of_the_level_that_the_answer_is_on(p: float, alpha: float, shown: str) -> None:
    assert p_text(p, alpha) == shown
    assert (float(shown) <= alpha) == (p <= alpha)
    verdict = {"p_value": 0.02, "q_value": p, "test": "own_cell"}
    text = argument._towards({"answer": "no" if p > alpha else "yes", "number": p}, verdict, "Ana Lima", alpha)
    assert f"(q = {shown}), and answers yes if q is at most {alpha:g}." in text


def test_a_share_of_just_over_half_is_no_half() -> None:
    assert "in 50.1 % of these trials, more than half" in argument.could_see(
        {"answer": "yes", "number": 0.501}, {"test": "own_cell"}, "Ana Lima", 0.05
    )
    assert [percent(share, 0) for share in (0.5, 0.499, 0.51)] == ["50 %", "50 %", "51 %"]


PROMPT = "Artwork from Ada Brandvold"


def images(*rows: tuple[int, str | None, int | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["template", "prompt", "seed", "status"])


def version(settings: dict[str, Any] | None = None, source: str = "diffusers") -> dict[str, Any]:
    said = None if settings is None else json.dumps(settings)
    return {"model_version": "one", "source": source, "generation_settings": said}


def test_a_model_was_asked_for_what_was_asked_and_not_for_what_was_never_supplied() -> None:
    rows = images((0, PROMPT, 7, "ok"), (0, PROMPT, 8, "blank"))
    drawn = argument.asked(rows, "Ada Brandvold", version({"steps": 8, "negative_prompt": None}))
    assert drawn[0] == f"one was asked 2 times with the words “{PROMPT}”."
    assert drawn[1] == "The audit sent no other words."
    assert "fixed before the audit" in drawn[2]
    absent = [(0, None, None, "not_supplied")] * 6
    supplied = images((0, PROMPT, 7, "ok"), (0, PROMPT, 7, "ok"), (0, None, None, "ok"), *absent)
    found = argument.asked(supplied, "Ada Brandvold", version(source="image_folder"))
    assert "was asked 2 times" in found[0]
    assert "for 1 image is not known" in found[1]
    assert "does not know what else the model was given" in found[2]
    assert not any("6" in sentence or "fixed before" in sentence or "no other words" in sentence for sentence in found)
    (none,) = argument.asked(images(*absent), "Ada Brandvold", version({}))
    assert "was not asked" in none


HEARD_MORE = (
    (version({"negative_prompt": "blurry, signature"}), "the negative prompt “blurry, signature”"),
    (version({"model": "m-1", "size": "512x512", "style": "vivid", "hd": True}, "api"), "With each prompt the audit sent the setting style “vivid”."),
    (version({"model": "m-1"}, "api"), "What the server adds to them is not known."),
    (version(source="image_folder"), "It does not know what else the model was given, such as a negative prompt."),
    (version(), "The database does not record what else the audit sent."),
)  # fmt: skip


@pytest.mark.parametrize(("row", "said"), HEARD_MORE)
def test_what_a_model_was_given_beside_its_prompts_is_said_and_never_called_nothing(
    row: dict[str, Any], said: str
) -> None:
    page = argument.asked(images((0, PROMPT, 7, "ok")), "Ada Brandvold", row)
    report = sent.lead(prompts(("Ada Brandvold", PROMPT)), TEMPLATES, row)
    for text_of in (" ".join(page), " ".join(report)):
        assert said in text_of
        assert "nothing else" not in text_of


TEMPLATES = ["Artwork from {name}"]


def prompts(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "prompt"])


def test_the_lead_of_a_report_says_how_the_model_was_asked() -> None:
    plain = [("Bo", "Artwork from Bo"), ("J. C. Eve", "Artwork from J. C. Eve")]
    asked, beside = sent.lead(prompts(*plain), TEMPLATES, version({}))
    assert (
        asked
        == "The model was asked for each artist with the words “Artwork from {name}”, where {name} is the artist's name."
    )
    assert beside == "The audit sent no other words."
    adds, instead = ("Cy", "Artwork from Cy, sks style"), ("Di", "Artwork from dixyz")
    first, added, other, *_ = sent.lead(prompts(*plain, adds, instead), TEMPLATES, version({}))
    assert first.startswith("The model was asked for 2 artists with")
    assert (
        added
        == "For 1 artist, the audit file adds words to the name: the model was asked for Cy with “Artwork from Cy, sks style”."
    )
    assert other.startswith(
        "For 1 artist, the audit file has other words in place of the name: the model was asked for Di with “Artwork from dixyz”."
    )
    (only, _) = sent.lead(prompts(plain[0]), TEMPLATES, version({}), one="Bo")
    assert only == "The model was asked for the artist with the words “Artwork from Bo”."


def test_the_page_of_an_artist_who_was_asked_for_by_a_trigger_word_says_that_the_name_was_not_given() -> None:
    said = argument.asked(images((0, "Artwork from adabrv", 7, "ok")), "Ada Brandvold", version({}))
    assert said[:2] == [
        "one was asked once with the words “Artwork from adabrv”; the name is not among them.",
        "What this page says of the name was found with these words.",
    ]


def test_one_image_of_a_kind_has_words_for_one() -> None:
    rows = images((0, PROMPT, 1, "ok"), (0, PROMPT, 2, "blank"), (0, PROMPT, 3, "copy"), (0, PROMPT, 4, "refused"))
    said = argument.came(rows)
    assert all(one in said for one in ("1 shows", "1 is blank", "1 repeats", "1 was withheld"))
    assert withheld_images(rows["status"].tolist())[-1].startswith("It shows nothing")
    assert withheld_images(["ok", "refused", "refused"])[-1].startswith("They show nothing")
    assert text(1, 1, 1).startswith("1 image was")


@pytest.mark.parametrize(
    ("by_names_alone", "than"), [(True, "images of other names do"), (False, "works of other artists")]
)
def test_the_second_answer_of_all_artists_says_what_the_images_were_compared_with(
    by_names_alone: bool, than: str
) -> None:
    ((_, _, said),) = argument.counted_answers(["towards"] * 2, ["yes", "no"], by_names_alone=by_names_alone)
    assert f"{than}: yes for 1 of 2 artists, no for 1" in said
