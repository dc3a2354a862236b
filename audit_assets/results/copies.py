"""Find images that are near copies of a real work, and keep them out of both experiments.

A copy shows that the model reproduces a work. It does not show that the model can make new images in the artist's style, so it is
listed apart and counts in neither experiment. Images of control names are treated in the same way, so that names stay comparable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry
from audit_assets.measurement.answers import UNTESTED, Finding
from audit_assets.measurement.copy_detection import (
    Nearest,
    Threshold,
    is_copy,
    nearest_embeddings,
    nearest_pictures,
    threshold,
)
from audit_assets.measurement.near_copies import PIXELS, pixels_alike, same_pictures
from audit_assets.measurement.registration import SIDE
from audit_assets.measurement.vectors import IntArray
from audit_assets.results.recipe import Recipe, images_of, works_of
from audit_assets.roster.subjects import CONTROL_KINDS
from audit_assets.warehouse.database import columns
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

KEYS = ["subject", "template", "trial"]
PICTURES = "small grey pictures"
NAMES, OTHERS, NONE = "images of control names", "works among works of other artists", "none"
"""The images and works that cannot be copies: the first of these with enough of them is used."""
NO_WORKS = "No artist has real works, so no image could be compared with one."
NO_IMAGES = "No image of this model version shows anything."


@dataclass(frozen=True)
class Sides:
    """What is compared: the rows of images and of works, and how to find the nearest works of any of them."""

    images: pd.DataFrame
    works: pd.DataFrame
    method: str
    encoder: EncoderEntry | None

    @cached_property
    def groups(self) -> IntArray:
        """Number the works; those that are one picture have one number (works,)."""
        return same_pictures(self.works["picture"].tolist(), self.works["image_sha256"].astype(str).tolist())

    def nearest(self, rows: pd.DataFrame, apart: tuple[np.ndarray, np.ndarray] | None = None) -> Nearest:
        """Find the nearest work of each of ``rows``. Equal files are the same picture by any method."""
        if self.encoder is not None:
            made, real = vectors(rows["embedding"]), vectors(self.works["embedding"])
            found = nearest_embeddings(made, real, groups=self.groups, apart=apart)
            nearest = self.works["picture"].iloc[found.work].tolist()
            alike = pixels_alike(rows["picture"].tolist(), nearest) >= PIXELS
        else:
            pictures, works = _pictures(rows["grey"]), _pictures(self.works["grey"])
            found = nearest_pictures(pictures, works, groups=self.groups, apart=apart)
            alike = found.same
        equal = rows["image_sha256"].to_numpy() == self.works["image_sha256"].to_numpy()[found.work]
        return replace(found, same=(found.work >= 0) & (alike | equal))


def images_with_copies(ws: Workspace, encoder: EncoderEntry, model: str) -> pd.DataFrame:
    """Return the embedded images, with the work that each is a near copy of in ``copy_of`` (its sha256; NULL for none)."""
    images = ws.warehouse.read_all(images_of(ws, [encoder], model))
    found = ws.warehouse.read(copies_of(model))
    copied = found.loc[found["is_copy"].astype(bool), [*KEYS, "work_sha256"]].rename(columns={"work_sha256": "copy_of"})
    return images.merge(copied, on=KEYS, how="left")


def images_that_count(ws: Workspace, encoder: EncoderEntry, model: str) -> pd.DataFrame:
    """Return the embedded images without near copies: the evidence on style."""
    images = images_with_copies(ws, encoder, model)
    return images[images["copy_of"].isna()].drop(columns="copy_of").reset_index(drop=True)


def copies_among(ws: Workspace, model: str, tables: Callable[[EncoderEntry], list[str]]) -> set[str]:
    """Return the hashes of further images of a model version that are near copies, by the threshold of its own images.

    ``tables`` gives the tables of embeddings of these images by an encoder.
    """
    encoder = _detector(ws, model)
    places = tables(read := encoder or ws.encoders(model)[0])
    real = works_of(ws, [read])
    if not places or not real or any(ws.warehouse.inputs(place) is None for place in places):
        return set()
    images, works = ws.warehouse.read_all(places), ws.warehouse.read_all(real)
    images = images[images["status"] == "ok"].reset_index(drop=True)
    if images.empty or works.empty:
        return set()
    limit = ws.warehouse.read(detection_of(model))["threshold"].astype("float64").iloc[0]
    at = Threshold(float("inf") if np.isnan(limit) else float(limit), 0, 0, 1.0)
    return set(images.loc[_called(Sides(images, works, "", encoder).nearest(images), at, encoder), "image_sha256"])


def _called(found: Nearest, at: Threshold, encoder: EncoderEntry | None) -> np.ndarray:
    """Which images are near copies. The least similarity is one of pictures; each encoder has its own scale."""
    return is_copy(found, at) if encoder is None else is_copy(found, at, least_similarity=0.0)


def detection_of(model: str) -> str:
    """Return the place of the table that says how near copies of a model version were found."""
    return f"copy_detection/{model}"


def copied(ws: Workspace, model: str) -> pd.Series:
    """Return the number of near copies of each subject that has any, among the images of prompts that name it."""
    found = ws.warehouse.read(copies_of(model), ["subject", "template", "is_copy"])
    found = found[found["is_copy"].astype(bool) & (found["template"] >= 0)]
    return found.groupby("subject").size()


def but_for_copies(finding: Finding | None, copies: int) -> Finding | None:
    """Say in an answer how many images of the subject were left out, since they are near copies."""
    if finding is None or not copies:
        return finding
    said = f"{copies} image{' is a near copy' if copies == 1 else 's are near copies'} of real works, and left out."
    settle = (
        f"Images that are no copies. {finding.settle or ''}".strip() if finding.answer == UNTESTED else finding.settle
    )
    return replace(finding, reason=f"{said} {finding.reason}", settle=settle)


def copies_of(model: str) -> str:
    """Return the place of the table that says which images of a model version are near copies."""
    return f"image_copies/{model}"


def detected(sides: Sides, subjects: pd.DataFrame) -> tuple[pd.DataFrame, Threshold, str]:
    """Compare every shown image with every work: one row per image, the threshold, and where it comes from.

    ``sides.images`` has subject, template, trial, image_sha256 and what the method reads; ``sides.works`` has subject, work and
    image_sha256 beside it. ``subjects`` has subject, kind, shares_name_parts.
    """
    found = sides.nearest(sides.images)
    # An image of one colour is near to no work.
    of_work = sides.works.reset_index(drop=True).reindex(np.where(found.work < 0, len(sides.works), found.work))
    rows = sides.images[[*KEYS, "image_sha256"]].assign(
        kind=sides.images["subject"].map(subjects.set_index("subject")["kind"]).astype(str).to_numpy(),
        other_subject=of_work["subject"].to_numpy(),
        work=of_work["work"].astype("Int32").to_numpy(),
        work_sha256=of_work["image_sha256"].to_numpy(),
        similarity=found.similarity,
        score=found.score,
    )
    background, at = _background(sides, found, subjects)
    rows["is_copy"] = _called(found, at, sides.encoder)
    return rows.reset_index(drop=True), at, background


def _background(sides: Sides, found: Nearest, subjects: pd.DataFrame) -> tuple[str, Threshold]:
    """Choose what cannot be a copy, and take the threshold from it.

    Names recombined from an artist's own parts are no background, because such a name can bring the artist about.
    """
    shares = subjects["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    controls = set(subjects.loc[subjects["kind"].isin(CONTROL_KINDS) & ~shares, "subject"])
    named = (sides.images["template"] >= 0) & sides.images["subject"].isin(controls)
    compared = named.to_numpy() & (found.work >= 0)
    of_names = threshold(found.score[compared], found.same[compared])
    if not of_names.reason:
        return NAMES, of_names
    artist = pd.factorize(sides.works["subject"])[0]
    among = sides.nearest(sides.works, (artist, artist))
    others = threshold(among.score[among.work >= 0], among.same[among.work >= 0])
    if not others.reason:
        return OTHERS, others
    reason = f"Images of control names: {of_names.reason} Works among works of other artists: {others.reason}"
    return NONE, Threshold(float("inf"), max(of_names.units, others.units), 0, 1.0, reason)


def _pictures(grey: Sequence[bytes] | pd.Series) -> np.ndarray:
    return np.frombuffer(b"".join(grey), dtype=np.uint8).reshape(-1, SIDE, SIDE)


def _sides(ws: Workspace, model: str) -> Sides:
    """Read what is compared: by the encoder that `copies` of audit.yaml names, else by small pictures."""
    encoder = _detector(ws, model)
    read = encoder or ws.encoders(model)[0]
    images = ws.warehouse.read_all(images_of(ws, [read], model))
    images = images[images["status"] == "ok"].sort_values(KEYS, kind="stable", ignore_index=True)
    real = works_of(ws, [read])
    works = ws.warehouse.read_all(real) if real else images.iloc[:0].assign(work=0)
    works = works.sort_values(["subject", "work"], kind="stable", ignore_index=True)
    return Sides(images, works, encoder.name if encoder else PICTURES, encoder)


def _detector(ws: Workspace, model: str) -> EncoderEntry | None:
    return next((e for e in ws.encoders(model) if e.name == ws.audit.copies), None)


def _sources(ws: Workspace, model: str) -> list[str]:
    read = [_detector(ws, model) or ws.encoders(model)[0]]
    return [*images_of(ws, read, model), *works_of(ws, read)]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    sides, about = _sides(ws, model), {"protocol": ws.protocol.name, "model_version": model}
    if sides.works.empty or sides.images.empty:
        rows = pd.DataFrame(columns=columns("image_copies"))
        reason = NO_WORKS if sides.works.empty else NO_IMAGES
        at, background = Threshold(float("inf"), 0, 0, 1.0, reason), NONE
    else:
        rows, at, background = detected(sides, ws.subjects())
        rows = rows.assign(**about, method=sides.method)[columns("image_copies")]
    tested = not at.reason
    said = {
        "images": len(sides.images),
        "works": len(sides.works),
        "copies": int(rows["is_copy"].astype(bool).sum()),
        "method": sides.method,
        "background": background,
        "units": at.units,
        "above": at.above,
        "threshold": at.score if tested else None,
        "false_share": at.bound if tested else None,
        "reason": at.reason or None,
        "settle": None if tested else settle(at.reason),
    }
    return {"image_copies": rows, "copy_detection": pd.DataFrame([{**about, **said}])[columns("copy_detection")]}


def settle(reason: str) -> str:
    """Say what would settle a search for copies that could not be made in full."""
    if reason == NO_WORKS:
        return "Works of one artist or more."
    if reason == NO_IMAGES:
        return "Images that show something."
    return f"More control names, or works of more artists. Until then only pictures that are the same (correlation of small pictures {PIXELS} or more) are called copies."


COPIES = Recipe(("image_copies", "copy_detection"), _sources, _make)
"""Which images are near copies of a real work, and how many false ones the list may have."""
