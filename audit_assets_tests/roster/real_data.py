"""Real captions and names, in a folder beside the repository; tests that want them skip where it is absent."""

import csv
import functools
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"


def real_file(name: str) -> Path:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"real data are not here: {path}")
    return path


def real_captions_file() -> Path:
    return real_file("img2dataset_test_10000_laion_like.csv")


@functools.cache
def real_captions() -> list[str]:
    with real_captions_file().open(newline="", encoding="utf-8") as file:
        return [row["TEXT"] for row in csv.DictReader(file)]


@functools.cache
def real_names() -> list[str]:
    """Every name of the real lists: clip-interrogator's, UCE's, SupaGruen's known and excluded, ArtStation's."""
    names = real_file("clip_interrogator_artists.txt").read_text("utf-8").splitlines()
    names += [line.split(",")[0] for line in real_file("uce_artists_sd.txt").read_text("utf-8").splitlines()]
    for file_name, delimiter in (
        ("supagruen_artists_known.csv", ","),
        ("supagruen_artists_excluded.csv", ","),
        ("gvm_artstation_artworks.tsv", "\t"),
    ):
        with real_file(file_name).open(newline="", encoding="utf-8") as file:
            names += [row["artist_name"] for row in csv.DictReader(file, delimiter=delimiter)]
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))
