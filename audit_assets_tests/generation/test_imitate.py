from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from PIL.Image import Image

from audit_assets.config import Protocol
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.imitate import check_imitations, imitations
from audit_assets.generation.makers import AskedModel, at_work
from audit_assets.generation.seeds import image_seed
from audit_assets.generation.tables import COLUMNS
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.warehouse.images import ImageStore

PROTOCOL = Protocol(name="two", templates=("art by {name}", "a drawing by {name}"), trials=3)


@pytest.fixture(scope="module")
def source(saved: Path) -> DiffusersSource:
    return DiffusersSource(resolve_diffusers("tiny", str(saved), None, {"size": 32, "steps": 1}), "cpu")


@pytest.fixture(scope="module")
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def make(
    source: DiffusersSource, writer: ThreadPoolExecutor, root: Path, done: list[int] | None = None
) -> pd.DataFrame:
    return imitations(
        source,
        PROTOCOL,
        model_version="tiny@1",
        subject="artist:klee",
        name="Paul {Klee}",
        batch_size=2,
        store=ImageStore(root),
        writer=writer,
        progress=(done if done is not None else []).append,
    )


def test_a_subject_has_one_stored_image_for_each_template_and_trial(
    source: DiffusersSource, writer: ThreadPoolExecutor, tmp_path: Path
) -> None:
    done: list[int] = []
    table = make(source, writer, tmp_path, done)
    assert list(table.columns) == COLUMNS
    assert list(zip(table["template"], table["trial"], strict=True)) == [(t, k) for t in range(2) for k in range(3)]
    assert table["prompt"].unique().tolist() == ["art by Paul {Klee}", "a drawing by Paul {Klee}"]
    assert table["seed"].tolist() == [image_seed("artist:klee", t, k) for t in PROTOCOL.templates for k in range(3)]
    assert all(ImageStore(tmp_path).get(sha256).size == (32, 32) for sha256 in table["image_sha256"])
    assert sum(done) == len(table)
    assert check_imitations(table, PROTOCOL, "artist:klee") == []


def test_the_same_plan_makes_the_same_table(
    source: DiffusersSource, writer: ThreadPoolExecutor, tmp_path: Path
) -> None:
    first, second = (make(source, writer, tmp_path / folder) for folder in ("first", "second"))
    pd.testing.assert_frame_equal(first, second)


def test_a_progress_bar_sees_every_image_of_the_subject_at_work(saved: Path, tmp_path: Path) -> None:
    resolved = resolve_diffusers("tiny", str(saved), None, {"size": 32, "steps": 1})
    seen = []

    class Watched(ImageStore):
        def put(self, image: Image) -> str:
            seen.append(at_work["tiny"])
            return super().put(image)

    with AskedModel(resolved, PROTOCOL, Watched(tmp_path), 1) as maker:
        maker.make("ada", "Ada")
    assert max(seen) in (5, 6)
    assert at_work["tiny"] == 0


def test_what_is_wrong_with_a_subject_is_said_in_words(
    source: DiffusersSource, writer: ThreadPoolExecutor, tmp_path: Path
) -> None:
    table = make(source, writer, tmp_path)
    assert check_imitations(table.iloc[2:], PROTOCOL, "klee") != []
    assert (
        "no image for (template, trial) (0, 0) and 1 more"
        in check_imitations(table.iloc[2:], PROTOCOL, "artist:klee")[0]
    )
    doubled = pd.concat([table, table.iloc[:1]])
    assert check_imitations(doubled, PROTOCOL, "artist:klee") == ["artist:klee: an image occurs twice"]
    (problem,) = check_imitations(table.assign(seed=[1, *table["seed"][1:]]), PROTOCOL, "artist:klee")
    assert "the seed of (template, trial) (0, 0) is not the protocol's" in problem


def test_images_that_nobody_supplied_are_missing(
    source: DiffusersSource, writer: ThreadPoolExecutor, tmp_path: Path
) -> None:
    table = make(source, writer, tmp_path)
    table.loc[0, "status"] = "not_supplied"
    assert check_imitations(table, PROTOCOL, "artist:klee") == ["artist:klee: no image for (template, trial) (0, 0)"]
