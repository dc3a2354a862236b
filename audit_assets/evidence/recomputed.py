"""Compute results again from the rows of images, and embed a sample of images, works and labels again."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.encoders.embed import embed_labels, embed_stored
from audit_assets.encoders.load import load
from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.evidence.archive_file import LeftOut
from audit_assets.evidence.check import Check, count, finding
from audit_assets.evidence.manifest import Manifest
from audit_assets.models.registry import folder_here, resolve_encoder_entry
from audit_assets.results.stage import ResultStage
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

SAME_MACHINE = 1e-6
ANY_MACHINE = 1e-3
"""Cosine distances: an embedding made again is nearer than this on the same kind of machine, and on any."""


def results(ws: Workspace, model: str) -> Check:
    check = Check("results computed again from the image-level rows and embeddings", "every table")
    with finding(check, "results"):
        check.findings += [f"{ws.warehouse.root}: {finding}" for finding in ResultStage(ws).recomputed(model)]
    with finding(check, "label_embeddings"):
        texts = EmbeddingStage(ws).label_rows()
        for entry in ws.text_encoders(model):
            kept = ws.warehouse.read(f"label_embeddings/{entry.name}")[list(texts.columns)]
            if kept.to_numpy().tolist() != texts.to_numpy().tolist():
                check.findings.append(f"label_embeddings/{entry.name}.parquet: has other labels than the protocol's")
    return check


def embeddings(ws: Workspace, manifest: Manifest, sample: int, elsewhere: list[str], left: set[LeftOut]) -> Check:
    check, seen = Check("a sample embedded again"), 0
    if sample <= 0:
        return Check("a sample embedded again", unchecked=["nothing was asked for"])
    draw = random.SystemRandom()
    for entry in ws.encoders(manifest.model_version):
        if folder_here(ws.audit, entry) is None:
            check.unchecked.append(f"{entry.name}: is not on this machine, so no embedding is made again")
            continue
        with finding(check, entry.name):
            encoder = load(resolve_encoder_entry(ws.audit, entry))
            images = [s.embeddings[entry.name] for s in manifest.subjects if any(i.image_sha256 for i in s.images)]
            works = [r.embeddings[entry.name] for r in manifest.references]
            for tables in (images, [] if "real works" in left else works):
                rows = _some_rows(ws, tables, sample, draw)
                if len(rows):
                    again = embed_stored(encoder, rows.drop(columns="embedding"), ws.images)
                    seen += len(rows)
                    _compare(check, rows, again, elsewhere, _image)
            if entry.kind == "image_text":
                where = f"label_embeddings/{entry.name}"
                labels = ws.warehouse.read(where).drop(columns="lost")
                labels = labels.iloc[sorted(draw.sample(range(len(labels)), min(sample, len(labels))))]
                again = embed_labels(encoder, labels.drop(columns="embedding"))
                seen += len(labels)
                _compare(check, labels, again, elsewhere, partial(_label, where))
    check.seen = count(seen, "images, works and labels")
    return check


def _image(row: dict[str, Any]) -> str:
    return f"{row['table']}, image {row['image_sha256']}"


def _label(table: str, row: dict[str, Any]) -> str:
    return f"{table}.parquet, label {row['label']}"


def _some_rows(ws: Workspace, tables: list[str], sample: int, draw: random.Random) -> pd.DataFrame:
    """Draw rows of embedding tables at random, and return each with its table."""
    chosen = draw.sample(tables, min(sample, len(tables)))
    frames = []
    for table in chosen:
        rows = ws.warehouse.read(table.removesuffix(".parquet"))
        each = -(-sample // len(chosen))
        frames.append(rows.iloc[draw.sample(range(len(rows)), min(each, len(rows)))].assign(table=table))
    frames = [f for f in frames if len(f)]
    return pd.concat(frames, ignore_index=True).head(sample) if frames else pd.DataFrame()


def _compare(
    check: Check,
    kept: pd.DataFrame,
    again: pd.DataFrame,
    elsewhere: list[str],
    name: Callable[[dict[str, Any]], str],
) -> None:
    one, other = (vectors(t["embedding"]).astype(np.float64) for t in (kept, again))
    distance = np.inf if one.shape != other.shape else 1 - np.sum(one * other, axis=1)
    distance = np.broadcast_to(np.nan_to_num(distance, nan=np.inf), len(kept))
    for row, apart in zip(kept.to_dict("records"), distance, strict=True):
        said = f"{name({str(k): v for k, v in row.items()})}: made again it is {apart:.2g} (cosine) from what is kept"
        if apart > ANY_MACHINE or (apart > SAME_MACHINE and not elsewhere):
            check.findings.append(said)
        elif apart > SAME_MACHINE:
            check.unchecked.append(f"{said}; the machine differs: {elsewhere[0]}")
