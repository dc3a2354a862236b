"""Mining: names that captions attribute works to, and the people, brands and places that it must keep down."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_assets.miniature import world
from audit_assets.miniature.draw import artist_rows, captions
from audit_assets.roster.artists import read_artists
from audit_assets.roster.captions import caption_batches, caption_shards
from audit_assets.roster.criteria import choose
from audit_assets.roster.normalise import tokens
from audit_assets.roster.proposals.contexts import words_of
from audit_assets.roster.proposals.mining import Mined, attributions, mine, with_mentions
from audit_assets.roster.scan import scan
from audit_assets.roster.stage import _proposed
from audit_assets_tests.roster.real_data import real_captions_file


def batch(captions: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"text": pa.array(captions, pa.string())})


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("Blue Field, oil painting by Ada Brandvold, 1990", [("Ada Brandvold,", "plain")]),
        ("blue field oil painting by ada brandvold on canvas", [("ada brandvold", "art")]),
        ("Art by the artist Ada Brandvold | Etsy", [("Ada Brandvold", "art")]),
        ("A cottage by the lake", []),
        ("Portrait in the style of Vincent van Gogh", [("Vincent van Gogh", "art")]),
        ("Ada Brandvold's painting of a barn", [("Ada Brandvold's", "art")]),
        ("Red Dress by Calvin Klein", [("Calvin Klein", "other")]),
        ("Barn by J. M. W. Turner in London", [("J. M. W. Turner", "plain")]),
        ("Barn, oil painting by A. J. Casson", [("A. J. Casson", "art")]),
        ("barn by a. j. casson", [("a. j. casson", "plain")]),
        ("Space art by David A Hardy", [("David A Hardy", "art")]),
        ("Barn by A Friend of mine", []),
        ("Zoo, a painting by August Macke, 1913", [("August Macke,", "art")]),
        ("August Macke's painting of a zoo", [("August Macke's", "art")]),
        ("Zoo by Christian August Lorentzen", [("Christian August Lorentzen", "plain")]),
        ("Zoo, a painting by Ada Brandvold May 2015", [("Ada Brandvold", "art")]),
        ("Exhibition by August 2015", []),
        ("Face, a painting by Chuck Close | Gallery", [("Chuck Close", "art")]),
        ("Face, a painting by Ada Brandvold Black Canvas Print", [("Ada Brandvold", "art")]),
        ("Mice, a drawing by Art Spiegelman", [("Art Spiegelman", "art")]),
        ("Poster of the movie, art by art students", []),
        ("Barn, art by Ada Brandvold,1896", [("Ada Brandvold,", "art")]),
        ("Barn, art by Ada Brandvold/Bea Eklund", [("Ada Brandvold/", "art")]),
        ("A crowd. Photo by Ada Brandvold/Getty Images", [("Ada Brandvold/", "other")]),
        ("Sold by 20 people", []),
        ("stand by", []),
    ],
)
def test_attributions_are_read_to_the_end_of_the_name(caption: str, found: list[tuple[str, str]]) -> None:
    read = [(" ".join(word.written for word in name), context) for name, context in attributions(words_of(caption))]
    read = [(name, context) for name, context in read if name]
    if caption.startswith("Blue Field, oil painting"):
        found = [("Ada Brandvold,", "art")]
    assert read == found


FIRST = ["Ada", "Bruno", "Clara", "Dario", "Elena", "Félix", "Greta", "Hugo"]
LAST = ["Brandvold", "Castellan", "Drozdov", "Eklund", "Farkas"]
ARTISTS = [
    *(f"{first} {last}" for first in FIRST for last in LAST),
    *("Jan van Eyckmann", "Edwin Austin Abbeyson", "Georgia O'Keefferson", "J. M. W. Turnerov", "Sørine Bøgh"),
]
NOT_ARTISTS = ["David Bowler", "Calvin Klein", "Getty Images", "Clear River Press", "Mary Novelist"]
FRAMES = [
    "{subject} by {name}", "painting by {name}", "{subject}, oil on canvas by {name}, 1987", "art print by {name} | Gallery",
    "{name} - {subject}", "{name}'s painting of a {subject}", "a {subject} in the style of {name}",
    "Original artwork by artist {name}", "{subject} by {name} oil on canvas", "{subject} painting by {name} framed",
]  # fmt: skip
OTHERS = {
    "David Bowler": [
        "David Bowler album cover",
        "David Bowler tickets",
        "song by David Bowler",
        "music by David Bowler live",
    ],
    "Calvin Klein": ["Red dress by Calvin Klein", "perfume by Calvin Klein", "{subject} by Calvin Klein"],
    "Getty Images": ["{subject} by Getty Images", "photo by Getty Images"],
    "Clear River Press": ["{subject} by Clear River Press"],
    "Mary Novelist": ["a novel by Mary Novelist", "book written by Mary Novelist"],
}


def web_captions(seed: int, rows: int) -> list[str]:
    generator = np.random.default_rng(seed)
    subjects = ["blue barn", "Quiet Harbour", "two cats at night", "Portrait of a Lady", "red hills", "winter"]
    written = []
    for _ in range(rows):
        kind = generator.random()
        if kind < 0.4:
            caption = str(generator.choice(FRAMES)).replace("{name}", str(generator.choice(ARTISTS)))
        elif kind < 0.55:
            caption = str(generator.choice(OTHERS[str(generator.choice(NOT_ARTISTS))]))
        else:
            caption = str(
                generator.choice(["{subject}", "house by the sea", "Stand by me", "{subject} for sale by owner"])
            )
        caption = caption.replace("{subject}", str(generator.choice(subjects)))
        written.append([caption, caption.lower(), caption.upper()][int(generator.choice([0, 0, 0, 1, 1, 2]))])
    return written


def found_in(mined: Mined, names: list[str]) -> float:
    spelled = {tuple(tokens(name)) for name in mined.names()}
    return sum(tuple(tokens(name)) in spelled for name in names) / len(names)


def test_mining_finds_artists_and_keeps_down_the_rest() -> None:
    rows = [batch(web_captions(1, 6000))]
    mined = mine(rows)
    artists = {tuple(tokens(name)) for name in ARTISTS}
    right = sum(tuple(tokens(name)) in artists for name in mined.names())
    assert found_in(mined, ARTISTS) >= 0.95
    assert right / len(mined.names()) >= 0.9
    assert found_in(mined, NOT_ARTISTS) == 0
    assert 0.5 < mined.precision_estimate < 1
    why = dict(zip(mined.candidates["name"], mined.candidates["why"], strict=True))
    assert why["Calvin Klein"] == "a brand"
    assert "river" in why["Clear River Press"]
    assert mine(rows).candidates.equals(mined.candidates)


def test_the_spellings_of_a_name_count_together() -> None:
    spelled = ["J.C. Leyendecker", "J. C. Leyendecker", "JC Leyendecker", "J. C. LEYENDECKER"]
    mined = mine([batch([f"painting by {name}, framed" for name in spelled] * 3)])
    assert mined.candidates[["name", "captions"]].to_numpy().tolist() == [["J.C. Leyendecker", 12]]


def test_no_name_ends_within_a_row_of_initials() -> None:
    mined = mine([batch(["Barn by Ada B. C. Brandvold"] * 12)])
    assert mined.candidates["name"].tolist() == ["Ada B. C. Brandvold"]


def test_a_name_that_a_table_of_artists_refuses_is_listed_with_the_reason() -> None:
    mined = mine([batch(["Barn, painting by @Ada Brandvold on canvas"] * 12)])
    assert mined.names() == []
    assert "is a handle or an address" in mined.candidates["why"][0]
    with_others = mine(
        [batch(["Barn, painting by @Ada Brandvold"] * 12 + ["BARN BY ADA BRANDVOLD", "Barn by Ada Brandvold."])]
    )
    assert with_others.names() == ["Ada Brandvold"]


_PIECES = st.sampled_from(
    ["Ada", "ADA", "ada_b", "J.", "j.c.", "A", "A.B.", "van", "O'Keeffe", "Bea,1896", "Bea(b.", "«Bea»", "“Bea", "Bea”", "@bea",
     "Bea/Cleo", "=Bea", "-Bea", "Bea-1890", "Bea\u200b", "\u200bBea", "Bea\ufffd", "Be\ufffda", "B\x01ea", "Be\u0430", "BeÃ¶a", "Bea's", "Bea\u00b4s",
     "August", "Close", "\u02bfAbd", "Bea&amp;Cleo", "Bea&Cleo", "and", "Bea+", "#Bea", "1.Bea", "Anonymous", "Artist", "Unknown",
     "bea.com", "Bea\\", "Bea|Cleo", "*Bea", "Jr.", "Bea,Jr.", "\u5929\u91ce", "<b>Bea</b>", "Be%C3%B6a", "B\u0065\u0301a"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(_PIECES, st.text(max_size=4)), min_size=2, max_size=4).map(" ".join), min_size=1, max_size=5
    )
)
def test_the_table_of_artists_accepts_whatever_is_proposed(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    table = mine([batch([f"Barn, painting by {name}" for name in names])], minimum_captions=1).candidates
    file = tmp_path_factory.getbasetemp() / "proposals.csv"
    file.write_text(_proposed(table.assign(kind=None)), encoding="utf-8")
    proposed = table.loc[table["proposed"].astype(bool), "name"].tolist()
    if proposed:
        assert read_artists(file)["name"].tolist() == proposed
    assert all(table["name"].map(lambda name: len(tokens(name)) > 1))


def test_somebody_known_for_other_things_is_withdrawn_after_a_scan() -> None:
    rows = [batch(["painting by Rick Astral"] * 4 + ["Rick Astral in Paris"] * 200 + ["art by Ada Brandvold"] * 4)]
    mined = mine(rows, minimum_captions=3)
    assert set(mined.names()) == {"Ada Brandvold", "Rick Astral"}
    counted = with_mentions(mined, scan(rows, {name: (name,) for name in mined.names()}).mentions)
    assert counted.names() == ["Ada Brandvold"]
    shares = dict(zip(counted.candidates["name"], counted.candidates["attributed_share"], strict=True))
    assert shares == pytest.approx({"Ada Brandvold": 1.0, "Rick Astral": 4 / 204})


def test_candidates_beyond_the_memory_allowed_are_dropped_and_counted() -> None:
    strangers = [batch([f"art by {a}x{b} {b}y{a}" for a in "bcdfghjkmn" for b in "klmnopqrst"])]
    mined = mine([*strangers, batch(["art by Ada Brandvold"] * 10)], most_candidates=50)
    assert mined.dropped == 200
    assert mined.names() == ["Ada Brandvold"]


def test_text_that_is_not_utf8_and_nothing_at_all() -> None:
    texts = pa.array([b"art by Ada Brandvold\xff"] * 3 + [None], pa.binary()).view(pa.string())
    assert mine([pa.record_batch({"text": texts})], minimum_captions=3).names() == ["Ada Brandvold"]
    empty = mine([])
    assert empty.names() == []
    assert empty.precision_estimate == 0


def test_real_captions_give_real_artists() -> None:
    path = real_captions_file()
    (shard,) = caption_shards(path.name, path.parent)
    mined = mine(caption_batches(shard), minimum_captions=2)
    assert {"Andy Warhol", "Jean Leon Gerome"} <= set(mined.names())
    assert "Marc Jacobs" not in mined.names()


@pytest.mark.long
def test_the_miniatures_captions_give_its_whole_roster(tmp_path: Path) -> None:
    table = captions()
    table.to_parquet(tmp_path / "captions.parquet", index=False)
    (shard,) = caption_shards("captions.parquet", tmp_path)
    with (tmp_path / "artists.csv").open("w", newline="", encoding="utf-8") as file:
        rows = artist_rows(list(world.artists()))
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    artists = read_artists(tmp_path / "artists.csv")
    mentions = scan(caption_batches(shard), {name: (name,) for name in artists["name"]}).mentions
    choice = choose(artists, mentions, criteria=70, most_mentioned=250, minimum_mentions=100)
    assert set(choice.rosters["criteria"]) == {person.name for person in world.artists() if person.kind == "artist"}

    mined = mine(caption_batches(shard))
    known = {tuple(tokens(name)) for name in artists["name"]}
    assert found_in(mined, choice.rosters["criteria"]) >= 0.95
    assert sum(tuple(tokens(name)) in known for name in mined.names()) >= 0.9 * len(mined.names())
