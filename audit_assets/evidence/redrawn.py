"""Draw images again from their prompts and seeds, and compare them with the kept images."""

import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.errors import InputError
from audit_assets.evidence.check import Check, finding
from audit_assets.evidence.manifest import Manifest
from audit_assets.generation.stage import ImitationStage
from audit_assets.generation.tables import redrawn_otherwise
from audit_assets.models.registry import folder_here
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.places import local_copy
from audit_assets.workspace import Workspace

MOST_LEVELS, MOST_SHARE = 8, 0.02
"""What another machine of the same device and number type explains: grey levels, and share of an image's values.

Another batch size or number of threads changes at most one level in one value of ten thousand (docs/models.md); other
vector units and library versions round otherwise in every step.
"""


def replay(ws: Workspace, manifest: Manifest, subjects: int, elsewhere: list[str]) -> Check:
    """Draw whole subjects again, because the batch plan decides the bytes."""
    model = manifest.model_version
    check = Check("images drawn again")
    entry = ws.audit.model(model)
    if subjects <= 0:
        return Check("images drawn again", unchecked=["none were asked for"])
    if entry.source == "api":
        served = (
            f"{model}: is served behind an API, so its images cannot be drawn again; they stand as they were answered"
        )
        return Check("images drawn again", unchecked=[served])
    absent = folder_here(ws.audit, entry) is None
    if absent or entry.retired or not entry.approved:
        reason = "is not on this machine" if absent else "is retired or not approved"
        return Check("images drawn again", unchecked=[f"{model}: {reason}, so no image is drawn again"])
    with finding(check, model), tempfile.TemporaryDirectory() as folder:
        stage = ImitationStage(ws)
        drawn = stage.drawn(model)
        if not drawn:
            return Check(check.title, unchecked=[f"{model}: has no images"])
        chosen = random.SystemRandom().sample(drawn, min(subjects, len(drawn)))
        store = ImageStore(Path(folder))
        table = stage.replay(model, chosen, store)
        untold = 0
        for row in redrawn_otherwise(table).to_dict("records"):
            where = f"imitations/{model}/{row['subject']}.parquet, template {row['template']}, trial {row['trial']}"
            apart = difference(ws.images, store, row["image_sha256"], row["replayed_sha256"])
            said = f"{where}: drawn again, {apart}"
            plan = row["plan"]
            why = elsewhere if same(plan, row["replayed_plan"]) else [f"drawn as {row['replayed_plan']}", *elsewhere]
            if not why:
                check.findings.append(said)
            elif comparable(plan, row["replayed_plan"]):
                explained = apart.levels <= MOST_LEVELS and apart.share <= MOST_SHARE
                said += f"; not the same circumstances: {why[0]}"
                if explained:
                    check.unchecked.append(said)
                else:
                    check.findings.append(f"{said}, which explain up to {MOST_LEVELS} grey levels in {MOST_SHARE:.0%}")
            else:
                untold += 1
                check.unchecked.append(
                    f"{said}. It was drawn on another device or in another number type ({plan}), so it cannot be told "
                    "from a forged one here: verify on such a device"
                )
        if untold < len(table):
            check.seen = f"{len(table) - untold} images of {', '.join(sorted(chosen))}"
    if elsewhere:
        check.unchecked.append(f"the machine or its files are not those of the manifest: {'; '.join(elsewhere[:5])}")
    return check


def comparable(plan: Any, other: Any) -> bool:
    """Whether two plans of drawing (JSON) share a device and float32: then an image hardly depends on the machine.

    In half precision, and between a GPU and a CPU, rounding errors grow over the steps until the image is another one.
    """
    try:
        one, two = json.loads(plan), json.loads(other)
        return bool(one["device"] == two["device"] and one["dtype"] == two["dtype"] == "float32")
    except (TypeError, ValueError, LookupError):
        return False


def same(one: Any, other: Any) -> bool:
    return (one is None or pd.isna(one)) if (other is None or pd.isna(other)) else one == other


@dataclass(frozen=True)
class Difference:
    """How far two images are apart: the largest difference in grey levels, and the share of values that differ.

    Both are infinite if the images cannot be compared.
    """

    words: str
    levels: float = np.inf
    share: float = 1.0

    def __str__(self) -> str:
        return self.words


def difference(kept: ImageStore, drawn: ImageStore, one: Any, other: Any) -> Difference:
    """Measure how far the image of one hash in a store is from the image of another hash in a second store."""
    if not isinstance(one, str) or not isinstance(other, str):
        return Difference("there is an image on one side and none on the other")
    try:
        pixels = [
            np.asarray(open_image(local_copy(path)), dtype=np.int16) for path in (kept.path(one), drawn.path(other))
        ]
    except InputError as error:
        return Difference(str(error))
    if pixels[0].shape != pixels[1].shape:
        return Difference(f"it has another size ({pixels[0].shape} and {pixels[1].shape})")
    away = np.abs(pixels[0] - pixels[1])
    levels, share = int(away.max()), float(np.mean(away > 0))
    return Difference(f"it differs by up to {levels} grey levels, in {share:.2%} of its values", levels, share)
