"""A rater's page says nothing of which picture is which, works without a network and by keyboard, and saves what the import reads."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from audit_assets.publication.pages.packet import packet_page, write_packet
from audit_assets.results.rating_answers import read_answers
from audit_assets_tests.browser import chromium
from audit_assets_tests.results.test_ratings import key

Load = Callable[[str], Image.Image]


@pytest.fixture
def picture() -> Load:
    def picture_of(sha256: str) -> Image.Image:
        image = Image.effect_noise((40, 40), 1 + sum(sha256.encode()) % 90).convert("RGB")
        image.info["parameters"] = sha256  # a picture that says what it is
        return image

    return picture_of


@pytest.fixture
def one_rater() -> pd.DataFrame:
    found = key()
    return found[found["rater"] == 2]


def test_nothing_on_the_page_says_which_picture_is_which(one_rater: pd.DataFrame, picture: Load) -> None:
    page = packet_page(one_rater, picture)
    # The base64 of a picture and of a hash holds every short word now and then.
    text = re.sub(r"(data:image/webp;base64,|script-src 'sha256-)[\w+/=]+", "", page)
    assert len(text) < len(page) - 1000
    for word in {
        *one_rater["subject"],
        *one_rater["other_subject"],
        "artist-",
        "name-",
        "sha",
        "control",
        "imitation",
        "model",
    }:
        assert word not in text, word
    found = re.search(r'id="questions">(.*?)</script>', page, re.S)
    assert found is not None
    content = json.loads(found.group(1))
    assert set(content) == {"packet", "questions", "pictures"}
    assert all(set(question) == {"above", "left", "right"} for question in content["questions"])
    pictures = [
        base64.b64decode(source.removeprefix("data:image/webp;base64,"), validate=True)
        for source in content["pictures"]
    ]
    hashes = {*one_rater["image_sha256"], *one_rater["other_sha256"]}
    assert not [sha256 for sha256 in hashes if any(str(sha256).encode() in data for data in pictures)]
    assert not re.search(r"https?://|src=\"[^d]|href=", page)
    # The number of a picture says nothing either: both kinds are on both halves.
    rows = one_rater.sort_values("position").to_dict("records")
    numbers = [question[row["image_side"]] for row, question in zip(rows, content["questions"], strict=True)]
    half = len(content["pictures"]) / 2
    assert {number < half for number in numbers} == {True, False}


def test_the_same_key_gives_the_same_page(one_rater: pd.DataFrame, picture: Load, tmp_path: Path) -> None:
    def flat(sha256: str) -> Image.Image:
        return Image.new("RGB", (500, 300), (sum(sha256.encode()) % 256, 10, 10))

    assert write_packet(one_rater, flat, tmp_path).read_text(encoding="utf-8") == packet_page(one_rater, flat)


@pytest.mark.long
def test_a_rater_answers_by_keyboard_without_a_network(one_rater: pd.DataFrame, picture: Load, tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    page_file = write_packet(one_rater, picture, tmp_path)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = browser.new_context(offline=True, accept_downloads=True)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(page_file.as_uri())
        assert Axe().run(page).violations_count == 0
        chosen = {}
        for number in range(1, len(one_rater) + 1):
            if number == 3:
                continue
            key_pressed = "1" if number % 2 else "2"
            while f"Question {number} of" not in page.inner_text("output"):
                page.keyboard.press("Enter")
            page.keyboard.press(key_pressed)
            chosen[str(number)] = "left" if key_pressed == "1" else "right"
        page.click("text=Save the answers")
        assert "Question 3 has no answer yet" in page.inner_text("[role=status]")
        page.reload()  # the answers are kept
        assert f"{len(chosen)} answered" in page.inner_text("output")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        page.keyboard.press("2")
        with page.expect_download() as download:
            page.click("text=Save the answers")
        saved = tmp_path / "saved.json"
        download.value.save_as(saved)
        browser.close()
    assert not errors
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    packet, answers = read_answers(saved)
    assert packet == one_rater["packet"].iloc[0]
    assert answers == chosen | {"3": "right"}
