"""Damage to the files of an audit, drawn by a seed, and what a user does who reads the error and nothing else."""

import random
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import yaml

from audit_assets.errors import InputError
from audit_assets_tests.drive import drive, driven

Kind = Literal["bit", "cut", "zeros", "empty"]
RESULTS = ("identification_*", "default_label_shares", "matching_*", "verdict*", "template_matrix", "score_correlations",
           "encoder_independence", "dose_response", "model_*/*", "model_comparison*", "model_trends*", "verified",
           "reference_trials*", "calibration*", "reliability*", "auditability*", "audit.duckdb", "published*", "reports",
           "audit_report", "artist_pages*", "sigmoid_scores")  # fmt: skip
"""What is measured from embeddings, and all that follows."""


def audited_alone(small_audit: Callable[..., Path], miniature: Path, folder: Path) -> Path:
    for name in ("models/miniature-1", "encoders"):
        shutil.copytree(miniature / name, folder / name, symlinks=False)
    content = yaml.safe_load((miniature / "small.yaml").read_text(encoding="utf-8"))
    models = [m for m in content["models"] if m["approved"]]
    config = small_audit(folder, models=models, encoders=content["encoders"])
    drive(config)
    return config


def copy_of(config: Path, folder: Path) -> Path:
    """The audit in a folder that the test may spoil, without its database of events moved in time."""
    shutil.copytree(config.parent, folder, symlinks=True)
    return folder / config.name


def remove(config: Path, patterns: Sequence[str]) -> None:
    """Take away what patterns match in the warehouse, as if it were not made yet."""
    for pattern in patterns:
        for path in (config.parent / "warehouse").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def drawn(config: Path, pattern: str, draws: random.Random) -> Path:
    """One of the files that a pattern matches below the audit's folder, each equally likely."""
    found = sorted(p for p in config.parent.glob(pattern) if p.is_file() and p.stat().st_size)
    assert found, f"nothing matches {pattern}"
    return draws.choice(found)


def damage(path: Path, kind: Kind, draws: random.Random) -> None:
    """One bit the other way; the end gone; a run of zeros, as of a sector that was never written; nothing left at all."""
    content = bytearray(path.read_bytes())
    place = draws.randrange(len(content))
    if kind == "bit":
        content[place] ^= 1 << draws.randrange(8)
    elif kind == "cut":
        del content[place:]
    elif kind == "zeros":
        content[place : place + 512] = bytes(len(content[place : place + 512]))
    else:
        content.clear()
    path.unlink()
    path.write_bytes(content)


def problems(config: Path) -> list[str]:
    """Run an audit. Returns why it stopped, or what it left out."""
    try:
        return driven(config).problems()
    except InputError as error:
        return [str(error)]


def run_and_repair(config: Path, source: Path, most: int = 4) -> list[str]:
    """Run an audit; where it stops or leaves something out, do what the message says, and run it again. Returns the messages.

    Files that the audit made are deleted, as they say; files that it was given are copied from `source` again.
    """
    said: list[str] = []
    while True:
        told = problems(config)
        if not told:
            return said
        said.append(told[0])
        assert len(said) <= most, "\n".join(said)
        _follow(said[-1], config, source)


def _follow(said: str, config: Path, source: Path) -> None:
    """What the message asks for, of the one file that it names."""
    # What is left out is named from the folder of the audit, so that the message is the same on every machine.
    named = next(
        p for p in (config.parent / n for n in re.findall(r"([^\s:,]*/[^\s:,]+)", said)) if p.exists() and p != config
    )
    if any(remedy in said for remedy in ("copy it again", "copy the model again", "put the files back")):
        shutil.copyfile(source.parent / named.relative_to(config.parent), named)
    else:
        assert "delete" in said, said
        shutil.rmtree(named) if named.is_dir() else named.unlink()
