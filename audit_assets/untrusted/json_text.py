"""Read JSON that others wrote, if every program reads the same in it: no object has a key twice, of which each reader would choose one."""

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Return what a text of JSON says. ValueError is raised if it is no JSON, or if an object has a key twice."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found
