"""The files of a model or an encoder: what is there, whether it is whole, and the hash that ties results to it. No torch."""

import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from audit_assets.errors import InputError
from audit_assets.untrusted import yaml as safe_yaml
from audit_assets.warehouse.places import local_copy

LARGEST_JSON = 100_000_000
"""Bytes. The largest tokenizers have some thirty million."""
PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}


_KNOWN_TEXT_ENCODERS = {
    ("clip_text_model", 768): "clip-vit-l-14",
    ("clip_text_model", 1024): "openclip-vit-h-14",
    ("clip_text_model", 1280): "openclip-vit-bigg-14",
    ("t5", 4096): "t5-xxl",
}
KNOWN_FAMILIES = frozenset(_KNOWN_TEXT_ENCODERS.values())
"""Text encoders that have a name: only of these can one say that a generator and an auditing encoder share them."""


def text_encoder_family(config: dict[str, Any]) -> str:
    """The family of a text encoder by its config's type and width; `<type>-<width>` where it has no name."""
    kind, width = str(config.get("model_type", "unknown")), config.get("hidden_size") or config.get("d_model")
    return _KNOWN_TEXT_ENCODERS.get((kind, width or 0), f"{kind}-{width}")


def local_folder(
    path: str, revision: str | None, allow: list[str] | None = None, *, fetch: bool = True
) -> tuple[Path, str | None]:
    """The folder of a model: a local directory, or a hub id taken from the cache or, with `fetch`, the hub; and its revision."""
    folder = Path(path)
    if folder.is_dir():
        return folder, revision
    if folder.is_absolute():
        raise InputError(f"{path}: there is no such folder; correct the path, or give a hub id such as owner/name.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = Path(
            snapshot_download(
                path,
                revision=revision,
                local_files_only=not fetch,
                allow_patterns=allow or ["*.json", "*.safetensors", "*.txt", "*.model", "README.md"],
            )
        )
    except HFValidationError as error:
        raise InputError(f"{path}: neither a folder nor a hub id ({error}).") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f"{path}: cannot be fetched from the hub ({str(error).splitlines()[0]}); download it first, or unset HF_HUB_OFFLINE."
        ) from None
    return found, found.name


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


@contextmanager
def loading(folder: Path, what: str) -> Iterator[None]:
    """Loading a model inside it: InputError whatever diffusers or transformers raise, since it is about the user's files."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, AttributeError, ImportError, LookupError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        # Without sentencepiece, transformers takes the file for tiktoken's, and asks for that instead.
        if {"sentencepiece", "tiktoken"} & set(re.findall(r"\w+", str(error).lower())):
            package = "sentencepiece" if any(folder.rglob("*.model")) else "sentencepiece or tiktoken"
            raise InputError(
                f"{folder}: a tokenizer needs the package {package}; install it, or save the tokenizer with its tokenizer.json."
            ) from error
        said = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{folder}: {what} cannot be loaded ({type(error).__name__}: {said}); copy it again, or save it with the installed version of its library."
        ) from error


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


def read_files(folder: Path) -> list[Path]:
    """Every file that loading may read, in order of path."""
    return sorted(
        p for p in folder.rglob("*") if p.is_file() and p.suffix in {".json", ".safetensors", ".txt", ".model"}
    )


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


def files_sha256(folder: Path) -> str:
    """sha256 over the sorted (relative path, sha256) of every file that loading may read."""
    total = hashlib.sha256()
    for file in read_files(folder):
        total.update(f"{file.relative_to(folder).as_posix()}\0{file_sha256(file)}\n".encode())
    return total.hexdigest()


def file_sha256(file: Path) -> str:
    """sha256 of a file's bytes, read once a process while its size and time of change stay."""
    file = local_copy(file)
    stat = file.stat()
    return _file_sha256(os.fspath(file), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=65536)
def _file_sha256(file: str, size: int, mtime_ns: int) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
