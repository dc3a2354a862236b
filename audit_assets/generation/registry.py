"""Resolve an image source before anything expensive: what it is, whether it is whole, and what will be asked of it. No torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.generation.families import defaults
from audit_assets.model_files import check_weights, files_sha256, local_folder, read_json, text_encoder_family

_MAY_LACK_A_FOLDER = {"safety_checker", "feature_extractor", "image_encoder"}


@dataclass(frozen=True)
class ResolvedModel:
    """A model version as its results will cite it."""

    name: str
    source: str
    path: Path
    pipeline_class: str | None
    revision: str | None
    files_sha256: str
    text_encoder_families: tuple[str, ...]
    settings: dict[str, Any]


def resolve_diffusers(name: str, path: str, revision: str | None, settings: dict[str, Any]) -> ResolvedModel:
    """InputError where the folder is no pipeline, a component is missing, or a weight file is a pickle or truncated."""
    folder, found = local_folder(path, revision)
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise InputError(f"{folder / 'model_index.json'}: names no pipeline (_class_name); copy the model again.")
    families = []
    for component, value in index.items():
        if component.startswith("_") or not isinstance(value, list) or not value or value[0] is None:
            continue
        own = folder / component
        if not own.is_dir():
            if component in _MAY_LACK_A_FOLDER:
                continue
            raise InputError(f"{own}: the component that model_index.json names is missing; copy the model again.")
        if not any(own.glob("*config.json")):
            raise InputError(f"{own / 'config.json'}: is missing; the model was copied in part, copy it again.")
        config = read_json(own / "config.json") if (own / "config.json").exists() else {}
        if config:
            check_weights(own)
        if component.startswith("text_encoder"):
            families.append(text_encoder_family(config))
    if not families:
        raise InputError(
            f"{folder}: the pipeline {pipeline} has no text encoder, so a name cannot be asked for; audit its images as an image_folder."
        )
    known = defaults(pipeline)
    if unknown := sorted(settings.keys() - known.keys()):
        raise InputError(f"settings: there is no setting {unknown[0]!r}; the settings are {', '.join(known)}.")
    return ResolvedModel(
        name, "diffusers", folder, pipeline, found, files_sha256(folder), tuple(families), {**known, **settings}
    )


def left_out(folder: Path) -> list[str]:
    """Components that model_index.json names and a pipeline draws without, such as the safety checker, if they were not copied."""
    index = read_json(folder / "model_index.json")
    return sorted(c for c in _MAY_LACK_A_FOLDER & index.keys() if not (folder / c).is_dir())


def resolve_folder(name: str, folder: Path) -> ResolvedModel:
    """Images that a person saved from a model: `<artist>/<any name>.{png,jpg,webp}`."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; put the images there, one folder for each artist.")
    files = sorted(p for p in folder.glob("*/*") if p.is_file() and not p.is_symlink())
    if not files:
        raise InputError(f"{folder}: holds no images; it takes <artist>/<any name>.png, .jpg or .webp.")
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(folder).as_posix()}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return ResolvedModel(name, "image_folder", folder, None, None, total.hexdigest(), (), {})
