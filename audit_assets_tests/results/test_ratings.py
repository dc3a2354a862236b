"""Packets of human raters, and the files of answers that come back: sound, unsound, and of somebody else."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.publication import packets
from audit_assets.publication.packets import export, in_words
from audit_assets.results.copies import copies_of
from audit_assets.results.rating_answers import checksum, read_answers, take
from audit_assets.results.rating_questions import Wanted, ask_the_same, key_of, questions, without_answer
from audit_assets.results.ratings import OTHER_PICTURES, RATINGS, agreed, rated, still_shown, verdicts_of_raters
from audit_assets.results.recipe import is_made
from audit_assets.results.recipe import made as made_tables
from audit_assets.results.stage import ResultStage
from audit_assets.workspace import Workspace

ABOUT = {"protocol": "p", "model_version": "m"}


def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Two artists and 21 control names with 20 images each, one of which is a near copy; five works per artist."""
    names = ["artist-0", "artist-1", *(f"name-{i}" for i in range(21))]
    subjects = pd.DataFrame(
        {"subject": names, "name": [n.title() for n in names], "kind": ["artist"] * 2 + ["random_name"] * 21, "locale": "",
         "shares_name_parts": [None] * 2 + [False] * 21}
    )  # fmt: skip
    images = pd.DataFrame(
        [
            {"subject": s, "template": 0, "trial": t, "status": "ok", "image_sha256": f"{s} image {t}"}
            for s in names
            for t in range(20)
        ]
    )
    works = pd.DataFrame(
        [{"subject": s, "work": w, "image_sha256": f"{s} work {w}"} for s in names[:2] for w in range(5)]
    )
    copied = images.assign(is_copy=images["image_sha256"] == "artist-0 image 0")
    return images, works, copied, subjects


def key(**more: object) -> pd.DataFrame:
    return questions(*tables(), Wanted(**more), ABOUT)[0]  # type: ignore[arg-type]


def answered(
    key: pd.DataFrame, chance: float = 1.0, *, seed: int = 0, wrong_checks: tuple[int, ...] = ()
) -> pd.DataFrame:
    """Raters who choose the image of the artist's name with this probability."""
    draw = np.random.default_rng(seed)
    right = np.where(key["is_check"], ~key["rater"].isin(wrong_checks), draw.random(len(key)) < chance)
    other = np.where(key["image_side"] == "left", "right", "left")
    return key[["packet", "position"]].assign(side=np.where(right, key["image_side"], other))


def test_every_rater_has_the_same_questions_in_another_order() -> None:
    found = key()
    assert found["rater"].unique().tolist() == [1, 2, 3, 4, 5]
    by_rater = dict(list(found.groupby("rater")))
    assert len({tuple(sorted(rows["question"])) for rows in by_rater.values()}) == 1
    assert len({tuple(rows.sort_values("position")["question"]) for rows in by_rater.values()}) == 5
    assert found["packet"].nunique() == 5
    assert 0.3 < (found["image_side"] == "left").mean() < 0.7
    asked = found[~found["is_check"]]
    assert asked["image_sha256"].str.startswith("artist").all()
    assert asked["other_sha256"].str.startswith("name").all()
    assert "artist-0 image 0" not in set(asked["image_sha256"])  # a near copy would be recognised as a work
    assert (asked.groupby("subject")["other_subject"].nunique() == 19).all()  # beside another control name each time
    assert not asked.duplicated(["rater", "subject", "image_sha256"]).any()
    assert (found[found["is_check"]].groupby("rater").size() == 3).all()
    checks = found[found["is_check"]]
    assert all(image in list(works) for image, works in zip(checks["image_sha256"], checks["works"], strict=True))
    pd.testing.assert_frame_equal(found, key())
    assert not key(seed=1)["image_side"].equals(found["image_side"])


def test_packets_that_ask_for_something_else_have_another_name() -> None:
    images, works, copied, subjects = tables()
    renamed = subjects.replace({"subject": {"name-0": "name-99"}})
    others = {
        "another artist": key(artists=("artist-1",)),
        "other images": questions(
            images.assign(image_sha256="other " + images["image_sha256"]), works, copied, subjects,
            Wanted(artists=("artist-0",)), ABOUT,
        )[0],
        "other works": questions(
            images, works.assign(image_sha256="other " + works["image_sha256"]), copied, subjects,
            Wanted(artists=("artist-0",)), ABOUT,
        )[0],
        "another control name": questions(
            images.replace({"subject": {"name-0": "name-99"}}), works, copied, renamed, Wanted(artists=("artist-0",)), ABOUT
        )[0],
    }  # fmt: skip
    first = key(artists=("artist-0",))
    for what, other in others.items():
        assert other["question"].tolist() == first["question"].tolist(), what  # as many questions, in the same order
        assert not set(other["packet"]) & set(first["packet"]), what
        assert not ask_the_same(first, other), what
    assert ask_the_same(first, key(artists=("artist-0",)).assign(page_sha256="page"))


def test_what_cannot_be_asked_is_said() -> None:
    images, works, copied, subjects = tables()
    with pytest.raises(InputError, match="is no artist of this audit"):
        key(artists=("name-1",))
    with pytest.raises(InputError, match="no artist has 3 real works"):
        questions(images, works[works["work"] < 2], copied, subjects, Wanted(), ABOUT)
    with pytest.raises(InputError, match="one question per artist"):
        key(questions=0)


def test_artists_who_cannot_be_asked_about_are_listed_with_the_reason() -> None:
    images, works, copied, subjects = tables()
    for lacking, said in {
        "works": "fewer than 3 real works",
        "images": "no image of the name",
        "names": "no control name of the same origin",
    }.items():
        own = works[(works["subject"] != "artist-1") | (works["work"] < 2)] if lacking == "works" else works
        blank = images.assign(status=images["status"].where(images["subject"] != "artist-1", "blank"))
        far = subjects.assign(locale=subjects["locale"].where(subjects["subject"] != "artist-1", "ja_JP"))
        found, passed_over = questions(
            blank if lacking == "images" else images, own, copied, far if lacking == "names" else subjects,
            Wanted(artists=("artist-0", "artist-1")), ABOUT,
        )  # fmt: skip
        assert set(found["subject"]) == {"artist-0"}
        assert list(passed_over) == ["artist-1"]
        assert passed_over["artist-1"].startswith(said)
    assert questions(images, works, copied, subjects, Wanted(), ABOUT)[1] == {}


def test_invented_words_are_no_control_names_of_raters() -> None:
    images, works, copied, subjects = tables()
    words = [f"name-{i}" for i in range(3, 21)]
    kinds = subjects["kind"].where(~subjects["subject"].isin(words), "nonsense")
    found, _ = questions(images, works, copied, subjects.assign(kind=kinds), Wanted(), ABOUT)
    assert set(found["other_subject"]) == {"name-0", "name-1", "name-2"}
    assert without_answer(found) == ["artist-0", "artist-1"]


def test_raters_say_yes_no_or_cannot_be_tested() -> None:
    found = key()
    rows = rated(found, answered(found))
    assert verdicts_of_raters(found, rows).set_index("subject")["answer"].to_dict() == {
        "artist-0": YES,
        "artist-1": YES,
    }
    assert agreed(found, rows, 1).iloc[0]["alpha"] == 1.0
    coins = rated(found, answered(found, 0.5))
    assert set(verdicts_of_raters(found, coins)["answer"]) == {NO}
    five = key(questions=5)
    few = verdicts_of_raters(five, rated(five, answered(five))).set_index("subject")
    assert few[["answer", "won", "names", "beaten"]].to_numpy().tolist() == [[UNTESTED, 5, 5, 5]] * 2
    assert few["p_value"].isna().all()
    assert (without_answer(found), without_answer(five)) == ([], ["artist-0", "artist-1"])
    three_failed = rated(found, answered(found, wrong_checks=(1, 2, 3)))
    about = agreed(found, three_failed, 1).iloc[0]
    assert (about["raters"], about["counted"], about["failed_raters"]) == (5, 2, [1, 2, 3])
    assert set(verdicts_of_raters(found, three_failed)["answer"]) == {UNTESTED}


def saved(folder: Path, packet: str, given: dict[str, str], **changes: object) -> Path:
    content = {"format": 1, "packet": packet, "answers": given, "checksum": checksum(packet, given)} | changes
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def asked(small_audit: Callable[..., Path], tmp_path: Path) -> Workspace:
    """An audit of which nothing exists but the key of its packets, and what this shows."""
    ws = Workspace.open(small_audit(tmp_path / "audit", references="no_folder"), new=True)
    model = ws.audit.models[0].name
    images, works, copied, subjects = tables()
    ws.warehouse.write("subjects", subjects.assign(indirect_prompt=None, aliases=None), "subjects")
    for subject, own in images.groupby("subject"):
        ws.warehouse.write(f"imitations/{model}/{subject}", own, "images")
    for subject, own in works.groupby("subject"):
        ws.warehouse.write(f"reference_works/{subject}", own, "works")
    ws.warehouse.write(copies_of(model), copied, "copies")
    ws.warehouse.write(key_of(model), key().assign(model_version=model, protocol=ws.protocol.name), "key")
    return ws


def answers_by_packet(ws: Workspace) -> dict[str, dict[str, str]]:
    found = ws.warehouse.read(key_of(ws.audit.models[0].name))
    rows = answered(found)
    return {
        str(p): {str(i): str(s) for i, s in zip(g["position"], g["side"], strict=True)}
        for p, g in rows.groupby("packet")
    }


def test_sound_files_are_taken_once_and_unsound_ones_are_refused_by_name(asked: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (first, one), (second, two), (third, three), *_ = answers_by_packet(asked).items()
    last = str(len(one))
    turned = one | {last: "left" if one[last] == "right" else "right"}
    bad = {
        "changed after the page": saved(
            folder, second, two, answers=two | {"1": "left" if two["1"] == "right" else "right"}
        ),
        f"question {last} of": saved(folder, second, {k: v for k, v in two.items() if k != last}),
        "answers question 999": saved(folder, second, two | {"999": "left"}),
        "of which this audit has no key": saved(folder, "0" * 16, two),
        "otherwise than a file before": saved(folder, first, turned),
        "packet: ": saved(folder, "abc", two),
        "is no file that": saved(folder, second, two, more=1),
        "answers.1": saved(folder, second, two | {"1": "both"}),
    }
    good = [saved(folder, first, one), saved(folder, third, three)]
    # The order matters for one: the file that contradicts comes after the first one.
    taken = take(asked, [good[0], *bad.values(), good[1], good[0], folder / "none.json"])
    assert len(taken.refused) == len(bad) + 1
    for said, path in bad.items():
        assert any(str(path) in line and said in line for line in taken.refused), (said, taken.refused)
    assert taken.accepted == {asked.audit.models[0].name: [first, third]}
    assert len(taken.notes) == 1
    tables = RATINGS.make(asked, asked.audit.models[0].name)
    assert tables["rater_agreement"].iloc[0]["raters"] == 2
    assert set(tables["rater_verdicts"]["answer"]) == {UNTESTED}
    again = take(asked, [saved(folder, second, two)])
    assert again.accepted == {asked.audit.models[0].name: [second]}
    assert set(RATINGS.make(asked, asked.audit.models[0].name)["rater_verdicts"]["answer"]) == {YES}


def taken_from_all(ws: Workspace, folder: Path) -> str:
    """The answers of every rater are taken. Returns the model version."""
    folder.mkdir()
    take(ws, [saved(folder, packet, given) for packet, given in answers_by_packet(ws).items()])
    return ws.audit.models[0].name


def said_of(ws: Workspace, artist: str) -> pd.Series:
    model = ws.audit.models[0].name
    assert not is_made(ws, RATINGS, model)  # what it follows from has changed
    found = made_tables(ws, RATINGS, model)
    assert is_made(ws, RATINGS, model)
    assert found["rater_agreement"].iloc[0][["raters", "counted", "failed_raters"]].tolist() == [5, 5, []]
    gone = 38 - int(found["rater_verdicts"]["questions"].sum())
    assert any(f"{gone} of 38 questions are left out" in line for line in in_words(found)) == (gone > 0)
    return found["rater_verdicts"].set_index("subject").T[artist]


def test_answers_about_pictures_that_are_not_the_versions_any_more_are_left_out(
    asked: Workspace, tmp_path: Path
) -> None:
    model, kept = taken_from_all(asked, tmp_path / "files"), asked.warehouse
    first = said_of(asked, "artist-0")
    assert (first["answer"], first["questions"], first["won"]) == (YES, 19, 19)
    assert "left out" not in first["reason"]
    one = key().query("~is_check and subject == 'artist-0'").iloc[0]
    # One image of a control name is blocked now.
    beside = kept.read(f"imitations/{model}/{one['other_subject']}")
    blocked = beside.assign(status=beside["status"].where(beside["image_sha256"] != one["other_sha256"], "blocked"))
    kept.write(f"imitations/{model}/{one['other_subject']}", blocked, "blocked")
    said = said_of(asked, "artist-0")
    assert (said["answer"], said["questions"], said["won"]) == (UNTESTED, 18, 18)
    assert said["reason"].startswith("1 of 19 questions are left out")
    # Every image of the artist's name was made again.
    images = kept.read(f"imitations/{model}/artist-0")
    kept.write(
        f"imitations/{model}/artist-0", images.assign(image_sha256="new " + images["image_sha256"]), "made again"
    )
    said = said_of(asked, "artist-0")
    assert (said["answer"], said["questions"], said["won"]) == (UNTESTED, 0, 0)
    assert np.isnan(said["share"])
    assert OTHER_PICTURES in said["reason"]
    assert "ratings export" in said["settle"]


def test_a_picture_that_became_a_copy_a_work_that_is_gone_and_another_protocol_are_left_out() -> None:
    found, (images, works, copied, _) = key(), tables()
    every = still_shown(found, images, works, copied, "p")
    assert every.all()
    assert not still_shown(found, images, works, copied, "another")[~found["is_check"]].any()
    assert still_shown(found, images, works, copied, "another")[found["is_check"]].all()  # raters looked, or did not
    image = found.loc[~found["is_check"], "image_sha256"].iloc[0]
    copies = copied.assign(is_copy=copied["is_copy"] | (copied["image_sha256"] == image))
    fewer = still_shown(found, images, works, copies, "p")
    assert (~fewer == (~found["is_check"] & (found["image_sha256"] == image))).all()
    gone = works[works["image_sha256"] != "artist-1 work 2"]
    fewer = still_shown(found, images, gone, copied, "p")
    above = found["works"].map(lambda own: "artist-1 work 2" in own)
    assert (~fewer == (~found["is_check"] & above)).all()
    rows = rated(found.assign(still_shown=False), answered(found))
    about = agreed(found, rows, 1).iloc[0]
    assert (about["raters"], about["counted"], about["reason"]) == (5, 5, "No answer counts.")


def test_an_export_keeps_the_key_of_packets_that_are_out(
    asked: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = asked.audit.models[0].name
    monkeypatch.setattr(ResultStage, "has_results", lambda *_: True)
    monkeypatch.setattr(packets, "write_packet", lambda rows, load, folder: Path(__file__))
    with pytest.raises(InputError, match=r"of this version were exported.* with --replace"):
        export(asked, model, tmp_path / "pages", Wanted(artists=("artist-1",)))
    assert not (tmp_path / "pages").exists()
    assert ask_the_same(
        asked.warehouse.read(key_of(model)), key().assign(model_version=model, protocol=asked.protocol.name)
    )
    export(asked, model, tmp_path / "pages", Wanted(artists=("artist-1",)), replace=True)
    export(asked, model, tmp_path / "again", Wanted(artists=("artist-1",)))  # the same packets
    assert set(asked.warehouse.read(key_of(model))["subject"]) == {"artist-1"}
    taken_from_all(asked, tmp_path / "files")
    with pytest.raises(InputError, match="raters answered other packets"):
        export(asked, model, tmp_path / "more", Wanted(), replace=True)


def test_without_a_packet_no_answers_are_taken(small_audit: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no packet"):
        take(Workspace.open(small_audit(tmp_path / "audit"), new=True), [])


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_the_name_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "answers.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no file that"):
        read_answers(path)


def test_a_file_that_names_an_answer_twice_or_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    twice, deep = tmp_path / "twice.json", tmp_path / "deep.json"
    twice.write_text('{"format": 1, "format": 1}')
    deep.write_text("[" * 100_000)
    for path in (twice, deep):
        with pytest.raises(InputError, match="is no file that"):
            read_answers(path)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * 5_000_000)
    with pytest.raises(InputError, match="has more than 4000000 bytes"):
        read_answers(large)
