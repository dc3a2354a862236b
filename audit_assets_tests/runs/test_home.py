"""An audit's Dagster home whose first opening was killed begins again; one with a history is never thrown away; settings that
Dagster cannot take are bad input."""

import errno
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.config import load_audit
from audit_assets.errors import InputError, Unwritable
from audit_assets.runs.driver import driver
from audit_assets.runs.home import DAGSTER_YAML, prepare_home


@pytest.fixture
def emptied(small_audit: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """An audit, and its event log without tables, as a kill in the first second leaves it."""
    config = small_audit(tmp_path / "audit")
    with driver(config) as opened:
        index = opened.audit.dagster_home / "history" / "runs" / "index.db"
    index.write_bytes(b"")
    return config, index


def test_a_home_whose_first_opening_was_killed_begins_again(emptied: tuple[Path, Path]) -> None:
    config, index = emptied
    with driver(config) as opened:
        assert opened.instance.get_dynamic_partitions("subject") == []
        opened.instance.add_dynamic_partitions("subject", ["ada"])
    assert index.stat().st_size > 0


def test_a_full_disk_leaves_no_settings_and_empty_settings_are_none(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = load_audit(small_audit(tmp_path / "audit"))
    settings = audit.dagster_home / "dagster.yaml"

    def write_half(path: Path, text: str, **named: str) -> None:
        path.write_bytes(text.encode()[:40])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", write_half)
        with pytest.raises(Unwritable):
            prepare_home(audit)
    assert list(settings.parent.glob("*.yaml")) + list(settings.parent.glob("*.tmp")) == []
    settings.touch()  # as an earlier version left it
    prepare_home(audit)
    assert settings.read_text(encoding="utf-8") == DAGSTER_YAML
    settings.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    prepare_home(audit)
    assert settings.read_text(encoding="utf-8") == "telemetry: {enabled: true}\n"


def test_a_home_with_a_run_is_kept_and_the_error_says_what_to_do(emptied: tuple[Path, Path]) -> None:
    config, index = emptied
    run = index.with_name("0b8c9c2e-0000-4000-8000-000000000000.db")
    run.write_bytes(b"events")
    with (
        pytest.raises(InputError, match=r"log of events cannot be used .* Finished work is in the warehouse"),
        driver(config),
    ):
        pass
    assert run.read_bytes() == b"events"


def test_the_ui_over_a_damaged_home_says_what_to_do_and_does_not_start(
    emptied: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, index = emptied
    index.with_name("0b8c9c2e-0000-4000-8000-000000000000.db").write_bytes(b"events")
    monkeypatch.setattr("audit_assets.runs.ui.serve_ui", lambda *arguments: pytest.fail("the UI was started"))
    done = CliRunner().invoke(app, ["dev", "--config", str(config)])
    assert done.exit_code == 2
    assert "log of events cannot be used" in done.output


def test_a_log_that_another_process_writes_to_is_neither_deleted_nor_is_that_advised(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config = small_audit(tmp_path)
    with driver(config) as opened:
        index = opened.audit.dagster_home / "history" / "runs" / "index.db"
    before = index.read_bytes()

    def run_beside_a_writer() -> None:
        with driver(config):
            raise DBAPIError("INSERT", None, sqlite3.OperationalError("database is locked")) from None

    with pytest.raises(InputError, match=r"database is locked\); wait until") as refused:
        run_beside_a_writer()
    assert "delete" not in str(refused.value)
    assert index.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("nonsense: [\n", "ParserError"),
        ("nonsense: true\n", 'unexpected config entry "nonsense"'),
        ("storage: {postgres: {postgres_url: 3}}\n", "postgres_url"),
    ],
)
def test_settings_that_dagster_does_not_accept_are_named(
    small_audit: Callable[..., Path], tmp_path: Path, settings: str, said: str
) -> None:
    config = small_audit(tmp_path)
    file = prepare_home(load_audit(config)) / "dagster.yaml"
    file.write_text(settings, encoding="utf-8")
    with pytest.raises(InputError) as refused, driver(config):
        pass
    assert str(refused.value).startswith(f"{file}: Dagster does not accept these settings")
    assert said in str(refused.value)


def test_settings_of_the_service_without_its_environment_name_what_is_not_set(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_audit(tmp_path)
    home = prepare_home(load_audit(config))
    shutil.copy(Path(__file__).parents[2] / "docker" / "dagster.yaml", home)
    monkeypatch.delenv("DAGSTER_POSTGRES_HOST", raising=False)
    with pytest.raises(InputError, match=r"not set in the environment: .*DAGSTER_POSTGRES_HOST"), driver(config):
        pass


@pytest.mark.parametrize("name", ["audits [2026]", "what?", "all*"])
def test_a_home_whose_settings_dagster_would_not_find_is_refused(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = small_audit(tmp_path / name)
    with pytest.raises(InputError, match="rename the folder, or set AUDIT_DAGSTER_HOME"), driver(config):
        pass
    monkeypatch.setenv("AUDIT_DAGSTER_HOME", str(tmp_path / "home"))
    with driver(config) as opened:
        assert not opened.instance.telemetry_enabled


def test_a_home_below_a_folder_of_any_other_name_has_its_settings(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    with driver(small_audit(tmp_path / "our 'audits' #1, 50% \"ünï\" {x}")) as opened:
        assert not opened.instance.telemetry_enabled
