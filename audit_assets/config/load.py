"""Read and check an audit file and its protocol. Errors name the line."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from audit_assets.config.audit import Audit
from audit_assets.config.fields import KEY
from audit_assets.config.protocol import Protocol
from audit_assets.errors import InputError
from audit_assets.untrusted.addresses import holds_secret
from audit_assets.untrusted.yaml import read_mapping, texts

PROTOCOLS = Path(__file__).parent.parent / "protocols"


def load_audit(path: str | Path) -> Audit:
    """Read and check an audit file. InputError names the file, the line, the field and the remedy."""
    path = Path(path).resolve()
    content, lines = read_mapping(
        path,
        "audit file",
        "pass --config, or set AUDIT_CONFIG; the miniature's data/miniature/audit.yaml, the default and an example to copy, "
        "is in the repository and not in the installed package",
    )
    if reserved := sorted({"base", "file"} & content.keys()):
        raise InputError(f"{path}, line {lines[(reserved[0],)]}, {reserved[0]}: no such field exists; delete it.")
    return _checked(Audit, {**content, "base": path.parent, "file": path}, path, lines)


def protocol_file(audit: Audit) -> Path:
    """The file of the protocol that an audit names."""
    shipped = PROTOCOLS / f"{audit.protocol}.yaml"
    return shipped if KEY.fullmatch(audit.protocol) and shipped.exists() else audit.local(audit.protocol)


def load_protocol(audit: Audit) -> Protocol:
    """The protocol that an audit names: one of the package, or a file of the operator."""
    path = protocol_file(audit)
    known = ", ".join(sorted(p.stem for p in PROTOCOLS.glob("*.yaml")))
    content, lines = read_mapping(
        path, "protocol", f"protocol in {audit.file} takes one of {known}, or the path of a file"
    )
    return _checked(Protocol, content, path, lines)


Model = TypeVar("Model", bound=BaseModel)


def _checked(model: type[Model], content: Mapping[str, Any], path: Path, lines: dict[tuple[Any, ...], int]) -> Model:
    for location, text in texts(content):
        if holds_secret(text):  # what the file says is recorded, and the error does not repeat it
            raise InputError(
                f"{path}, line {lines.get(location, 1)}, {_field(location)}: holds a password or a token; keep it in the environment, "
                "and write the address without it"
            )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems, errors = [], error.errors()
        for e in errors:
            location = tuple(e["loc"])
            if e["type"] == "too_short" and any(
                location == tuple(o["loc"])[: len(location)] for o in errors if o is not e
            ):
                continue  # the list is too short only because its items are refused
            line = next((lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in lines), 1)
            problems.append(f"{path}, line {line}, {_field(location)}: {_message(e)}")
        raise InputError("\n".join(problems)) from None


def _message(error: ErrorDetails) -> str:
    """What is wrong with a field, with the remedy if one follows from what YAML read."""
    read = error["input"]
    if error["type"] == "extra_forbidden":
        return "no such field exists; delete it or correct its name"
    if error["type"] in ("string_type", "invalid_key") and isinstance(read, bool | int | float | date):
        return f"YAML reads {read} there, which is no text ({type(read).__name__}); put quotes around the text"
    if error["type"] == "tuple_type" and isinstance(read, str):
        return f"takes a list; write [{read}]"
    return error["msg"].removeprefix("Value error, ")


def _field(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"
