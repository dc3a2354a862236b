"""A filesystem without locks is named before anything is written under one."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.runs.home import prepare_home
from audit_assets.warehouse.locks import check_locks, file_lock


def without_locks(number: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_filesystem_without_locks_is_named(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    check_locks.cache_clear()
    monkeypatch.setattr("fcntl.flock", without_locks(number))
    with pytest.raises(InputError, match=r"its filesystem has no locks .* Put the folder on a disk of this machine"):
        file_lock(tmp_path / "locks" / "a.lock")
    with pytest.raises(InputError, match="its filesystem has no locks"):
        prepare_home(load_audit(small_audit(tmp_path / "audit")))
    check_locks.cache_clear()


def test_a_lock_keeps_another_out_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    check_locks.cache_clear()
    with file_lock(tmp_path / "locks" / "a.lock") as held:
        assert held.is_locked
        assert [p.name for p in (tmp_path / "locks").iterdir()] == ["a.lock"]
