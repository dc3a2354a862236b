"""What `make` gives to the programs that it starts."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_program_of_the_makefile_keeps_what_it_compiles_whatever_the_shell_has_set() -> None:
    """Container images set the variable. The installation compiles nothing, so each process would compile all that it imports."""
    with_it = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "AUDIT_OF_MINE": "1"}
    shown = subprocess.run(
        ["make", "-s", "--eval=shown:;@env", "shown"], cwd=ROOT, env=with_it, capture_output=True, text=True, check=True
    ).stdout
    assert "AUDIT_OF_MINE=1" in shown
    assert "PYTHONDONTWRITEBYTECODE" not in shown
