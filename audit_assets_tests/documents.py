"""The shell commands that README.md and docs/*.md show, one by one, in words."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
_SHELLS = {"", "sh", "bash", "shell", "console"}
_BETWEEN = {"&&", "||", "|", ";", "&", "(", ")"}
_REDIRECTIONS = {">", ">>", "<", "2>", ">&"}
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*=.*")


@dataclass(frozen=True)
class Command:
    """One program with its arguments, without what sets the environment or redirects; `page` and `line` say where it is."""

    page: str
    line: int
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """The name without its folder: `.venv/bin/python` is `python`."""
        return re.sub(r"^python3(\.\d+)?$", "python", Path(self.words[0]).name)

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {shlex.join(self.words)}"


def commands() -> list[Command]:
    """Every command of every page, in the order of the pages."""
    return [c for page in dict.fromkeys(PAGES) for c in commands_of(page.read_text(encoding="utf-8"), page.name)]


def commands_of(text: str, page: str) -> Iterator[Command]:
    """The commands in fenced blocks that have no language or a shell's."""
    for fence in _FENCE.finditer(text):
        if fence[1] not in _SHELLS:
            continue
        first = text[: fence.start()].count("\n") + 2
        for offset, source in _statements(fence[2]):
            for words in _programs(source):
                yield Command(page, first + offset, tuple(words))


def _statements(block: str) -> Iterator[tuple[int, str]]:
    """Lines with their number; one that ends in a backslash or within quotes goes on in the next."""
    held, start = "", 0
    for number, line in enumerate(block.splitlines()):
        if not held:
            start = number
        held += line.removeprefix("$ ")
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        try:
            shlex.split(held, comments=True)
        except ValueError:
            held += "\n"
            continue
        if held.strip():
            yield start, held
        held = ""
    if held:
        raise ValueError(f"a quote is not closed in: {held}")


def _programs(source: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(source, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for word in lexer:
        if word in _BETWEEN:
            if words:
                yield words
            words = []
        elif word in _REDIRECTIONS:
            skip = True
        elif skip:
            skip = False
        elif words or not _SETTING.fullmatch(word):
            words.append(word)
    if words:
        yield words
