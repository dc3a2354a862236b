"""YAML from somebody else, read only once it is known to be small to read."""

from typing import Any, cast

import yaml

_DEEPEST = 50


def load(text: str) -> Any:
    """`yaml.safe_load`, after `check`."""
    check(text)
    return yaml.safe_load(text)


def check(text: str) -> None:
    """yaml.MarkedYAMLError for aliases, of which a few expand to gigabytes once they are walked or hashed, and for deep
    nesting, whose reading takes time by the square."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem=f"the alias *{event.anchor} is not read; write the value itself",
                problem_mark=cast(yaml.error.Mark, event.start_mark),
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"it is nested more than {_DEEPEST} deep", problem_mark=cast(yaml.error.Mark, event.start_mark)
            )
