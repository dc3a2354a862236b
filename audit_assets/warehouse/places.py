"""A warehouse lies in a folder or below a prefix of an S3 bucket. Each written file appears whole or not at all.

A folder is a `pathlib.Path`. A file is written beside its place and renamed. In S3 an object is one completed upload,
and an upload that was cut off leaves nothing that a reader could see. `ObjectPath` has as much of `pathlib.Path` as the
warehouse uses, and raises `InputError` if the bucket cannot be reached. Keys, region and endpoint come from the
environment that every AWS client reads (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, ...).
"""

import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from upath.implementations.cloud import S3Path
from upath.registry import register_implementation

from audit_assets.errors import InputError, writing
from audit_assets.untrusted.addresses import holds_secret

S3 = "s3://"
SETTINGS: dict[str, Any] = {
    # Other processes write while this one lists.
    "use_listings_cache": False,
    # A store that is gone is reported within a minute. A store that fails for a moment is asked again.
    "config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 4, "mode": "standard"}},
}
_TAIL = 1 << 16
"""Arrow reads this many bytes of a parquet file's end to find its footer."""

_AT_ONCE = 16
_LONGEST_NAME = 255
"""One name in a path may have this many bytes on every usual filesystem."""

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


def place(warehouse: str, base: Path) -> Path:
    """Return the root of the warehouse that an audit file names.

    It is `s3://bucket/prefix`, or a folder that starts at `base`.
    """
    if warehouse.startswith(S3):
        # It has each method of a Path that the warehouse uses. The type checker takes it for a Path.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")  # botocore reads only the second
        client = {"region_name": region} if region else {}
        return cast(Path, ObjectPath(warehouse.rstrip("/"), endpoint_url=endpoint(), client_kwargs=client, **SETTINGS))
    if "\0" in warehouse or any(len(os.fsencode(part)) > _LONGEST_NAME for part in warehouse.split("/")):
        raise InputError(f"{warehouse[:100]!r}: no file can have this name; correct it.")
    try:
        return (base / Path(warehouse).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a user who does not exist
        raise InputError(f"{warehouse[:100]!r}: leads nowhere ({error}); correct the path.") from None


def endpoint() -> str | None:
    """Return the address of the S3 store, None for Amazon's own. InputError does not repeat an address with a secret in it."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if address := os.environ.get(name):
            if holds_secret(address):
                raise InputError(
                    f"the variable {name} holds a password or a token; keep it in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
                )
            return address
    return None


def _reached(method: Callable[P, R]) -> Callable[P, R]:
    """Turn each exception of a store into an InputError that names the object and the remedy.

    For a missing object it stays FileNotFoundError.
    """

    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except FileNotFoundError as error:
            if "specified bucket" not in str(error):
                raise
            raise InputError(f"{args[0]}: there is no such bucket; make it, or correct `warehouse`.") from error
        except InputError:
            raise
        except ImportError as error:
            raise InputError(f"{args[0]}: needs `pip install 'audit_assets[s3]'` ({error}).") from error
        except PermissionError as error:
            raise InputError(
                f"{args[0]}: access denied ({error}); the key in the environment needs s3:ListBucket, s3:GetObject, "
                "s3:PutObject and s3:DeleteObject there."
            ) from error
        except Exception as error:  # each client raises its own exceptions
            raise InputError(
                f"{args[0]}: the store could not be reached ({type(error).__name__}: {error}); check AWS_ENDPOINT_URL "
                f"({endpoint() or 'not set'}), the keys and the network, and run again: what is finished is kept."
            ) from error

    return asked


class ObjectPath(S3Path):
    """This is an object, or a prefix of objects, as a path. Every answer comes from the store."""

    @_reached
    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return bool(self.fs.exists(self.path))

    @_reached
    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return bool(self.fs.isfile(self.path))

    @_reached
    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return bool(self.fs.isdir(self.path))

    @_reached
    def read_bytes(self) -> bytes:
        return bytes(self.fs.cat_file(self.path, max_concurrency=1))  # without asking for the size first

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    @_reached
    def tail(self, size: int = _TAIL) -> bytes:
        """Return the last bytes of an object, or all bytes of a smaller one, in one request."""
        return bytes(self.fs.cat_file(self.path, start=-size))

    @_reached
    def etag(self) -> str:
        """Return the ETag. It changes if the object was written again with other bytes."""
        return str(self.fs.info(self.path)["ETag"])

    @_reached
    def states(self) -> dict[str, str]:
        """Return what identifies each object directly below this prefix as it is, by its name. A thousand objects take one request."""
        try:
            listed = self.fs.ls(self.path, detail=True, refresh=True)
        except FileNotFoundError as error:
            if "specified bucket" in str(error):
                raise
            return {}
        return {
            found["name"].rsplit("/", 1)[-1]: f"{found['ETag']} {found['LastModified']}"
            for found in listed
            if found["type"] != "directory"
        }

    @_reached
    def put(self, file: Path) -> None:
        """Upload a file in one request.

        If it is large, parts are uploaded, which become the object when all have arrived.
        """
        self.fs.put_file(str(file), self.path)

    @_reached
    def fetch(self, file: Path) -> None:
        self.fs.get_file(self.path, str(file))

    @_reached
    def stat(self, *, follow_symlinks: bool = True) -> Any:
        return super().stat()

    @_reached
    def open(self, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        return super().open(mode, *arguments, **named)

    @_reached
    def write_bytes(self, data: Any) -> int:
        self.fs.pipe_file(self.path, bytes(data))
        return len(data)

    @_reached
    def unlink(self, missing_ok: bool = False) -> None:
        if missing_ok or self.exists():
            self.fs.rm_file(self.path)
        else:
            raise FileNotFoundError(str(self))

    @_reached
    def check(self) -> None:
        bucket, _, prefix = self.path.partition("/")
        self.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing. A prefix need not be made, and s3fs would make a missing bucket."""

    @_reached
    def _found(self, pattern: str) -> list["ObjectPath"]:
        return list(super().glob(pattern))

    @_reached
    def _below(self, pattern: str) -> list["ObjectPath"]:
        root = f"{self.path.rstrip('/')}/"
        names = (name.removeprefix(root) for name in self.fs.find(self.path) if name.startswith(root))
        return [self / name for name in names if fnmatchcase(name.rsplit("/", 1)[-1], pattern)]

    def glob(
        self, pattern: str, *, case_sensitive: bool | None = None, recurse_symlinks: bool = False
    ) -> Iterator[Any]:
        yield from self._found(pattern)

    def rglob(
        self, pattern: str, *, case_sensitive: bool | None = None, recurse_symlinks: bool = False
    ) -> Iterator[Any]:
        yield from self._below(pattern)

    @_reached
    def _children(self) -> list["ObjectPath"]:
        return list(super().iterdir())

    def iterdir(self) -> Iterator[Any]:
        yield from self._children()


register_implementation("s3", ObjectPath, clobber=True)


def check(root: Path) -> None:
    """Raise InputError if a warehouse's bucket is missing, unreachable, or may not be listed with this key."""
    if isinstance(root, ObjectPath):
        root.check()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a local file to write. It takes the place of `path` in one step when the block ends well."""
    if isinstance(path, ObjectPath):
        with writing(path), tempfile.TemporaryDirectory(prefix="audit-assets-") as folder:
            file = Path(folder) / path.name
            yield file
            path.put(file)
        return
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """Give a local folder to write files into. Each file takes its place below `folder`.

    In S3 this happens when the block ends well.
    """
    if not isinstance(folder, ObjectPath):
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="audit-assets-") as local:
        yield Path(local)
        for file in sorted(p for p in Path(local).iterdir() if p.is_file()):
            cast(ObjectPath, folder / file.name).put(file)


def local_copy(path: Path) -> Path:
    """Return a local file with the bytes of `path`.

    In a folder this is `path` itself. For an object it is a copy that is kept until the object changes.
    FileNotFoundError is raised if no such object exists.
    """
    if not isinstance(path, ObjectPath):
        return path
    folder = _private("copies") / _digest(str(path))
    folder.mkdir(exist_ok=True)
    copy = folder / f"{_digest(path.etag())}-{path.name}"
    if not copy.exists():
        with whole(copy) as temporary:
            path.fetch(temporary)
        # The two newest copies stay, because another process may just be opening the last one.
        for old in sorted(folder.glob(f"[!.]*-{path.name}"), key=lambda file: file.stat().st_mtime)[:-2]:
            old.unlink(missing_ok=True)
    return copy


def each(root: Path, ask: Callable[[A], R], items: Iterable[A]) -> list[R]:
    """Return what `ask` returns for every item, in order.

    In S3 many items are asked at once, since each answer takes the time of a round trip.
    """
    if not isinstance(root, ObjectPath):
        return [ask(item) for item in items]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, items))


def states(paths: Sequence[Path]) -> list[str | None]:
    """Return what identifies each object as it is: its ETag and the time of its last change. None if there is no such object.

    Each prefix is listed once for all its objects.
    """
    listed = {folder: cast(ObjectPath, folder).states() for folder in dict.fromkeys(path.parent for path in paths)}
    return [listed[path.parent].get(path.name) for path in paths]


def footer(path: Path) -> Any:
    """Return the source of a parquet file's schema and metadata for pyarrow, which is the file or an object's end."""
    if not isinstance(path, ObjectPath):
        return path
    import pyarrow as pa

    end = path.tail()
    needed = int.from_bytes(end[-8:-4], "little") + 8
    return pa.BufferReader(end if needed <= len(end) < _TAIL or needed < len(end) else path.read_bytes())


def lock_folder(root: Path) -> Path:
    """Return the folder of a warehouse's locks. It lies beside the warehouse, or on this machine for one in S3.

    S3 has no locks, so workers on several machines may make the same cell at once. They make the same bytes, and the
    last worker to finish writes what the first wrote.
    """
    return _private("locks") / _digest(str(root)) if isinstance(root, ObjectPath) else root / ".locks"


def spill_folder() -> Path:
    """Return a path for what one connection of DuckDB has no memory for. DuckDB makes the folder if it needs it, and deletes it.

    By default the folder would lie beside the database, where a reader must change nothing.
    """
    return Path(tempfile.gettempdir()) / f"audit-assets-spill-{uuid.uuid4().hex}"


def _private(name: str) -> Path:
    """Return a folder that only this user can use, below the machine's temporary folder.

    The temporary folder exists on every machine on which a worker can work.
    """
    folder = Path(tempfile.gettempdir()) / f"audit-assets-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder}: belongs to another user; delete it, or set TMPDIR to a folder of your own.")
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
