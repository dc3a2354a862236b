"""Texts that others wrote, on a terminal: a name of a file can hold commands to it, such as one that rewrites the line above."""

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and end of line, marks that turn the direction of what follows, and bytes that are no UTF-8."""


def printable(text: str) -> str:
    """The text with each character that a terminal would obey written as its code, such as `\\x1b`."""
    return _COMMANDS.sub(_code, text)


def one_line(text: str) -> str:
    """`printable`, and on one line: a name with an end of line in it cannot pass for a line of ours."""
    return printable(text).replace("\n", "\\n")


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


class Screen(Console):
    """A console on which every text is data: it obeys no command in one and puts no emoji in place of a word.

    Colours and movements of the cursor are our own; rich keeps them apart from texts.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(highlight=False, soft_wrap=True, emoji=False, stderr=stderr)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
