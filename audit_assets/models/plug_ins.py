"""A plug-in is an encoder in a file of the auditor's own code: for style encoders and formats that transformers does not load.

What must be known before the code runs is read from the file as text: its class `Encoder` states it in plain values. The code
runs only if audit.yaml says `allow_code: true`.
"""

import ast
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from audit_assets.errors import InputError
from audit_assets.hashing import sha256_once
from audit_assets.models.files import check_links, names_below

CLASS = "Encoder"
_LARGEST = 1_000_000
"""A plug-in's file may have this many bytes."""


@dataclass(frozen=True)
class Stated:
    """What the class of a plug-in states about its vectors, as `docs/models.md` describes it."""

    dimension: int
    layer: str
    logit_scale: float | None
    logit_bias: float | None


def plug_in_files(folder: Path) -> list[Path]:
    """Return all files of a plug-in's folder, since its code can open any of them. Hidden ones and Python's own are left out.

    InputError names a link to a file that is gone.
    """
    found = [folder / name for name in names_below(folder) if not _is_passed_over(name)]
    return check_links(sorted(found))


def _is_passed_over(name: str) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in PurePosixPath(name).parts)


def plug_in_sha256(folder: Path, code: str) -> str:
    """Return the sha256 over the code's file name and the (path, sha256) of every file of the folder."""
    total = hashlib.sha256(f"plug-in {code}\n".encode())
    for file in plug_in_files(folder):
        total.update(f"{file.relative_to(folder).as_posix()}\0{sha256_once(file)}\n".encode())
    return total.hexdigest()


def code_of(folder: Path, code: str) -> Path:
    """Return the file of a plug-in's code. InputError if it is no file of the folder."""
    file = folder / code
    if Path(code).name != code or not code.endswith(".py"):
        raise InputError(f"code: {code!r} is no Python file in the encoder's folder; write the name of one.")
    if not file.is_file():
        raise InputError(f"{file}: is missing, and `code` names it; put the plug-in into the encoder's folder.")
    if file.stat().st_size > _LARGEST:
        raise InputError(f"{file}: has more than {_LARGEST} bytes, as no plug-in has; name the right file.")
    return file


def stated(file: Path, kind: str) -> Stated:
    """Return what the class `Encoder` of a plug-in states. Nothing is run. InputError names the field that is missing or wrong."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: is not Python ({error}); correct it.") from None
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == CLASS]
    if not found:
        raise InputError(f"{file}: has no class {CLASS}; write it as docs/models.md describes.")
    values, lines = _values(file, found[-1])
    methods = {node.name for node in found[-1].body if isinstance(node, ast.FunctionDef)}
    needed = {"embed_images", *(["embed_texts"] if kind == "image_text" else [])}
    if absent := sorted(needed - methods):
        raise InputError(f"{file}, class {CLASS}: has no method {absent[0]}, which `kind: {kind}` needs; write it.")
    dimension, layer = values.get("dimension"), values.get("layer")
    if not isinstance(dimension, int) or isinstance(dimension, bool) or not 0 < dimension <= 65_536:
        raise InputError(
            f"{file}, class {CLASS}: states no `dimension`; write `dimension = 768`, the length of its vectors."
        )
    if not isinstance(layer, str) or not layer.strip():
        raise InputError(
            f"{file}, class {CLASS}: states no `layer`; write in words what the vector of an image is, for the report."
        )
    scale, bias = (_number(file, values, lines, name) for name in ("logit_scale", "logit_bias"))
    if kind == "image_text" and (scale is None or scale <= 0):
        raise InputError(
            f"{file}, class {CLASS}: states no `logit_scale`, which labels need; write `logit_scale = 100.0`."
        )
    return Stated(dimension, layer.strip(), scale, bias)


def _values(file: Path, node: ast.ClassDef) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the plain values that a class body gives to names, and their lines."""
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for line in node.body:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        value = getattr(line, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                lines[target.id] = line.lineno
                try:
                    found[target.id] = ast.literal_eval(value)
                except ValueError:
                    found[target.id] = None  # computed: it is not known before the code runs
                except (TypeError, SyntaxError, MemoryError, RecursionError) as error:
                    raise InputError(
                        f"{file}, line {line.lineno}, class {CLASS}, {target.id}: is no value of Python ({error}); correct it."
                    ) from None
    return found, lines


def _number(file: Path, values: Mapping[str, Any], lines: Mapping[str, int], name: str) -> float | None:
    if name not in values:
        return None
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(
            f"{file}, line {lines[name]}, class {CLASS}, {name}: is no plain number; write one, such as 100.0."
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(
            f"{file}, line {lines[name]}, class {CLASS}, {name}: is larger than any number that is computed with; "
            "write a finite one, such as 100.0."
        )
    return number
