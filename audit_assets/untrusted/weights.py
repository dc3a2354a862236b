"""Files of a model that somebody else made: safetensors only, each file whole, and JSON and model cards of bounded size."""

import json
import struct
from pathlib import Path
from typing import Any

import yaml

from audit_assets.errors import InputError
from audit_assets.untrusted import yaml as safe_yaml

LARGEST_JSON = 100_000_000
"""Bytes. The largest tokenizers have some thirty million."""
PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object; InputError names the file."""
    try:
        if file.stat().st_size > LARGEST_JSON:
            raise InputError(
                f"{file}: has more than {LARGEST_JSON} bytes, as no configuration has; copy the model again."
            )
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: is missing; the folder is not a saved model, or was copied in part.") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: is not JSON ({error}); copy the model again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no JSON object; copy the model again.")
    return content


def check_weights(folder: Path) -> None:
    """Only safetensors, whole. InputError names a pickle, a truncated file, or a folder without weights."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    weights = [p for p in files if p.suffix == ".safetensors"]
    pickles = [p for p in files if p.suffix.lower() in PICKLES]
    if pickles and not weights:
        raise InputError(
            f"{pickles[0]}: is a pickle, which can run code when it is opened; convert the model to safetensors."
        )
    if not weights:
        raise InputError(f"{folder}: holds no .safetensors weights; copy the model again, or convert it.")
    for file in weights:
        check_safetensors(file)
    for index in (p for p in files if p.name.endswith(".safetensors.index.json")):
        shards = read_json(index).get("weight_map")
        for shard in shards.values() if isinstance(shards, dict) else []:
            if not isinstance(shard, str) or not shard or Path(shard).name != shard:
                raise InputError(f"{index}: {shard!r} is no name of a file beside it; copy the model again.")
            if not (index.parent / shard).is_file():
                raise InputError(f"{index.parent / shard}: is missing, and {index.name} names it; copy it again.")


def check_safetensors(file: Path) -> dict[str, Any]:
    """The header of a safetensors file, if the file is as long as the header says."""
    size = file.stat().st_size
    try:
        with open(file, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, LARGEST_JSON):
                raise ValueError("the header is longer than the file")
            header = json.loads(stream.read(length))
            end = max((int(t["data_offsets"][1]) for name, t in header.items() if name != "__metadata__"), default=0)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise InputError(f"{file}: is not a safetensors file ({error}); copy it again.") from None
    if 8 + length + end != size:
        raise InputError(
            f"{file}: has {size} bytes and should have {8 + length + end}: it is truncated or damaged; copy it again."
        )
    return dict(header)


_CARD = 100_000
"""Characters of a model card that are read."""


def licence(folder: Path) -> str | None:
    """What the model card says (`license` in the head of README.md); None where there is no card, or it does not say."""
    try:
        with open(folder / "README.md", encoding="utf-8") as card:
            text = card.read(_CARD)
        head = safe_yaml.load(text.split("---")[1]) if text.startswith("---") else None
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return None
    if not isinstance(head, dict):
        return None
    said = head.get("license_name") or head.get("license")
    return said[:200] if isinstance(said, str) else None  # a list of aliases of lists would fill the memory as a text
