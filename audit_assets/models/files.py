"""The files of a model or an encoder: what is there, whether it is whole, and the hash that ties results to it. No torch."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.hashing import sha256_once

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


@contextmanager
def loading(folder: Path, what: str) -> Iterator[None]:
    """Loading a model inside it: InputError whatever diffusers or transformers raise, since it is about the user's files."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each library under them raises its own
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


def read_files(folder: Path) -> list[Path]:
    """Every file that loading may read, in order of path."""
    return sorted(
        p for p in folder.rglob("*") if p.is_file() and p.suffix in {".json", ".safetensors", ".txt", ".model"}
    )


def files_sha256(folder: Path) -> str:
    """sha256 over the sorted (relative path, sha256) of every file that loading may read."""
    total = hashlib.sha256()
    for file in read_files(folder):
        total.update(f"{file.relative_to(folder).as_posix()}\0{sha256_once(file)}\n".encode())
    return total.hexdigest()
