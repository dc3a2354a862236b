"""`warehouse.json` at the root of a warehouse names its layout, and the audit file whose results lie there.

An older warehouse is migrated when it is opened, or the error says what to do. A newer one is left alone.

The layout says where files lie and what they mean. It does not say whether a table's rows are up to date. Every file
carries the hash of its inputs, and is made again by itself if they changed.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError, unreadable
from audit_assets.warehouse.locks import file_lock
from audit_assets.warehouse.places import ObjectPath, lock_folder, whole
from audit_assets.warehouse.store import Warehouse

LAYOUT = 1
FILE = "warehouse.json"
OWNER = "audit_file"
UNMARKED = 0
"""Warehouses from before the file existed have this layout."""


def _search_again(root: Path) -> None:
    """Forget which results of an unmarked warehouse were searched, because those checks knew less."""
    for marker in sorted(root.glob("verified/**/*.parquet")):
        marker.unlink()


MIGRATIONS: Mapping[int, Callable[[Path], None]] = {UNMARKED: _search_again}
"""Each migration leads from a layout to the next. A migration that was interrupted must be able to run again."""


def opened(root: Path, migrations: Mapping[int, Callable[[Path], None]] = MIGRATIONS) -> Warehouse:
    """Return the warehouse at `root`, in the layout of this version.

    If no warehouse exists yet, nothing is made. InputError names the file if the layout is newer, unknown, or cannot be
    brought up to date.
    """
    if root.is_dir() and _layout(root) != LAYOUT and (_layout(root) is not None or _has_tables(root)):
        _locked(root, lambda: _migrate(root, migrations))
    return Warehouse(root)


def made(root: Path, audit_file: Path) -> Warehouse:
    """Return the warehouse at `root` as `opened` gives it, marked with this layout and with the audit file that it is the warehouse of.

    InputError names both files if it is the warehouse of another one.
    """
    own = _from(root, audit_file)
    if _said(root) == {"layout": LAYOUT, OWNER: own}:
        return Warehouse(root)
    refuse_another(root, audit_file)
    warehouse = opened(root)
    if _layout(root) is not None or not _has_tables(root):
        _locked(root, lambda: mark(root, audit_file=own))
    return warehouse


def refuse_another(root: Path, audit_file: Path) -> None:
    """Raise InputError if the warehouse is that of another file in the same folder, whose results are not those of this audit.

    A file that was renamed or moved takes its warehouse along. Files in other folders are copies of one audit, for example the checkouts
    of a team that shares the warehouse.
    """
    owner = _said(root).get(OWNER)
    if not isinstance(owner, str) or "\0" in owner:
        return
    other = Path(os.path.normpath(os.path.join(_base(root), owner)))
    here = os.path.realpath(audit_file)
    if os.path.dirname(here) == str(other.parent) and os.path.isfile(other) and not other.samefile(here):
        raise InputError(
            f"{audit_file}: its warehouse {root} has the results of {other}, which are not those of this audit; give each audit file a "
            f"`warehouse` of its own, or remove {other} if this file takes its place."
        )


def _base(root: Path) -> str:
    return "/" if isinstance(root, ObjectPath) else os.path.realpath(root)


def _from(root: Path, audit_file: Path) -> str:
    """Return the path of an audit file from its warehouse, so that both can be moved together."""
    return Path(os.path.relpath(os.path.realpath(audit_file), _base(root))).as_posix()


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


def mark(root: Path, layout: int = LAYOUT, audit_file: str | None = None) -> None:
    with whole(root / FILE) as file:
        file.write_text(text(layout, audit_file), encoding="utf-8")


def text(layout: int = LAYOUT, audit_file: str | None = None) -> str:
    """Return the text of the file."""
    return json.dumps({"layout": layout} | ({OWNER: audit_file} if audit_file else {})) + "\n"


def _layout(root: Path) -> int | None:
    """Return the layout that the file names, or None if no file exists."""
    return _said(root).get("layout")


def _said(root: Path) -> dict[str, Any]:
    """Return what the file says, whose layout is one that this version knows. It is empty if no file exists."""
    path = root / FILE
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        layout = said["layout"]
        if type(layout) is not int or layout < 0:
            raise ValueError(f"layout is {layout!r}")
    except FileNotFoundError:
        return {}
    except InputError:  # the bucket is not reachable
        raise
    except NotADirectoryError:
        raise InputError(f"{root}: is not a folder; move it away, or correct `warehouse`.") from None
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: does not say which layout the warehouse has ({error}); restore it from a backup, or write "
            f'{{"layout": {LAYOUT}}} into it if this version made the warehouse.'
        ) from None
    if layout > LAYOUT:
        raise InputError(
            f"{path}: the warehouse has layout {layout}, which is newer than this version's, {LAYOUT}; install the version that wrote it."
        )
    return said
