"""A warehouse says which layout it has: an older one is brought up to date or explained, a newer one is left alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from audit_assets.errors import InputError
from audit_assets.warehouse import layout
from audit_assets.warehouse.store import Warehouse

ROWS = pd.DataFrame({"n": [1]})


def says(root: Path) -> int:
    return int(json.loads((root / layout.FILE).read_text())["layout"])


def audit_file(folder: Path, name: str = "audit.yaml") -> Path:
    (folder / name).touch()
    return folder / name


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_new_warehouse_is_marked_once_something_is_to_be_made_and_not_before(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "warehouse"
    file = audit_file(tmp_path)
    layout.opened(root)
    assert not root.exists()
    layout.made(root, file)
    assert says(root) == layout.LAYOUT
    layout.made(root, file).write("t", ROWS, "h")
    before = contents(root)
    layout.opened(root)
    layout.made(root, file)
    assert contents(root) == before


@pytest.mark.parametrize("open_it", [layout.opened, lambda root: layout.made(root, audit_file(root.parent))])
def test_a_warehouse_from_before_layouts_is_marked_and_its_tables_stay(
    tmp_path: Path, open_it: Callable[[Path], Warehouse]
) -> None:
    old = Warehouse(tmp_path)
    old.write("imitations/m/ada", ROWS, "h")
    old.write("verified/identification_trials/m", ROWS, "seen")
    table = old.path("imitations/m/ada").read_bytes()
    open_it(tmp_path)
    assert says(tmp_path) == layout.LAYOUT
    assert old.path("imitations/m/ada").read_bytes() == table
    assert old.inputs("verified/identification_trials/m") is None  # by checks that knew less


def test_migrations_run_in_order_and_one_that_failed_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LAYOUT", 3)
    layout.mark(tmp_path, 1)
    ran: list[int] = []

    def second(root: Path) -> None:
        ran.append(2)
        if len(ran) == 2:
            raise OSError("disk full")

    steps: dict[int, Callable[[Path], None]] = {1: lambda root: ran.append(1), 2: second}
    with pytest.raises(InputError, match="disk full"):
        layout.opened(tmp_path, steps)
    assert says(tmp_path) == 2
    layout.opened(tmp_path, steps)
    assert (ran, says(tmp_path)) == ([1, 2, 2], 3)


def test_an_older_layout_without_a_way_here_is_explained(tmp_path: Path) -> None:
    layout.mark(tmp_path, 0)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"warehouse\.json: the warehouse has layout 0, .*open it with the version"):
        layout.opened(tmp_path, {})
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"layout": 99}', "layout 99, which is newer than this version's, 1; install"),
        ('{"layout": true}', "does not say which layout"),
        ('{"layout": -1}', "does not say which layout"),
        ("[1]", "does not say which layout"),
        ("{", "does not say which layout"),
        ('{"version": 1}', "does not say which layout"),
    ],
)
def test_a_newer_or_damaged_file_is_refused_and_nothing_is_changed(tmp_path: Path, text: str, said: str) -> None:
    Warehouse(tmp_path).write("t", ROWS, "h")
    (tmp_path / layout.FILE).write_text(text)
    file = audit_file(tmp_path)
    before = contents(tmp_path)
    for open_it in (layout.opened, lambda root: layout.made(root, file)):
        with pytest.raises(InputError, match=said):
            open_it(tmp_path)
    assert contents(tmp_path) == before


def test_a_mark_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / layout.FILE).mkdir()
    with pytest.raises(
        InputError, match=r"warehouse\.json: cannot be read \(Is a directory\); .* move the folder away"
    ):
        layout.opened(tmp_path)


def test_a_second_audit_file_does_not_replace_the_results_of_the_first(tmp_path: Path) -> None:
    root, first, second = tmp_path / "warehouse", audit_file(tmp_path), audit_file(tmp_path, "second.yaml")
    layout.made(root, first)
    before = contents(root)
    for look in (layout.made, layout.refuse_another):
        with pytest.raises(
            InputError, match=r"second\.yaml: its warehouse .* has the results of .*/audit\.yaml, which"
        ):
            look(root, second)
    assert contents(root) == before
    (tmp_path / "link.yaml").symlink_to(first)  # another name of the same file
    layout.made(root, tmp_path / "link.yaml")
    assert contents(root) == before


def test_an_audit_file_that_was_moved_takes_its_warehouse_along(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    layout.made(folder / "warehouse", audit_file(folder))
    moved = folder.rename(tmp_path / "two")
    before = contents(moved / "warehouse")
    layout.made(moved / "warehouse", moved / "audit.yaml")
    assert contents(moved / "warehouse") == before
    renamed = (moved / "audit.yaml").rename(moved / "lab.yaml")
    layout.made(moved / "warehouse", renamed)
    with pytest.raises(InputError, match="has the results of"):
        layout.made(moved / "warehouse", audit_file(moved))


def test_the_members_of_a_team_share_a_warehouse(tmp_path: Path) -> None:
    for member in ("one", "other", "one"):
        (tmp_path / member).mkdir(exist_ok=True)
        layout.made(tmp_path / "warehouse", audit_file(tmp_path / member))


def test_a_warehouse_of_an_earlier_version_belongs_to_the_first_audit_that_runs(tmp_path: Path) -> None:
    root = tmp_path / "warehouse"
    root.mkdir()
    layout.mark(root)
    Warehouse(root).write("t", ROWS, "h")
    layout.made(root, audit_file(tmp_path))
    with pytest.raises(InputError, match="has the results of"):
        layout.made(root, audit_file(tmp_path, "second.yaml"))


@pytest.mark.parametrize("said", [1, None, "", "\0", "/", "../../../../../../../../nowhere", "x" * 5000])
def test_whatever_a_file_says_of_its_audit_stops_nobody(tmp_path: Path, said: object) -> None:
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / layout.FILE).write_text(json.dumps({"layout": layout.LAYOUT, layout.OWNER: said}))
    layout.made(tmp_path / "warehouse", audit_file(tmp_path))
    assert json.loads((tmp_path / "warehouse" / layout.FILE).read_text())[layout.OWNER] == "../audit.yaml"
