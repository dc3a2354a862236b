"""The application, its screen, and what every command has in common."""

import atexit
import gc
import os
import sys
import warnings
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from audit_assets.errors import InputError, unreadable
from audit_assets.untrusted.terminal import Screen

ORDER = (
    "init", "check", "plan", "run", "status", "roster", "report", "ratings", "browse", "sql", "dev", "code-server", "prompts", "sort", "verify", "sign", "export", "import",
)  # fmt: skip
"""The commands in the order in which a person needs them, as `--help` lists them."""


class _Commands(typer.core.TyperGroup):
    """Every command ends here if its input is bad or the system refuses it: with a sentence and no traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in ORDER, others after them."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: Any) -> Any:
        # The modules and definitions that a command loads stay until its end. With Python's threshold of 700 new objects, the
        # collector looks at them again and again, for a sixth of the time of a command that has little to do.
        gc.set_threshold(50_000)
        try:
            return super().invoke(ctx)
        except (InputError, KeyboardInterrupt) as error:
            raise stop(error) from None
        except OSError as error:
            if error.filename is None:  # of no file: a fault of the program
                raise
            raise stop(InputError(f"{unreadable(os.fsdecode(error.filename), error)}.")) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Can this image model imitate this artist?",
)
console = Screen()

Config = Annotated[Path, typer.Option(help="the audit file", envvar="AUDIT_CONFIG")]
DEFAULT = Path("data/miniature/audit.yaml")
LEFT_OUT = 3
"""The exit code of a command that finished, and left out a model, an encoder, an artist or a real work that it lists."""
TimestampCertificate = Annotated[
    Path | None, typer.Option(help="certificates (PEM) of the timestamp authority that must have seen the signature")
]


def stop(error: InputError | KeyboardInterrupt) -> typer.Exit:
    """The exit code: 2 after bad input, 130 after Ctrl-C, as in shells."""
    if isinstance(error, KeyboardInterrupt):
        console.print("\nstopped: finished work is kept; the same command continues from there")
        return typer.Exit(130)
    console.print("cannot audit:", style="bold red")
    # A file's name can have an end of line in it. Lines after the first are indented, so that none can pass for a line of ours.
    console.print(str(error).replace("\n", "\n  "))
    return typer.Exit(2)


@app.callback()
def _terminal() -> None:
    """A character that the terminal's encoding lacks is shown as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def quiet() -> None:
    """Dagster would print every event on stderr. The event log has the events in any case."""
    import logging

    os.environ.setdefault(
        "TRANSFORMERS_VERBOSITY", "error"
    )  # otherwise transformers warns that torchvision is missing, which is intended
    logging.getLogger("dagster").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def main() -> None:
    """Run a command, and end the process with the command's exit code.

    Nothing is left to do then. The interpreter would take the loaded libraries apart, while threads of theirs still run: once in a while
    that aborts the process, and 134 stands in place of the exit code. DuckDB's bindings also print dozens of lines about remaining objects.
    """
    code = 1  # of an exception that nobody expected, whose traceback is printed before the function below runs

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader of a pipe is gone
                stream.flush()
        os._exit(code)

    atexit.register(leave)  # before any other is registered, because the first runs last
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
