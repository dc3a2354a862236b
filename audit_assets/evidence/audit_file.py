"""The audit file as evidence has it: without the paths of one machine, and as earlier versions wrote it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from audit_assets.config import Audit, Protocol
from audit_assets.models.files import is_on_hub
from audit_assets.roster.artist_rows import OTHER_WAYS

_REMOVED_FROM_PROTOCOL = (("bootstraps",), ("matching", "works"))
"""Fields of a protocol that earlier versions had. No result depends on them now."""


def portable(audit: Audit, *, on_hub: Callable[[str], bool] = is_on_hub) -> dict[str, Any]:
    """Return the fields of an audit file without the paths of one machine; an imported audit is read from them.

    Ids on the hub stay. An imported audit looks for everything else beside the file, where the operator may put it.
    """
    content: dict[str, Any] = audit.model_dump(
        mode="json", exclude={"allow_code", "auditor", "organisation", "case_number"}
    )  # each reader decides what code runs; who audits is outside the root
    for kind in ("models", "encoders"):
        for entry in content[kind]:
            if entry.get("source") != "api":
                entry["path"] = entry["path"] if on_hub(entry["path"]) else f"./{kind}/{entry['name']}"
            if entry.get("config") is not None:
                entry["path"], entry["config"] = f"./models/{entry['name']}.safetensors", f"./config/{entry['name']}"
            if entry.get("arms") is not None:
                entry["arms"] = f"./arms/{entry['name']}"
            for field in ("config", "variant", "model", "api", "prompt_name", "embeddings", "arms"):
                _leave_out_unset(entry, field)
            for adapter in [*entry.get("lora", []), *entry.get("embeddings", [])]:
                if not on_hub(adapter["path"]):
                    adapter["path"] = f"./lora/{entry['name']}/{Path(adapter['path']).name}"
    _leave_out_unset(content, "copies")
    _leave_out_unset(content, "text_in_images")
    if content["artist"] is not None:
        for field in ("prompt_name", *OTHER_WAYS):
            _leave_out_unset(content["artist"], field)
    if content["roster"]["artists"] is not None:
        content["roster"]["artists"] = "artists.csv"
    if content["background"] is not None:
        content["background"] = "background/"
    if content["captions"] and "://" not in content["captions"]["path"]:
        content["captions"]["path"] = f"captions/*{Path(content['captions']['path']).suffix}"
    return {**content, "protocol": "protocol.yaml", "references": "references/", "warehouse": "warehouse/"}


def _leave_out_unset(content: dict[str, Any], field: str) -> None:
    """Leave out a field that earlier versions did not have, if the audit does not use it: the same audit has the same root."""
    if not content.get(field):
        content.pop(field, None)


def was_on_hub(path: str) -> bool:
    """Whether earlier versions wrote this path for an id on the hub: owner/name, without `hub:`."""
    return is_on_hub(path) or (path.count("/") == 1 and not path.startswith((".", "/", "~")))


def follows(audit: Audit, kept: dict[str, Any]) -> bool:
    """Say whether evidence can hold these fields of an audit file: all paths in it are those that an export writes.

    `audit` was read from `kept`. Fields that an earlier version did not have are absent in `kept`, and have no path.
    """
    return any(_given(_only(portable(audit, on_hub=kind), kept)) == _given(kept) for kind in (is_on_hub, was_on_hub))


def _only(value: Any, like: Any) -> Any:
    """Return the fields of `value` that `like` has too."""
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: _only(value[key], like[key]) for key in value.keys() & like.keys()}
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [_only(one, other) for one, other in zip(value, like, strict=True)]
    return value


def _given(value: Any) -> Any:
    """Return `value` without the fields that are None."""
    if isinstance(value, dict):
        return {key: _given(one) for key, one in value.items() if one is not None}
    return [_given(one) for one in value] if isinstance(value, list) else value


def as_now(kept: dict[str, Any]) -> dict[str, Any] | None:
    """Return the fields of evidence as this version writes them: fields that did not exist have their defaults.

    None if this version cannot read the fields.
    """
    try:
        audit = Audit.model_validate({**kept, "base": Path("/"), "file": Path("/audit.yaml")})
    except ValidationError:
        return None
    return portable(audit, on_hub=was_on_hub)


def protocol_as_now(definition: Any) -> dict[str, Any]:
    """Return the definition of a protocol without the fields that this version no longer has."""
    content = dict(definition) if isinstance(definition, dict) else {}
    for *above, field in _REMOVED_FROM_PROTOCOL:
        if not above:
            content.pop(field, None)
        elif isinstance(content.get(above[0]), dict):
            content[above[0]] = {key: value for key, value in content[above[0]].items() if key != field}
    return content


def protocol_of(definition: Any) -> Protocol | None:
    """Return the protocol that evidence names. None if this version cannot read it."""
    try:
        return Protocol.model_validate(protocol_as_now(definition))
    except ValidationError:
        return None
