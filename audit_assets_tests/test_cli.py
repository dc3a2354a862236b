"""A command ends its process with its own exit code, whatever the libraries that it loaded do at the end."""

import subprocess
import sys
from pathlib import Path

import pytest

ABORTS = """
import os, sys, types
class Aborts:
    def __del__(self, abort=os.abort):
        abort()
sys.modules["kept"] = types.ModuleType("kept")
sys.modules["kept"].until_the_end = Aborts()
"""
"""Something that aborts when the interpreter takes its modules apart, as threads of libraries can."""


def ended(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "Can this image model imitate this artist?"),
        (["sql", "SELECT 1", "--config", "nowhere.yaml"], 2, "cannot read the audit file"),
        (["no-such-command"], 2, "No such command"),
    ],
)
def test_what_aborts_at_the_end_of_the_interpreter_changes_no_exit_code(
    arguments: list[str], code: int, said: str
) -> None:
    assert ended(ABORTS).returncode == -6
    done = ended(ABORTS + "from audit_assets.cli import main; main()", *arguments)
    assert done.returncode == code
    assert said in done.stdout + done.stderr


def test_what_was_to_be_done_at_the_end_is_done_before_the_process_ends() -> None:
    later = "import atexit, threading, time; from audit_assets.cli import app, main\n"
    at_the_end = "@app.command()\ndef hold():\n    atexit.register(print, 'at the end')\n"
    thread = "    threading.Thread(target=lambda: (time.sleep(0.2), print('after the thread'))).start()\nmain()"
    done = ended(later + at_the_end + thread, "hold")
    assert (done.returncode, done.stdout.split("\n")) == (0, ["after the thread", "at the end", ""])


def test_a_fault_of_the_program_is_shown_and_ends_with_one() -> None:
    wrong = "from audit_assets.cli import app, main\n@app.command()\ndef wrong():\n    raise RuntimeError('a fault')\nmain()"
    done = ended(wrong, "wrong")
    assert done.returncode == 1
    assert "RuntimeError: a fault" in done.stderr


def test_a_reader_that_closed_the_pipe_is_no_fault(tmp_path: Path) -> None:
    piped = f"'{sys.executable}' -m audit_assets.cli --help | true"
    shown = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, cwd=tmp_path)
    assert "Traceback" not in shown.stderr
