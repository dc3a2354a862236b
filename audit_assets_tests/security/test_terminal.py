"""What others wrote is data on a terminal too."""

import io
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from rich.table import Table
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.untrusted.terminal import Screen, one_line, printable

MARKUP = (":x:", "[red]x[/red]", "[/b]", "[link=https://evil.example]y[/link]", "[conceal]z[/conceal]")
HOSTILE = "ada\x1b[2K\x1b[1A\x9b31m\x07\x7f\u202eadb\u2066 " + " ".join(MARKUP) + "\udcff"


def test_a_name_commands_no_terminal_and_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    table = Table("name", HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE, HOSTILE)
    for what in (HOSTILE, table):
        out = io.StringIO()
        monkeypatch.setattr("sys.stdout", out)
        Screen().print(what)
        shown = out.getvalue()
        assert not set(shown) & set("\x1b\x9b\x07\x7f\u202e\u2066\udcff")
        assert "ada\\x1b[2K\\x1b[1A\\x9b31m" in shown
        assert "\\u202eadb" in shown
        assert " ".join(MARKUP) in shown


def test_a_name_is_no_style_and_no_link_on_a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "1000")
    table = Table("name", box=None, show_header=False)
    table.add_row(" ".join(MARKUP))
    Screen().print(table)
    assert out.getvalue().strip() == " ".join(MARKUP)


def test_a_caption_that_looks_like_the_end_of_a_style_is_shown_by_check(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "captions.csv").write_text("TEXT\n[/b] a picture of a cat\n")
    models = [{"name": "m", "source": "diffusers", "path": "none"}]
    encoders = [{"name": "e", "kind": "image_text", "path": "none"}]
    config = small_audit(tmp_path, captions={"path": "captions.csv"}, models=models, encoders=encoders)
    done = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert "[/b] a" in done.output  # the rest may stand on a line of its own


def test_a_name_makes_no_line_of_its_own() -> None:
    assert one_line("a.png\n  holds          manifest") == "a.png\\n  holds          manifest"
    assert printable("two\nlines\tand a tab, Ł, 名, é") == "two\nlines\tand a tab, Ł, 名, é"


def test_a_query_shows_the_data_itself_and_reads_no_other_file(copied: Path) -> None:
    def asked(query: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["sql", query, "--config", str(copied)])
        return done.exit_code, done.output

    code, shown = asked("SELECT ':x:' AS a, 'b' || chr(27) || '[2K' AS b")
    assert code == 0
    assert ":x:" in shown
    assert "\x1b" not in shown
    assert asked("SELECT * FROM read_csv('/etc/passwd')")[0] == 2
    assert asked(f"COPY (SELECT 1) TO '{copied.parent / 'out.csv'}'")[0] == 2
    assert not (copied.parent / "out.csv").exists()
    with duckdb.connect(str(copied.parent / "warehouse" / "audit.duckdb")) as connection:
        connection.execute("CREATE MACRO avg(x) AS 0.0")
    code, shown = asked("SELECT avg(identified) FROM verdicts")
    assert code == 2
    assert "the macro 'avg'" in shown
