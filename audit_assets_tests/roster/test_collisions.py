"""The name-collision flag: whom a caption seems to mean."""

import pyarrow as pa
import pytest

from audit_assets.roster.normalise import words
from audit_assets.roster.proposals.collisions import collisions, whom
from audit_assets.roster.proposals.contexts import words_of
from audit_assets_tests.roster.real_data import real_captions


@pytest.mark.parametrize(
    ("caption", "verdict"),
    [
        ("Walt Disney World at night", "someone_else"),
        ("Walt Disney", "unclear"),
        ("walt disney", "unclear"),
        ("Drawing by Walt Disney, 1930", "art"),
        ("WALT DISNEY oil painting", "art"),
        ("young walt disney actor", "someone_else"),
        ("the Sir Walt Disney street", "someone_else"),
        ("Mickey sketch, Walt Disney", "art"),
        ("song by Walt Disney", "someone_else"),
        ("Walt Disney's castle", "unclear"),
    ],
)
def test_whom_a_caption_means(caption: str, verdict: str) -> None:
    assert whom(caption, [("walt", "disney")]) == verdict


def test_names_of_others_are_flagged_with_captions_to_look_at() -> None:
    captions = ["David Bowie tickets", "David Bowie vinyl", "poster by David Bowie", "Art by Ada", "Ada", None]
    names = {"bowie": ["David Bowie"], "ada": ["Ada"], "nobody": ["Nobody"]}
    table = collisions([pa.record_batch({"text": pa.array(captions)})], names).set_index("key")
    assert table["flagged"].to_dict() == {"bowie": True, "ada": False, "nobody": False}
    assert table.loc[["bowie"], ["examined", "art", "someone_else", "unclear"]].to_numpy().tolist() == [[3, 1, 2, 0]]
    assert table.loc["bowie", "samples"] == captions[:2]
    assert table.loc["ada", "samples"] == ["Ada"]
    assert collisions([], {}).empty


def test_only_the_first_captions_of_a_name_are_examined() -> None:
    rows = [pa.record_batch({"text": pa.array(["art by Ada"] * 10)})] * 3
    assert collisions(rows, {"ada": ["Ada"]}, examined=15)["examined"].tolist() == [15]


def test_words_have_the_tokens_of_the_caption() -> None:
    for caption in [*real_captions()[:2000], "a 's b", "x\u00a0's\u2003é ㈠ '", "\u0301 ' s"]:
        assert [token for word in words_of(caption) for token in word.tokens] == words(caption)
