"""Near copies in an audit: found with a stated share of false ones, left out of both experiments, and said."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from audit_assets.config import EncoderEntry
from audit_assets.measurement.answers import NO, UNTESTED, Finding
from audit_assets.results.copies import NAMES, NONE, OTHERS, PICTURES, Sides, but_for_copies, copies_of, detected
from audit_assets.warehouse.images import grey_picture, small_picture
from audit_assets.workspace import Workspace
from audit_assets_tests.measurement.planted import PLANTED, crop, jpeg


def painting(seed: int) -> Image.Image:
    """A picture of soft patches, unlike that of any other seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(4)).resize((96, 96))


def rows(images: Sequence[Image.Image], subject: Sequence[str], **more: object) -> pd.DataFrame:
    hashes = [f"{more.get('work', 'image')} {s} {i}" for i, s in enumerate(subject)]
    small, of_grey = [small_picture(i) for i in images], [grey_picture(i) for i in images]
    return pd.DataFrame({"subject": subject, "image_sha256": hashes, "picture": small, "grey": of_grey})


def sides(copies: Sequence[Image.Image], works: Sequence[Image.Image], *, controls: int, artists: int = 2) -> Sides:
    """Images of one artist, some of which are copies, and of control names; works of so many artists."""
    made = [*copies, *(painting(9000 + i) for i in range(6)), *(painting(20_000 + i) for i in range(controls))]
    subject = ["artist-0"] * (len(copies) + 6) + [f"name-{i % 20}" for i in range(controls)]
    images = rows(made, subject)
    images["template"], images["trial"] = 0, images.groupby("subject").cumcount()
    real = rows(works, [f"artist-{i % artists}" for i in range(len(works))], work="work")
    return Sides(images, real.assign(work=real.groupby("subject").cumcount()), PICTURES, None)


def subjects(artists: int = 2) -> pd.DataFrame:
    names = [f"artist-{i}" for i in range(artists)] + [f"name-{i}" for i in range(20)]
    kinds = ["artist"] * artists + ["random_name"] * 20
    return pd.DataFrame({"subject": names, "kind": kinds, "shares_name_parts": [None] * artists + [False] * 20})


def test_copies_are_found_beside_images_of_control_names() -> None:
    works, draw = [painting(i) for i in range(20)], np.random.default_rng(0)
    copies = [change(works[i], draw) for i, change in enumerate(PLANTED.values())]
    table, at, background = detected(sides(copies, works, controls=300), subjects())
    assert background == NAMES
    assert at.units == 300
    found = table[table["is_copy"]]
    assert found["subject"].unique().tolist() == ["artist-0"]
    assert len(found) >= len(copies) - 1
    assert set(found["other_subject"]) == {
        "artist-0",
        "artist-1",
    }  # the copies of every second work are of another artist's


def test_a_world_without_copies_has_none_and_works_of_other_artists_replace_control_names_that_are_too_few() -> None:
    table, at, background = detected(
        sides([], [painting(i) for i in range(300)], controls=20, artists=10), subjects(10)
    )
    assert background == OTHERS
    assert at.units == 300
    assert not at.reason
    assert not table["is_copy"].any()


def test_without_a_background_only_the_same_picture_is_a_copy() -> None:
    works, draw = [painting(i) for i in range(12)], np.random.default_rng(1)
    same, changed = works[0].resize((192, 192)), jpeg(crop(works[1], draw), draw)
    table, at, background = detected(sides([same, changed], works, controls=20), subjects())
    assert background == NONE
    assert "needs 299" in at.reason
    assert table["is_copy"].tolist()[:2] == [True, False]
    assert not table["is_copy"].iloc[2:].any()


@pytest.mark.parametrize("by_encoder", [False, True])
def test_a_painting_that_lies_ten_times_among_the_works_is_still_found(by_encoder: bool) -> None:
    draw = np.random.default_rng(3)
    again = [painting(0).resize((100 + 9 * n, 100 + 9 * n)) for n in range(9)]
    found = sides([jpeg(crop(painting(0), draw), draw)], [*(painting(i) for i in range(20)), *again], controls=300)
    if by_encoder:
        images, works = draw.normal(size=(len(found.images), 64)), draw.normal(size=(len(found.works), 64))
        works[20:] = works[0] + 0.01 * draw.normal(size=(9, 64))
        images[0] = works[0] + 0.1 * draw.normal(size=64)
        unit = [list(v / np.linalg.norm(v, axis=1, keepdims=True)) for v in (images, works)]
        entry = EncoderEntry(name="detector", kind="image", path="detector")
        found = Sides(found.images.assign(embedding=unit[0]), found.works.assign(embedding=unit[1]), "detector", entry)
    table, at, background = detected(found, subjects())
    assert background == NAMES
    assert at.bound <= 0.01
    assert table["is_copy"].tolist() == [True] + [False] * (len(table) - 1)


def test_an_encoder_to_which_all_pictures_are_alike_calls_none_of_them_the_same() -> None:
    """The cosines of its embeddings share a large common part: any two pictures have 0.999. Equal pictures are copies without a threshold."""
    found = sides([painting(0).resize((192, 192))], [painting(i) for i in range(300)], controls=20, artists=10)
    draw = np.random.default_rng(0)

    def embedded(table: pd.DataFrame) -> pd.DataFrame:
        made = 1 + 0.03 * draw.normal(size=(len(table), 64))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return table.assign(embedding=list(made.astype(np.float32)))

    images, works = embedded(found.images), embedded(found.works)
    images["embedding"] = [works["embedding"].iloc[0], *images["embedding"].iloc[1:]]
    alike = EncoderEntry(name="alike", kind="image", path="alike")
    table, at, _ = detected(Sides(images, works, "alike", alike), subjects(10))
    assert table["similarity"].min() > 0.998
    assert table["is_copy"].tolist() == [True] + [False] * 26
    assert at.bound <= 0.01
    without, at, background = detected(Sides(images, works[:20], "alike", alike), subjects(10))
    assert background == NONE
    assert without["is_copy"].tolist() == [True] + [False] * 26


def test_an_answer_says_how_many_images_were_left_out() -> None:
    no, untested = Finding(NO, "p = 0.4.", 0.4), Finding(UNTESTED, "Two images.", settle="More images.")
    assert but_for_copies(no, 0) is no
    assert but_for_copies(None, 2) is None
    said, open_answer = but_for_copies(no, 1), but_for_copies(untested, 3)
    assert said is not None
    assert said.reason == "1 image is a near copy of real works, and left out. p = 0.4."
    assert open_answer is not None
    assert open_answer.reason.startswith("3 images are near copies")
    assert open_answer.settle == "Images that are no copies. More images."


def test_planted_copies_are_found_among_the_imitations_of_an_audit(audited: Path) -> None:
    """The small audit has too few images of control names for a threshold, so the score alone is tried here."""
    _both_figures(audited, each=4)


@pytest.mark.long
def test_every_work_of_the_audit_is_found_in_every_way_of_copying(audited: Path) -> None:
    _both_figures(audited, each=40)


def _both_figures(audited: Path, each: int) -> None:
    from audit_assets.measurement.copy_detection import LEAST_SCORE, Threshold, is_copy, nearest_pictures
    from audit_assets_tests.measurement.planted import grey

    ws, draw = Workspace.existing(audited), np.random.default_rng(7)
    works = ws.warehouse.read_all([f"reference_works/{s}" for s in ws.referenced()])["image_sha256"].tolist()
    imitations = ws.warehouse.read_all([f"imitations/miniature-1/{s}" for s in ws.prompted()])
    shown = imitations.loc[imitations["status"] == "ok", "image_sha256"].tolist()
    real = [ws.images.get(sha256) for sha256 in works]
    chosen = draw.integers(0, len(real), (len(PLANTED), each))
    planted = [change(real[i], draw) for change, row in zip(PLANTED.values(), chosen, strict=True) for i in row]
    at = Threshold(LEAST_SCORE, 0, 0, 0.0)
    among = grey(real)
    found = is_copy(nearest_pictures(grey(planted), among), at)
    false = is_copy(nearest_pictures(grey([ws.images.get(sha256) for sha256 in shown]), among), at)
    assert found.mean() >= 0.95
    assert false.mean() <= 0.01


def test_an_audit_says_how_it_looked_for_copies(audited: Path) -> None:
    ws = Workspace.existing(audited)
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        about = connection.sql("SELECT * FROM copy_detection").df().iloc[0]
        images = connection.sql("SELECT count(*) FROM imitations WHERE status = 'ok'").fetchall()[0][0]
        compared = connection.sql(
            "SELECT count(*), count(DISTINCT work_sha256), sum(is_copy::INT) FROM image_copies"
        ).fetchall()[0]
    assert about["images"] == images == compared[0]
    assert about["copies"] == (compared[2] or 0)
    assert about["method"] == PICTURES
    assert (about["reason"] is None) == (about["threshold"] > 0)
    report = (ws.warehouse.root / "reports" / "miniature-1" / "report.html").read_text(encoding="utf-8")
    assert "Near copies of real works" in report
    assert "Text in images was not looked for." in report
    assert (ws.warehouse.root / "reports" / "miniature-1" / "copies.html").is_file()


@pytest.mark.long
def test_copies_among_supplied_images_count_in_no_experiment(audited: Path, tmp_path: Path) -> None:
    """A folder of the miniature's own images, in which two of an artist's are real works: one of the artist's, one of another's.

    The small audit has no background for a threshold, so the two are found because they are the same pictures.
    """
    import shutil

    import yaml

    from audit_assets.evidence.verify import verify
    from audit_assets_tests.drive import drive

    made = Workspace.existing(audited)
    artist, other = [s for s in made.prompted() if s in made.referenced()][:2]
    for subject, prompted in made.prompted().items():
        folder = tmp_path / "images" / prompted.name
        folder.mkdir(parents=True)
        for n, row in enumerate(made.warehouse.read(f"imitations/miniature-1/{subject}").to_dict("records")):
            image = made.images.get(row["image_sha256"])
            if subject == artist and n < 2:
                works = made.warehouse.read(f"reference_works/{(artist, other)[n]}")["image_sha256"]
                image = made.images.get(works.iloc[n])
            image.save(folder / f"{n}.png")
    content = yaml.safe_load(audited.read_text(encoding="utf-8"))
    closed = {"name": "closed", "source": "image_folder", "path": str(tmp_path / "images"), "approved": True}
    content["models"] = [closed]
    (tmp_path / "audit").mkdir()
    shutil.copytree(audited.parent / "warehouse", tmp_path / "audit" / "warehouse")
    (tmp_path / "audit" / "audit.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    ws = drive(tmp_path / "audit" / "audit.yaml")
    found = ws.warehouse.read(copies_of("closed"))
    copied = found[found["is_copy"].astype(bool)]
    assert copied["subject"].tolist() == [artist, artist]
    assert set(copied["other_subject"]) == {artist, other}
    trials = ws.warehouse.read("identification_trials/closed")
    mine = trials[(trials["subject"] == artist) & (trials["label_set"] == "criteria")]
    assert (mine.groupby("encoder")["trial"].nunique() == 3).all()
    said = ws.warehouse.read("answers/closed")
    reasons = said.loc[(said["subject"] == artist) & (said["question"] != "seen"), "reason"]
    assert reasons.str.contains("2 images are near copies").all()
    page = (ws.warehouse.root / "reports" / "closed" / "copies.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 4
    assert "no threshold could be set" in page
    for check in verify(ws, "closed", replay=0, sample=5):
        assert not check.findings, (check.title, check.findings)
