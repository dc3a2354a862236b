"""These functions make locks between processes, on filesystems that have locks."""

import errno
import fcntl
import os
import threading
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from audit_assets.errors import InputError, writing

_ABSENT = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTSUP}


def file_lock(path: Path) -> FileLock:
    """Return a lock on a file, which is made.

    It raises InputError if the file's folder cannot be written, or its filesystem has no locks.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    check_locks(path.parent)
    return FileLock(path)


@lru_cache(maxsize=1024)
def check_locks(folder: Path) -> None:
    """Raise InputError if the filesystem of a folder has no locks.

    Without locks the library would wait for ever, or not at all.
    """
    tried = folder / f".locks-{os.getpid()}-{threading.get_ident()}"  # threads of one process try it at the same time
    with writing(tried):
        file = os.open(tried, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _ABSENT:
            raise InputError(
                f"{folder}: its filesystem has no locks ({error.strerror}), without which two processes would write over each "
                "other. Put the folder on a disk of this machine, or mount it with locks (NFS: version 4, or without `nolock`)."
            ) from None
        raise
    finally:
        os.close(file)
        tried.unlink(missing_ok=True)
