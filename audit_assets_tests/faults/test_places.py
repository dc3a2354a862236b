"""Where an audit is kept: a disk that is full or cannot be written, a clock that goes back, readers and other runs beside it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pytest
import yaml

from audit_assets.errors import InputError
from audit_assets_tests.drive import drive
from audit_assets_tests.faults.conftest import Ledger
from audit_assets_tests.faults.damage import RESULTS, copy_of, remove
from audit_assets_tests.processes import differences, kept, published, said, start, wrong_results

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
UNDONE = [*RESULTS, "imitations/*/nils-oduya.parquet", "imitations/*/clara-oduya.parquet", "imitation_embeddings"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A file system of some kilobytes, mounted below the test's folder; called again, it is made larger or read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        command = ["mount", "-o", f"remount,{options}", str(place)]
        if not mounted:
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not mounted and done.returncode:
            pytest.skip(f"no file system can be mounted here ({done.stderr.strip()})")
        mounted = True
        assert done.returncode == 0, done.stderr
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def size_of(folder: Path) -> int:
    """Bytes that a tmpfs needs for a folder: whole pages."""
    return sum(-(-p.stat().st_size // 4096) * 4096 + 4096 for p in folder.rglob("*"))


def compare(config: Path, undisturbed: Path, ledger: Ledger, before: dict[str, str]) -> None:
    after = kept(config)
    ledger.lost += [path for path, sha256 in before.items() if after.get(path) != sha256]
    ledger.wrong += wrong_results(config, undisturbed)
    assert before.items() <= after.items()
    assert differences(config, undisturbed) == []


@pytest.mark.parametrize("room", [8, 40, 120, 400, 1000, 3000])
def test_a_full_disk_keeps_what_is_finished_and_goes_on_when_there_is_room(
    undisturbed: Path, disk: Callable[..., Path], tmp_path: Path, ledger: Ledger, room: int
) -> None:
    """`room`: kilobytes beside what is there, of which the events of Dagster take some, then images, tables, the database."""
    config = copy_of(undisturbed, tmp_path / "before")
    remove(config, UNDONE)
    place = disk(f"size={size_of(config.parent) // 1024 + room}k")
    config = copy_of(config, place / "audit")
    before = kept(config)
    with pytest.raises(InputError, match=r"make room|free space"):
        drive(config)
    assert before.items() <= kept(config).items()
    assert not list(place.rglob("*.tmp"))
    disk("size=200m")
    drive(config)
    compare(config, undisturbed, ledger, before)
    ledger.enter("full disks", "told and repaired")


@pytest.mark.parametrize("undone", [UNDONE, RESULTS, []], ids=["images", "results", "nothing"])
def test_a_warehouse_that_cannot_be_written_is_named_and_stays_as_it_is(
    undisturbed: Path, disk: Callable[..., Path], tmp_path: Path, ledger: Ledger, undone: list[str]
) -> None:
    place = disk("size=200m")
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, undone)
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    subprocess.run(["cp", "-a", str(config.parent / "warehouse"), str(place / "warehouse")], check=True)
    subprocess.run(["rm", "-r", str(config.parent / "warehouse")], check=True)
    (config.parent / "warehouse").symlink_to(place / "warehouse")
    config.write_text(yaml.safe_dump({**content, "warehouse": str(place / "warehouse")}), encoding="utf-8")
    before = kept(config)
    disk("ro")
    with pytest.raises(InputError, match=r"warehouse/.* cannot be written \(Read-only file system\)"):
        drive(config)
    assert kept(config) == before
    disk("rw")
    drive(config)
    compare(config, undisturbed, ledger, before)
    ledger.enter("read-only warehouses", "told and repaired")


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (Debian: apt-get install faketime)")
@pytest.mark.parametrize("days", [(400, 0), (0, -400), (-1, -2)], ids=str)
def test_a_clock_that_was_set_back_between_two_runs_changes_nothing(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, days: tuple[int, int]
) -> None:
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, UNDONE)
    before = kept(config)
    for n, day in enumerate(days):
        environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{day:+d}d"} if day else None
        process = start(config, environment)
        assert process.wait(timeout=300) == 0, said(config)
        compare(config, undisturbed, ledger, before)
        if n == 0:
            remove(config, RESULTS)
    ledger.enter("clocks set back", "nothing changed")


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (Debian: apt-get install faketime)")
def test_a_clock_that_is_set_back_during_a_run_changes_nothing(
    undisturbed: Path, tmp_path: Path, ledger: Ledger
) -> None:
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, UNDONE)
    before = kept(config)
    clock = tmp_path / "clock"
    clock.write_text("+10d")
    process = start(
        config,
        {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
         "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
    )  # fmt: skip
    for day in (5, 0, -30):
        time.sleep(4)
        clock.write_text(f"{day:+d}d")
    assert process.wait(timeout=300) == 0, said(config)
    with suppress(ProcessLookupError):  # Dagster's readers of logs do not end if the clock goes back
        os.killpg(process.pid, signal.SIGKILL)
    compare(config, undisturbed, ledger, before)
    ledger.enter("clocks set back", "nothing changed")


READER = """
import sys, time, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    count = lambda: connection.execute("SELECT count(*), sum(hash(t)) FROM identification_trials t").fetchall()
    first = count()
    print(flush=True)
    sys.stdin.read()
    sys.exit(count() != first)
"""


@pytest.mark.parametrize("number", range(2))
def test_a_reader_that_has_the_database_open_stops_nobody_and_keeps_what_it_reads(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, number: int
) -> None:
    """In the second, every result is measured and published again, from images that had to be drawn again."""
    config = copy_of(undisturbed, tmp_path / "audit")
    database = config.parent / "warehouse" / "audit.duckdb"
    inode = database.stat().st_ino
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    patterns = [p for p in (RESULTS, UNDONE)[number] if p != "audit.duckdb"]
    remove(config, patterns)
    before = kept(config)
    drive(config)
    assert database.stat().st_ino != inode
    reader.communicate(b"")
    assert reader.returncode == 0
    compare(config, undisturbed, ledger, before)
    ledger.enter("readers during publication", "nothing changed")


@contextmanager
def several(config: Path, number: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes = [start(config) for _ in range(number)]
    try:
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("number", [2, 3])
def test_several_drivers_at_once_end_as_one(undisturbed: Path, tmp_path: Path, ledger: Ledger, number: int) -> None:
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, UNDONE)
    before = kept(config)
    with several(config, number) as processes:
        assert [p.wait(timeout=500) for p in processes] == [0] * number, said(config)
    compare(config, undisturbed, ledger, before)
    assert published(config)["imitations"]["image_sha256"].notna().all()
    ledger.enter("drivers at once", "nothing changed", count=number - 1)


@pytest.mark.parametrize("number", range(4))
def test_a_process_that_may_write_no_large_file_says_so(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, number: int
) -> None:
    """A limit on the size of files, as a quota makes: tables fit, and the database does not, or not even tables do."""
    draws = random.Random(number)
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, UNDONE)
    before = kept(config)
    limit = draws.choice([600, 1500]) if number % 2 else draws.choice([3000, 20_000])
    process = subprocess.run(
        ["bash", "-c", f'ulimit -f {limit // 10}; exec "$0" -m audit_assets.cli run --config "$1"', sys.executable, str(config)],
        env={**os.environ, "PYTHONFAULTHANDLER": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 2, process.stdout + process.stderr
    assert "make room" in process.stdout or "free space" in process.stdout
    assert before.items() <= kept(config).items()
    drive(config)
    compare(config, undisturbed, ledger, before)
    ledger.enter("limits on files", "told and repaired")


def test_a_database_is_never_seen_half(undisturbed: Path, tmp_path: Path, ledger: Ledger) -> None:
    """A reader that opens the database again and again while it is replaced finds a whole one each time."""
    config = copy_of(undisturbed, tmp_path / "audit")
    remove(config, [p for p in RESULTS if p != "audit.duckdb"])
    process = start(config)
    seen = 0
    while process.poll() is None:
        with duckdb.connect(str(config.parent / "warehouse" / "audit.duckdb"), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM published_from").fetchall() == [(1,)]
        seen += 1
        time.sleep(0.02)
    assert process.returncode == 0, said(config)
    assert seen > 20
    compare(config, undisturbed, ledger, {})
    ledger.enter("readers during publication", "nothing changed")
