"""What a verdict says in sentences follows from its row, and never claims more."""

from typing import Any

import pytest

from audit_assets.publication.words.verdicts import sentences

ROW: dict[str, Any] = {
    "model_version": "sd", "encoder": "clip", "verdict": "imitated", "gap": 0.2, "gap_low": 0.1, "real_works": 5,
    "nearest_name": "Bo Dahl", "identified": 8, "images": 10, "identified_needed": 2, "label_set": "criteria", "labels": 73,
    "own_rank_p": 0.009, "own_rank_q": 0.01, "auc": 0.9, "auc_low": 0.7, "auc_high": 0.97, "p_leave_one_out": 0.02,
    "unreachable": False, "encoders_imitated": 1, "encoders_auditable": 2,
}  # fmt: skip


def said(**changes: Any) -> str:
    return " ".join(sentences({**ROW, **changes}, "Ana Lima", 0.05))


def test_an_imitated_artist_is_told_how_many_images_how_likely_and_how_sure() -> None:
    text = said()
    assert "sd can imitate Ana Lima by name under this protocol, as far as clip can tell." in text
    assert "Of 10 images made from the name, it took 8 for Ana Lima" in text
    assert "80 %, 95 % interval 49 to 94 %" in text
    assert "q = 0.010" in text
    assert "0.90 (0.70 – 0.97)" in text
    assert "at most 5 in 100" in text
    assert "at most 10 in 100" in " ".join(sentences(ROW, "Ana Lima", 0.1))
    assert "1 of 2 encoders that can audit Ana Lima finds an imitation." in text


def test_not_shown_is_called_no_acquittal() -> None:
    text = said(verdict="not shown to be imitated", own_rank_p=0.5, own_rank_q=0.6, identified=0)
    assert "That is no acquittal." in text
    assert "0 %, 95 % interval 0 to 28 %" in text
    assert "do not rank among the likest" in text


def test_where_no_outcome_could_have_said_otherwise_that_is_said() -> None:
    text = said(verdict="not shown to be imitated", unreachable=True, own_rank_p=0.1, own_rank_q=0.1)
    assert "even the first place would not count" in text
    assert "do not rank" not in text
    assert "more artists with real works are needed" in text


@pytest.mark.parametrize(
    ("gap", "low", "reason"), [(0.05, -0.01, "cannot tell the 5 real works"), (None, None, "too few real works")]
)
def test_an_artist_who_cannot_be_audited_is_told_why(gap: float | None, low: float | None, reason: str) -> None:
    text = said(verdict="not auditable", gap=gap, gap_low=low)
    assert "not a finding in either direction" in text
    assert reason in text


def test_an_encoder_without_a_text_side_rests_on_likeness() -> None:
    text = said(identified=None, identified_needed=None, label_set=None, labels=None)
    assert "rests on likeness alone" in text
    assert "nan" not in text.lower()
    assert "none" not in text.lower().replace("0.5: none", "")


@pytest.mark.parametrize(
    "verdict", ["imitated", "not shown to be imitated", "not auditable", "identified above controls"]
)
def test_no_verdict_speaks_of_infringement(verdict: str) -> None:
    assert not {"infring", "copied", "guilty", "stole"} & set(said(verdict=verdict).lower().split())


def test_a_name_that_turns_the_line_turns_no_more_than_itself() -> None:
    text = sentences(ROW, "\u202eGnol", 0.05)[0]
    assert "\u2068\u202eGnol\u2069 by name" in text
    assert "\u2068" not in said()
