"""A store that is a bucket: S3, OSS or Google's, or the memory of this process, by way of fsspec."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, BinaryIO, Final, cast

import fsspec

from worker.keeping.incoming import Incoming, StoreFault, fault_at

_PART_BYTES: Final = 8 * 1024 * 1024
"""Of one request; up to twice this is sent at once, and is in memory."""

_S3_TIMEOUTS: Final = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 1},
}
_CHATTER: Final = ("aiobotocore", "botocore", "fsspec", "gcsfs", "google", "oss2", "ossfs", "s3fs")
"""Loggers of the libraries: at INFO they say nothing of use, and at DEBUG what requests are signed with."""

_PROBE: Final = ".aigc-probe"

_TAKEN: Final = re.compile("PreconditionFailed|FileAlreadyExists")
_CANNOT: Final = re.compile("NotImplemented|not implemented")
_HERE: Final = "the temporary folder of this machine"


class ObjectStore:
    """Thread-safe. Credentials, endpoint and region are what the library finds in its own variables.

    Args:
        scheme: ``s3``, ``oss``, ``gs`` or ``memory``.
        root: the bucket, perhaps with a prefix.
    """

    def __init__(self, scheme: str, root: str) -> None:
        self._scheme = scheme
        self._root = root
        self._lock = Lock()
        self._opened: Any = None

    def probe(self) -> None:
        """Write a few bytes, and remove them where that is allowed. Raises StoreFault."""
        path = self._path(_PROBE)
        with _in_words():
            self._files().pipe_file(path, b"probe")
            with suppress(Exception):  # to remove what is stored is no right that storing needs
                self._files().rm_file(path)

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A new file on this machine's disk: an object is sent once its file is whole."""
        try:
            file = tempfile.NamedTemporaryFile(prefix="aigc-")  # noqa: SIM115 - closed below
        except OSError as error:
            raise fault_at(_HERE, error) from error
        incoming = Incoming(cast(BinaryIO, file), file.name, _HERE)
        try:
            yield incoming
        finally:
            incoming.close()

    def create(self, incoming: Incoming, name: str) -> bool:
        """Store it under this name; False where the name is taken. Raises StoreFault.

        The request itself says so. Not all that speak S3 or Google's protocol heed that, so they are asked
        before; OSS does, and its library would list the whole folder to answer.
        """
        incoming.flush()
        with _in_words():
            if self._scheme != "oss" and self._info(name) is not None:
                return False
            try:
                self._put(incoming, name, new=True)
            except Exception as error:
                if isinstance(error, FileExistsError) or _TAKEN.search(_all_words(error)):
                    return False
                if not _CANNOT.search(_all_words(error)):
                    raise
                self._put(incoming, name, new=False)
        return True

    def replace(self, incoming: Incoming, name: str) -> None:
        """Store it under this name, in place of what has it. Raises StoreFault."""
        incoming.flush()
        with _in_words():
            self._put(incoming, name, new=False)

    def holds(self, name: str, size: int, sha256: str) -> bool:
        """Whether what has this name is this file. Raises StoreFault."""
        with _in_words():
            info = self._info(name)
            if info is None or info["size"] != size:
                return False
            digest = hashlib.sha256()
            with self._files().open(self._path(name), "rb", block_size=_PART_BYTES) as file:
                while chunk := file.read(_PART_BYTES):
                    digest.update(chunk)
            return digest.hexdigest() == sha256

    def location(self, name: str) -> str:
        """Its URL, as fsspec and the vendors' own tools have it."""
        return f"{self._scheme}://{self._path(name)}"

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root else name

    def _info(self, name: str) -> Mapping[str, Any] | None:
        files = self._files()
        files.invalidate_cache()  # to be told not to have one, ossfs does not bear
        try:
            info = cast(Mapping[str, Any], files.info(self._path(name)))
        except FileNotFoundError:
            return None
        return None if info["type"] == "directory" else info

    def _put(self, incoming: Incoming, name: str, *, new: bool) -> None:
        assert incoming.media_type is not None
        options = _put_options(self._scheme, incoming.media_type.content_type, new=new)
        self._files().put_file(incoming.path, self._path(name), **options)

    def _files(self) -> Any:
        """The file system of fsspec, made at its first use: some look for credentials then."""
        with self._lock:
            if self._opened is None:
                for name in _CHATTER:
                    logging.getLogger(name).setLevel("WARNING")
                options = {"config_kwargs": _S3_TIMEOUTS} if self._scheme == "s3" else {}
                self._opened = fsspec.filesystem(self._scheme, skip_instance_cache=True, **options)
                if self._scheme == "s3":
                    self._opened.retries = 2
            return self._opened


def _put_options(scheme: str, content_type: str, *, new: bool) -> dict[str, Any]:
    """What the libraries call the Content-Type, the size of a request, and that nothing is replaced."""
    mode = "create" if new else "overwrite"
    if scheme == "s3":
        return {"ContentType": content_type, "chunksize": _PART_BYTES, "max_concurrency": 1, "mode": mode}
    if scheme == "gs":
        return {"content_type": content_type, "chunksize": _PART_BYTES, "mode": mode}
    if scheme == "oss":
        only_new = {"x-oss-forbid-overwrite": "true"} if new else {}
        return {"headers": {"Content-Type": content_type, **only_new}}
    return {"mode": mode}


@contextmanager
def _in_words() -> Iterator[None]:
    """Whatever a store's library raises, in words: each has classes of its own."""
    try:
        yield
    except Exception as error:
        raise StoreFault(f"the store fails: {_words(error)}") from error


def _words(error: Exception) -> str:
    """What happened, on one line; no query of a URL, which could be signed."""
    cause = error.__cause__ or error
    code, message = getattr(cause, "code", None), getattr(cause, "message", None)
    text = f"{code}: {message}" if code and message else f"{type(error).__name__}: {error}"
    plain = re.sub(r"\?\S+", "?…", " ".join(text.split()))
    return "".join(char for char in plain if char.isprintable())[:300]


def _all_words(error: Exception) -> str:
    return f"{error!r} {error.__cause__!r}"
