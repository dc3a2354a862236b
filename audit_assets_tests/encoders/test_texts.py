"""Text in images: what names an artist, what does not, and how it is blurred. The library that reads is tried if it is installed."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from audit_assets.encoders import VERSION, text_stage
from audit_assets.encoders.text_stage import TextStage, read
from audit_assets.encoders.texts import Line, Reader, installed, names_artist, without_text
from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.results.specification import replaced
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive

ADA = ["Ada Brandvold", "A. Brandvold"]


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["Ada Brandvold"], True),
        (["painted by ADA  BRANDVOLD, 1911"], True),
        (["brandvold"], True),  # a signature
        (["Brandvald"], True),  # misspelt
        (["AdaBrandvold"], True),
        (["Ada"], False),
        (["Bo Dahl"], False),
        (["brand"], False),
        ([""], False),
        ([], False),
    ],
)
def test_the_name_or_the_surname_names_the_artist(texts: list[str], named: bool) -> None:
    assert names_artist(texts, ADA) is named


def test_a_short_surname_alone_names_nobody() -> None:
    assert not names_artist(["li"], ["Wen Li"])
    assert names_artist(["wen li"], ["Wen Li"])
    assert not names_artist(["anything"], [])
    assert not names_artist(["anything"], [""])


@given(st.lists(st.text(max_size=30), max_size=4), st.lists(st.text(max_size=30), max_size=3))
def test_any_text_and_any_name_can_be_compared(texts: list[str], names: list[str]) -> None:
    assert names_artist(texts, names) in (True, False)


def picture(text: str) -> Image.Image:
    image = Image.new("RGB", (320, 200), (20, 60, 90))
    ImageDraw.Draw(image).text((90, 150), text, fill=(250, 240, 200), font=ImageFont.load_default(28))
    return image


def test_only_the_text_is_blurred() -> None:
    image = picture("Ada Brandvold")
    blurred = without_text(image, [(88, 150, 290, 184)])
    before, after = np.asarray(image, dtype=int), np.asarray(blurred, dtype=int)
    assert (before[:130] == after[:130]).all()
    assert after[150:184, 90:280].std() < before[150:184, 90:280].std() / 2
    assert (np.asarray(without_text(image, [])) == before).all()
    without_text(image, [(0, 0, 320, 200), (319, 199, 320, 200)])


def test_one_row_per_image_says_what_was_read() -> None:
    class Store:
        def get(self, sha256: str) -> Image.Image:
            return Image.new("RGB", (8, 8), (int(sha256), 0, 0))

    class Fixed:
        """Reads the same text in each image but the first."""

        def lines(self, image: Image.Image) -> list[Line]:
            return [Line("Brandvold", (0, 0, 4, 4))] if image.getpixel((0, 0)) != (0, 0, 0) else []

    images = pd.DataFrame(
        {
            "model_version": "m",
            "subject": ["ada", "ada", "bo"],
            "template": 0,
            "trial": [0, 1, 0],
            "image_sha256": ["0", "1", "2"],
        }
    )
    table = read(images, {"ada": ADA, "bo": ["Bo Dahl"]}, Fixed(), Store())  # type: ignore[arg-type]
    assert table["texts"].map(len).tolist() == [0, 1, 1]
    assert table["names_artist"].tolist() == [False, True, False]


def test_a_text_is_found_under_the_templates_that_images_have_now_and_is_read_once(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class First:
        """Reads a name in the first image that it sees."""

        seen: ClassVar[list[Image.Image]] = []

        def lines(self, image: Image.Image) -> list[Line]:
            self.seen.append(image)
            return [Line("Brandvold", (0, 0, 4, 4))] if len(self.seen) == 1 else []

    monkeypatch.setattr(text_stage, "Reader", First)
    monkeypatch.setattr(text_stage, "version", lambda library: "1")
    copied.write_text(copied.read_text() + "text_in_images: true\n")
    ws = Workspace.open(copied)
    source = f"imitations/miniature-1/{next(iter(ws.prompted()))}"
    blurred = f"blurred_embeddings/{ws.audit.encoders[0].name}/miniature-1"
    table, read_once, before = TextStage(ws).make("miniature-1"), len(First.seen), ws.warehouse.read(blurred)
    assert (len(table), len(before)) == (read_once, 1)
    rows = ws.warehouse.read(source)
    with monkeypatch.context() as without_encoder:
        without_encoder.setattr(text_stage, "load", None)
        ws.warehouse.write(source, rows.assign(trial=rows["trial"] + 100), "a manifest was added")
        again, embedded = TextStage(ws).make("miniature-1"), ws.warehouse.read(blurred)
        assert (again["trial"] >= 100).sum() == len(rows)
        assert embedded["trial"].tolist() == [before["trial"].item() + 100]
        assert np.array_equal(embedded["embedding"].item(), before["embedding"].item())
        assert len(First.seen) == read_once
        images = table["image_sha256"].tolist()  # as an earlier version hashed them
        ws.warehouse.write("image_texts/miniature-1", table, digest([images, ws.names(), "1", VERSION]))
        assert (TextStage(ws).make("miniature-1")["trial"] >= 100).sum() == len(rows)
        assert len(First.seen) == read_once
    monkeypatch.setattr(text_stage, "version", lambda library: "2")
    TextStage(ws).make("miniature-1")
    assert len(First.seen) == 2 * read_once


def test_images_without_text_keep_their_embeddings() -> None:
    images = pd.DataFrame({"subject": "a", "template": 0, "trial": [0, 1], "embedding": [np.zeros(2), np.ones(2)]})
    again = pd.DataFrame({"subject": ["a"], "template": [0], "trial": [1], "embedding": [np.full(2, 7.0)]})
    assert [e.tolist() for e in replaced(images, again)["embedding"]] == [[0, 0], [7, 7]]


@pytest.mark.skipif(installed(), reason="the extra ocr is installed")
def test_without_the_library_the_remedy_is_named_before_anything_is_made(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"audit_assets\[ocr\]"):
        Reader()
    with pytest.raises(InputError, match=r"audit_assets\[ocr\]"):
        drive(small_audit(tmp_path, text_in_images=True))
    assert not (tmp_path / "warehouse" / "imitations").exists()


@pytest.mark.skipif(not installed(), reason="the extra ocr is not installed")
def test_a_name_that_is_drawn_is_read_and_cannot_be_read_once_it_is_blurred() -> None:
    reader = Reader()
    image = picture("Ada Brandvold")
    lines = reader.lines(image)
    assert names_artist([line.text for line in lines], ADA)
    assert reader.lines(Image.new("RGB", (32, 32), "grey")) == []
    blurred = without_text(image, [line.box for line in lines])
    assert not names_artist([line.text for line in reader.lines(blurred)], ADA)
