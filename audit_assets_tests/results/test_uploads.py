"""The arm that gives the model works: what its images are compared with, and its answers in audits whose truth is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from audit_assets.config import PROTOCOLS
from audit_assets.evidence.verify import verify
from audit_assets.results.arms import ARMS
from audit_assets.results.matched import Works
from audit_assets.results.recipe import recomputed
from audit_assets.results.uploads import left
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive
from audit_assets_tests.publication.world import MODELS, World, simulate


# ---- what is left to compare with
def works_of(number: int, series: dict[int, str], alike: dict[int, int]) -> Works:
    """Works of two artists in turn. `alike`: a work -> the work that it is a copy of."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(number, 16))
    pictures = [rng.integers(0, 256, 768, dtype=np.uint8) for _ in range(number)]
    for copy, of in alike.items():
        embeddings[copy], pictures[copy] = embeddings[of], pictures[of]
    rows = pd.DataFrame(
        {
            "subject": ["ada" if i % 2 == 0 else "bo" for i in range(number)],
            "work": range(number),
            "image_sha256": [f"sha {i}" for i in range(number)],
            "picture": [p.tobytes() for p in pictures],
            "series": [series.get(i) for i in range(number)],
        }
    )
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Works(rows, unit.astype(np.float32), ["ada", "bo"], np.arange(number) % 2)


def kept(works: Works) -> list[str]:
    return works.rows["image_sha256"].tolist()


def test_a_given_work_is_compared_with_nothing() -> None:
    rest = left(works_of(6, {}, {}), {"sha 0", "sha 3"})
    assert kept(rest) == ["sha 1", "sha 2", "sha 4", "sha 5"]
    assert rest.artist.tolist() == [1, 0, 0, 1]
    assert len(rest.embeddings) == 4


def test_neither_is_its_copy_nor_a_work_of_its_series() -> None:
    rest = left(works_of(8, {2: "harbour", 4: "harbour", 1: "harbour"}, {5: 0}), {"sha 0", "sha 2"})
    assert kept(rest) == ["sha 1", "sha 3", "sha 6", "sha 7"]  # a series of the same name of another artist stays


def test_if_no_work_was_given_all_are_left() -> None:
    assert len(kept(left(works_of(6, {}, {}), set()))) == 6


# ---- audits whose truth is known
def arm(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "way": "reference_image", "templates": ["Artwork"], "trials": 5, "works": 2, **more}


OTHER_WAYS = (arm("known"), arm("echo"), arm("few", controls=5))
WORLD = World(
    artists=8, untrained=4, background=20, controls=60, works=10, images=6, able=(1.0, 1.4), arms=OTHER_WAYS,
    strength={"known": 1.0, "few": 1.0},
)  # fmt: skip


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory, miniature: Path) -> Workspace:
    return simulate(tmp_path_factory.mktemp("uploads"), miniature, WORLD)


@pytest.fixture(scope="module")
def rows(audit: Workspace) -> Callable[..., pd.DataFrame]:
    def of(arm: str, kind: str = "artist", encoder: str = "sim-clip") -> pd.DataFrame:
        table = audit.warehouse.read(f"arm_results/{MODELS[0]}")
        chosen = (table["arm"] == arm) & (table["kind"] == kind) & (table["encoder"] == encoder)
        return table[chosen].set_index("subject")

    return of


@pytest.mark.long
@pytest.mark.parametrize("encoder", ["sim-clip", "sim-vision"])
def test_a_model_that_knows_the_artist_stays_nearer_than_to_anybody(
    rows: Callable[..., pd.DataFrame], encoder: str
) -> None:
    found = rows("known", encoder=encoder)
    assert (found["answer"] == "yes").all(), found["reason"].tolist()
    assert (found["controls"] == 24).all()
    assert (found["share"] > found["control_share"]).all()
    assert found["identified"].isna().all()
    assert "yes" not in set(rows("known", "untrained_artist", encoder)["answer"])


@pytest.mark.long
def test_a_model_that_keeps_some_of_any_work_imitates_nobody_by_it(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("echo")
    assert (found["works_p"] <= 0.05).all()  # the images are near the artist's works, as those of any given work are
    assert (found["share"] > 0.2).all()
    assert (found["answer"] == "yes").sum() <= 1
    assert (found["answer"] == "no").sum() >= 6, found["reason"].tolist()


@pytest.mark.long
def test_too_few_artists_for_comparison_are_no_answer(rows: Callable[..., pd.DataFrame]) -> None:
    found = rows("few")
    assert (found["answer"] == "could not be tested").all()
    assert found["reason"].str.contains("9 other artists").all()
    assert found["settle"].str.contains("10 more artists").all()


@pytest.mark.long
def test_labels_of_names_are_not_asked(audit: Workspace) -> None:
    assert audit.warehouse.read(f"arm_trials/{MODELS[0]}").empty
    assert recomputed(audit, ARMS, MODELS[0]) == []


@pytest.mark.long
def test_a_real_pipeline_is_given_works_and_the_evidence_holds(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    protocol = (PROTOCOLS / "paper_2023_small.yaml").read_text(encoding="utf-8")
    given = (
        "\narms: [{name: uploaded, way: reference_image, templates: [Artwork], trials: 5, works: 1, strength: 0.5}]\n"
    )
    (tmp_path / "protocol.yaml").write_text(protocol + given, encoding="utf-8")
    ws = drive(small_audit(tmp_path, protocol="protocol.yaml"))
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        images = connection.sql("SELECT * FROM arm_images").df()
        results = connection.sql("SELECT * FROM arm_results").df()
        works = connection.sql("SELECT subject, min_by(image_sha256, work) FROM reference_works GROUP BY 1").fetchall()
    assert set(images["kind"]) == {"artist", "untrained_artist", "background"}
    assert (images["status"] == "ok").all()
    assert dict(zip(images["subject"], images["upload_sha256"], strict=True)).items() <= dict(works).items()
    assert results["reason"].str.contains("other artists were given in the same way; a test at 0.05 needs 19").any()
    assert "yes" not in set(results["answer"])  # the small audit has 12 artists of the background
    assert (results["controls"] < 19).all()
    assert results.groupby("encoder")["share"].mean().between(0.2, 1.2).all()
    pages = [page.read_text(encoding="utf-8") for page in (ws.warehouse.root / "reports" / "artists").glob("*.html")]
    assert any("“Artwork”, with 1 of the artist’s works, one for each image" in page for page in pages)
    checks = verify(ws, "miniature-1", replay=0, sample=1)
    assert [finding for check in checks for finding in check.findings] == []
