"""A small published database, built from the contract itself, whose aggregates are counted from its image-level rows."""

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit_assets.workspace import Workspace
from audit_assets_tests.conftest import made_once
from audit_assets_tests.processes import free_port
from audit_assets_tests.publication import world
from audit_assets_tests.roster.published import ROSTER_ROWS

SCHEMA = Path(__file__).resolve().parents[2] / "audit_assets" / "warehouse" / "schema.sql"
MODELS = ("sd-miniature", "sd-miniature-after-opt-out")
ENCODERS = ("miniature-clip", "miniature-dino")
HOSTILE = "<img src=x onerror=alert(1)>"
DEFAULTS = ("default:Artwork", "default:Digital Artwork", "default:Artwork from the public domain")
TRIALS, WORKS, DIMENSION = 4, 3, 4
ARTISTS = {
    "ana-lima": "Ana Lima", "bo-dahl": "Bo Dahl", "img-src-x": HOSTILE, "price": "Price $5 & $6",
    "lin": "林風眠", "zoe-o-hara": "Zoë O'Hara", "long": "Long " * 38, "dee-frost": "Dee Frost",
    "eve-moss": "Eve Moss", "fay-north": "Fay North",
}  # fmt: skip
RANDOM = {"gus-hale": "Gus Hale", "ida-pike": "Ida Pike", "jon-reed": "Jon Reed", "kit-vale": "Kit Vale"}
RECOMBINED = {"ana-dahl": "Ana Dahl", "bo-frost": "Bo Frost", "dee-moss": "Dee Moss", "eve-lima": "Eve Lima"}
UNTRAINED = {"una-west": "Una West", "vic-york": "Vic York"}
BACKGROUND = {"walt-ash": "Walt Ash"}


def schema() -> str:
    """The contract with its two placeholders filled in; the embedding tables once for each encoder."""
    statements = []
    for statement in SCHEMA.read_text().split(";\n"):
        if "_<encoder> (" in statement:
            statements += [
                statement.replace("<encoder>", encoder.replace("-", "_")).replace("FLOAT[d]", f"FLOAT[{DIMENSION}]")
                for encoder in ENCODERS
            ]
        else:
            statements.append(statement)
    return ";\n".join(statements)


def sha256(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def subjects() -> pd.DataFrame:
    found = [
        {"subject": slug, "name": name, "kind": kind, "shares_name_parts": shares, "rosters": rosters,
         "mentions": 100 + 10 * len(slug) if rosters else None, "opted_out": slug == "dee-frost", "retired": False}
        for names, kind, shares, rosters in (
            (ARTISTS, "artist", None, ["criteria", "most_mentioned"]), (RANDOM, "random_name", False, None),
            (RECOMBINED, "random_name", True, None), (UNTRAINED, "untrained_artist", None, None),
            (BACKGROUND, "background", None, None))
        for slug, name in names.items()
    ]  # fmt: skip
    return pd.DataFrame(found)


def imitations() -> pd.DataFrame:
    return pd.DataFrame(
        {"model_version": model, "subject": slug, "template": 0, "trial": trial, "prompt": f"Artwork from {name}",
         "seed": 1000 + trial, "generation_hash": "g1", "image_sha256": sha256(model, slug, trial), "width": 32,
         "height": 32, "status": "blank" if (slug, trial) == ("bo-dahl", 3) else "ok"}
        for model in MODELS for slug, name in (ARTISTS | RANDOM | RECOMBINED | UNTRAINED).items()
        for trial in range(TRIALS)
    )  # fmt: skip


def predicted(model: str, subject: str, trial: int) -> str | None:
    if (subject, trial) == ("bo-dahl", 3):
        return None
    if subject in ARTISTS and trial == 0 and subject in ("lin", "price"):
        return DEFAULTS[0]
    if model == MODELS[1] and subject == "dee-frost":
        return DEFAULTS[1] if trial else "eve-moss"
    if subject in RANDOM and trial == 0:
        return subject if subject == "gus-hale" else DEFAULTS[2]
    if subject in RECOMBINED and trial < 2:
        return subject
    return subject if subject in ARTISTS else DEFAULTS[1]


def trials() -> pd.DataFrame:
    sets = {
        "criteria": ARTISTS,
        "random_names": RANDOM,
        "recombined_names": RECOMBINED,
        "joint": ARTISTS | RANDOM | RECOMBINED | UNTRAINED,
    }
    kinds = subjects().set_index("subject")["kind"]
    found = []
    for model in MODELS:
        for label_set, names in sets.items():
            for subject in names:
                for trial in range(TRIALS):
                    label = predicted(model, subject, trial)
                    right = label == subject
                    found.append(
                        {"protocol": "paper_2023", "model_version": model, "encoder": "miniature-clip",
                         "label_set": label_set, "subject": subject, "kind": kinds[subject], "template": 0,
                         "label_template": 0, "trial": trial, "predicted_label": label,
                         "probability": None if label is None else 0.7,
                         "probability_of_subject": None if label is None else 0.7 if right else 0.1,
                         "rank_of_subject": None if label is None else 1 if right else 2, "correct": right}
                    )  # fmt: skip
    return pd.DataFrame(found)


COUNT = """
INSERT INTO identification_by_subject BY NAME
WITH counted AS (
  SELECT protocol, model_version, encoder, label_set, subject, kind, count(*) AS images, sum(correct::INT) AS correct,
         sum((rank_of_subject <= 5)::INT) AS top5, avg(coalesce(1 / rank_of_subject, 0)) AS mean_reciprocal_rank,
         avg(correct::INT) AS accuracy, mode(predicted_label) AS plurality, avg(probability_of_subject) AS mean,
         avg(coalesce(starts_with(predicted_label, 'default:'), false)::INT) AS share_default
  FROM identification_trials GROUP BY protocol, model_version, encoder, label_set, subject, kind)
SELECT protocol, model_version, encoder, label_set, subject, kind, images, correct, accuracy AS image_accuracy,
       CASE WHEN correct * 2 = images THEN NULL ELSE plurality END AS plurality_label,
       correct * 2 > images AS plurality_correct, mean AS mean_probability_of_subject, share_default, top5,
       mean_reciprocal_rank
FROM counted;
INSERT INTO identification_summary BY NAME
SELECT protocol, model_version, encoder, label_set, i.kind, shares_name_parts, labels, 1 / labels AS chance,
       count(*) AS subjects, sum(images) AS images, sum(correct) / sum(images) AS image_accuracy,
       greatest(0, sum(correct) / sum(images) - 0.05) AS image_accuracy_low,
       least(1, sum(correct) / sum(images) + 0.05) AS image_accuracy_high,
       sum(plurality_correct::INT) AS subjects_correct
FROM identification_by_subject i JOIN subjects USING (subject)
JOIN (SELECT label_set, count(DISTINCT subject) + 3 AS labels FROM identification_trials GROUP BY ALL) USING (label_set)
GROUP BY ALL;
INSERT INTO matching_summary BY NAME
SELECT protocol, model_version, encoder, test, alternative, control, adjustment, kind, count(*) AS subjects,
       sum(significant) AS significant, avg(significant) AS share
FROM matching_by_subject GROUP BY ALL;
"""


def matching() -> pd.DataFrame:
    found = []
    for model in MODELS:
        for encoder in ENCODERS:
            for place, subject in enumerate(ARTISTS):
                for alternative, factor in (("two_sided", 2.0), ("closer", 1.0)):
                    for control in ("none", "reassigned"):
                        p = min(1.0, factor * 10.0 ** -(9 - place)) if control == "none" else 0.05 * factor
                        adjusted = min(1.0, p * len(ARTISTS))
                        found.append(
                            {"protocol": "paper_2023", "model_version": model, "encoder": encoder,
                             "test": "rank_sum_asymptotic", "alternative": alternative, "control": control,
                             "subject": subject, "kind": "artist", "references_used": 1, "images": TRIALS,
                             "others": TRIALS * (len(ARTISTS) - 1), "statistic": 10.0 + place, "p_value": p,
                             "p_floor": 1e-9, "adjustment": "bonferroni", "p_adjusted": adjusted,
                             "significant": float(adjusted < 0.05) if control == "none" else 0.2 * factor / 2,
                             "unreachable": False, "auc": None, "auc_low": None, "auc_high": None}
                        )  # fmt: skip
    return pd.DataFrame(found)


def embeddings(keys: pd.DataFrame, seed: int) -> pd.DataFrame:
    vectors = np.random.default_rng(seed).normal(size=(len(keys), DIMENSION)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return keys.assign(embedding=list(vectors))


def insert(connection: duckdb.DuckDBPyConnection, table: str, frame: pd.DataFrame) -> None:
    connection.register("frame", frame)
    columns = ", ".join(frame.columns)
    connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM frame")  # noqa: S608
    connection.unregister("frame")


def build(path: Path) -> Path:
    connection = duckdb.connect(str(path))
    connection.execute(schema())
    insert(connection, "subjects", subjects())
    insert(
        connection,
        "model_versions",
        pd.DataFrame(
            {"model_version": model, "source": "diffusers", "pipeline_class": "StableDiffusionPipeline",
             "revision": f"r{place}", "files_sha256": sha256(model), "text_encoder_families": ["clip-miniature"],
             "generation_settings": '{"steps": 12, "guidance": 4.0}', "approved": place == 0, "retired": False}
            for place, model in enumerate(MODELS)
        ),
    )  # fmt: skip
    insert(
        connection,
        "encoders",
        pd.DataFrame(
            {"encoder": ENCODERS, "kind": ["image_text", "image"], "family": ["clip-miniature", "dino-miniature"],
             "revision": ["e1", "e2"], "files_sha256": [sha256(1), sha256(2)], "dimension": DIMENSION,
             "logit_scale": [100.0, None], "logit_bias": [None, None], "processor": "pil",
             "pooling": ["get_image_features", "class token"], "layer": ["visual_projection", "layernorm"],
             "is_primary": [True, False]}
        ),
    )  # fmt: skip
    insert(
        connection,
        "protocols",
        pd.DataFrame([{"protocol": "paper_2023", "generation_hash": "g1", "measurement_hash": "m1",
                       "definition": '{"templates": ["Artwork from {name}"], "trials": 4}'}]),
    )  # fmt: skip
    insert(connection, "imitations", imitations())
    works = pd.DataFrame(
        {"subject": slug, "work": work, "image_sha256": sha256("work", slug, work), "source": "synthetic",
         "licence": "CC0-1.0"}
        for slug in ARTISTS | UNTRAINED | BACKGROUND for work in range(WORKS)
    )  # fmt: skip
    insert(connection, "reference_works", works)
    insert(connection, "identification_trials", trials())
    insert(connection, "matching_by_subject", matching())
    connection.execute(COUNT)
    connection.execute(ROSTER_ROWS)
    labels = pd.DataFrame({"label": [*ARTISTS, *RANDOM, *RECOMBINED, *UNTRAINED, *DEFAULTS], "template": 0})
    insert(connection, "label_embeddings_miniature_clip", embeddings(labels, 1))
    for encoder in ("miniature_clip", "miniature_dino"):
        cells = imitations()[["model_version", "subject", "template", "trial"]]
        insert(connection, f"imitation_embeddings_{encoder}", embeddings(cells, 2))
        insert(connection, f"reference_embeddings_{encoder}", embeddings(works[["subject", "work"]], 3))
    connection.close()
    return path


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("published") / "audit.duckdb")


@pytest.fixture
def database_with_auditability(tmp_path: Path) -> Path:
    path = build(tmp_path / "audit.duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO auditability BY NAME SELECT 'paper_2023' AS protocol, 'miniature-clip' AS encoder, subject, kind, 3 AS real_works, "
            "CASE WHEN subject = 'lin' THEN 2 ELSE 3 END AS correct, correct / real_works AS accuracy "
            "FROM subjects WHERE kind IN ('artist', 'untrained_artist') "
            "UNION ALL SELECT 'paper_2023', 'miniature-dino', subject, kind, 3, NULL, NULL FROM subjects WHERE kind = 'artist'"
        )
    return path


@pytest.fixture
def load() -> Callable[[str], Image.Image]:
    def picture(digest: str) -> Image.Image:
        seed = int(digest[:8], 16)
        small = np.random.default_rng(seed).integers(0, 255, size=(4, 4, 3), dtype=np.uint8)
        return Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)

    return picture


@pytest.fixture(scope="session")
def simulated(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A simulated audit of two versions, with names that would break a page; only read."""
    hostile = world.World(names=world.HOSTILE)
    return Workspace.open(
        made_once(tmp_path_factory, "simulated", lambda f: world.simulate(f, miniature, hostile)) / "audit.yaml"
    )


@pytest.fixture
def browsing(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Starts `audit-assets browse` over an audit; returns its address. It ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(config: Path) -> str:
        port = free_port()
        command = [sys.executable, "-m", "audit_assets.cli", "browse", "--config", str(config), "--port", str(port)]
        with (tmp_path / "browse.log").open("wb") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert started[-1].poll() is None, (tmp_path / "browse.log").read_text()
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    return f"http://127.0.0.1:{port}"
            except OSError:
                time.sleep(0.5)
        raise AssertionError((tmp_path / "browse.log").read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=30)
