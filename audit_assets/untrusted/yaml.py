"""These functions read YAML from others, after a check that it is small to read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from audit_assets.errors import InputError, in_utf8, unreadable
from audit_assets.untrusted.bounded import read_bounded

LARGEST_FILE = 1_000_000
"""An audit file or a protocol may have this many bytes. The reader of YAML takes ten seconds per megabyte."""
_DEEPEST = 50
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile("[-+]?0[0-9_]+")


class Unfit(yaml.YAMLError):
    """a value does not fit its tag, such as `!!int ""`, or is no date, such as 2023-99-99"""


def load(text: str) -> Any:
    """Run `yaml.safe_load` after `check`. Every error is a yaml.YAMLError."""
    check(text)
    return _constructed(text)


def _constructed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise
    except Exception as error:  # each of PyYAML's constructors raises the errors of what it calls
        raise Unfit(str(error)) from error


def check(text: str) -> None:
    """Raise yaml.MarkedYAMLError for aliases and for deep nesting.

    A few aliases expand to gigabytes once they are walked or hashed. The time to read nesting grows with the square of
    its depth.
    """
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


def read_mapping(path: Path, what: str, remedy: str) -> tuple[dict[str, Any], dict[tuple[Any, ...], int]]:
    """Return the fields of a YAML file, and the line of each field by its path.

    InputError names the file, the line and the remedy. ``what`` is the word for such a file in the message, and
    ``remedy`` tells the reader of the message what to do.
    """
    if in_utf8(str(path)) != str(path):
        raise InputError(
            f"{path}: a part of the path of this {what} is not UTF-8, and databases open no such path; rename that folder or file."
        )
    try:
        text = read_bounded(path, LARGEST_FILE, what).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path}: cannot read the {what} ({error.strerror}); {remedy}.") from None
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error}); save it as UTF-8.") from None
    try:
        check(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = _constructed(text)
        lines: dict[tuple[Any, ...], int] = {}
        _collect_lines(node, (), lines)
    except Unfit as error:
        raise InputError(
            f"{path}: not YAML ({error}); put quotes around a text that looks like a date or a number, and write no tags (`!!`)."
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not YAML ({getattr(error, 'problem', error)}); correct it.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: the {what} is no mapping of fields; {remedy}.")
    assert node is not None
    wrong = [(location, why) for location, text in texts(content) if (why := _is_no_text(text))]
    for location, why in [*wrong, *_other_bases(node)]:
        field = ".".join(map(str, location))
        raise InputError(f"{path}, line {lines.get(location, 1)}, {ascii(field)[1:-1]}: {why}")
    return content, lines


def _other_bases(node: yaml.Node, location: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield each number that YAML reads in another base than people do, with its path: `020` is 16, and `5:12` is 312."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _other_bases(value, (*location, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _other_bases(value, (*location, i))
    elif node.tag in _NUMBERS and (base := 60 if ":" in node.value else 8 if _OCTAL.fullmatch(node.value) else 0):
        read = yaml.safe_load(node.value)
        yield (
            location,
            f"YAML reads {node.value} in base {base}, as {read}; write the number {'without the 0 before it' if base == 8 else 'in digits alone'}, "
            "or put quotes around it if it is a text",
        )


def texts(content: Any, location: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield each text of a file, with its path. A key has the path of its value."""
    if isinstance(content, str):
        yield location, content
    elif isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            if isinstance(key, str):
                yield (*location, key), key
            yield from texts(value, (*location, key))


def _is_no_text(text: str) -> str | None:
    """Return what a text has that no name, path or prompt can have. YAML can write both as escapes."""
    if "\0" in text:
        return "holds a NUL character, which no name and no path can have; delete it"
    if half := next((letter for letter in text if "\ud800" <= letter <= "\udfff"), None):
        return (
            f"holds half a character (U+{ord(half):04X}), which no text in UTF-8 can have; write the character itself"
        )
    return None


def _collect_lines(node: yaml.Node | None, location: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    if node is None:
        return
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if (*location, key.value) in lines:
                raise yaml.MarkedYAMLError(problem=f"the field {key.value} is given twice", problem_mark=key.start_mark)
            lines[(*location, key.value)] = key.start_mark.line + 1
            _collect_lines(value, (*location, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _collect_lines(value, (*location, i), lines)
