"""These functions show texts that others wrote on a terminal.

The name of a file can hold commands to the terminal, such as one that rewrites the line above.
"""

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""These are control characters except tab and end of line, marks that turn the direction of the text that follows,
and bytes that are not UTF-8."""


def printable(text: str) -> str:
    """Write each character that a terminal would obey as its code, such as `\\x1b`."""
    return _COMMANDS.sub(_code, text)


def one_line(text: str) -> str:
    """Return `printable` text on one line. A name that has an end of line in it cannot pass for a line of ours."""
    return printable(text).replace("\n", "\\n")


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


class Screen(Console):
    """This console treats every text as data. It obeys no command in a text, takes no words in brackets for styles or links, and
    puts no emoji in place of a word.

    Colours and movements of the cursor are our own; rich keeps them apart from texts.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(highlight=False, soft_wrap=True, emoji=False, markup=False, stderr=stderr)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
