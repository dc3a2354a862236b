"""Which layout a warehouse has: `warehouse.json` at its root says so. An older one is migrated when it is opened, or the
error says what to do; a newer one is left alone.

The layout is where files lie and what they mean. That a table's rows would be others today is not part of it: every file
carries the hash of its inputs, and is made again by itself.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from audit_assets.errors import InputError
from audit_assets.warehouse.locks import file_lock
from audit_assets.warehouse.places import lock_folder, whole
from audit_assets.warehouse.store import Warehouse

LAYOUT = 1
FILE = "warehouse.json"
UNMARKED = 0
"""Of warehouses from before they said which layout they have."""


def _search_again(root: Path) -> None:
    """Results of an unmarked warehouse were marked as searched by checks that knew less: forget what they found."""
    for marker in sorted(root.glob("verified/**/*.parquet")):
        marker.unlink()


MIGRATIONS: Mapping[int, Callable[[Path], None]] = {UNMARKED: _search_again}
"""From a layout to the next. A migration that was interrupted must be able to run again."""


def opened(root: Path, migrations: Mapping[int, Callable[[Path], None]] = MIGRATIONS) -> Warehouse:
    """The warehouse at `root`, if there is one in the layout of this version. Nothing is made where there is none yet.

    InputError names the file where the layout is newer, unknown, or cannot be brought up to date.
    """
    if root.is_dir() and _layout(root) != LAYOUT and (_layout(root) is not None or _has_tables(root)):
        _locked(root, lambda: _migrate(root, migrations))
    return Warehouse(root)


def made(root: Path) -> Warehouse:
    """The warehouse at `root` as `opened` gives it, marked with this layout where it is new."""
    warehouse = opened(root)
    if _layout(root) is None:
        _locked(root, lambda: None if _has_tables(root) else mark(root))
    return warehouse


def _has_tables(root: Path) -> bool:
    return any(root.rglob("*.parquet"))


def _locked(root: Path, change: Callable[[], None]) -> None:
    try:
        with file_lock(lock_folder(root) / "warehouse.lock"):
            change()
    except OSError as error:
        raise InputError(
            f"{root}: cannot be marked with layout {LAYOUT} of warehouses ({error}); open it once as a user who may write there."
        ) from None


def _migrate(root: Path, migrations: Mapping[int, Callable[[Path], None]]) -> None:
    layout = _layout(root)
    if layout is None:
        layout = UNMARKED
    while layout < LAYOUT:
        if layout not in migrations:
            raise InputError(
                f"{root / FILE}: the warehouse has layout {layout}, from which this version knows no way to its own, "
                f"{LAYOUT}; open it with the version that wrote it, or name another folder as `warehouse` and audit anew."
            )
        migrations[layout](root)
        layout += 1
        mark(root, layout)


def mark(root: Path, layout: int = LAYOUT) -> None:
    with whole(root / FILE) as file:
        file.write_text(text(layout), encoding="utf-8")


def text(layout: int = LAYOUT) -> str:
    """Of the file."""
    return json.dumps({"layout": layout}) + "\n"


def _layout(root: Path) -> int | None:
    """What the file says; None where there is none."""
    path = root / FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        layout = said["layout"]
        if type(layout) is not int or layout < 0:
            raise ValueError(f"layout is {layout!r}")
    except FileNotFoundError:
        return None
    except InputError:  # the bucket is not reachable
        raise
    except NotADirectoryError:
        raise InputError(f"{root}: is not a folder; move it away, or correct `warehouse`.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: does not say which layout the warehouse has ({error}); restore it from a backup, or write "
            f'{{"layout": {LAYOUT}}} into it if this version made the warehouse.'
        ) from None
    if layout > LAYOUT:
        raise InputError(
            f"{path}: the warehouse has layout {layout}, which is newer than this version's, {LAYOUT}; install the version that wrote it."
        )
    return layout
