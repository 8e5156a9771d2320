"""Bodies that a producer's Celery has compressed (`task_compression`), inflated with a bound. Pure."""

from __future__ import annotations

import bz2
import importlib
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any, Final

INFLATED_MOST_BYTES: Final = 16 * 1024 * 1024
"""Far more than any message of ours holds; a bomb of a kilobyte may hold a thousand times as much."""

_LZMA_MEMORY_BYTES: Final = 128 * 1024 * 1024
_ZSTD: Final = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"

_NAMES: Final = {
    "gzip": ("application/x-gzip", "gzip", "zlib"),
    "bzip2": ("application/x-bz2", "bzip2", "bzip"),
    "lzma": ("application/x-lzma", "lzma", "xz"),
    "zstd": ("application/zstd", "zstd", "zstandard"),
    "brotli": ("application/x-brotli", "brotli"),
}
_METHODS: Final = {name: method for method, names in _NAMES.items() for name in names}


def is_known(compression: str) -> bool:
    """Whether it is one of those that Celery's producers have, whether or not it can be read here."""
    return compression in _METHODS


def inflate(data: bytes, compression: str) -> bytes:
    """What was compressed, by the name that Celery writes into the header `compression`.

    Raises:
        ValueError: it cannot be read, in words for whoever runs the producer.
    """
    method = _METHODS[compression]
    try:
        inflated, complete = _INFLATE[method](data)
    except ImportError:
        raise ValueError(f"is compressed with {method}, which this worker has no module for") from None
    except Exception as error:  # each method has exceptions of its own
        raise ValueError(f"is not compressed with {method}, as it says ({type(error).__name__})") from None
    if len(inflated) > INFLATED_MOST_BYTES:
        raise ValueError(f"is more than {INFLATED_MOST_BYTES} bytes once it is inflated")
    if not complete:
        raise ValueError(f"is cut off: what was compressed with {method} has no end")
    return inflated


def _gzip(data: bytes) -> tuple[bytes, bool]:
    inflater = zlib.decompressobj(wbits=47)  # as kombu's "gzip", which is zlib's format, or as gzip itself
    return inflater.decompress(data, INFLATED_MOST_BYTES + 1), inflater.eof


def _by(make: Callable[[], Any]) -> Callable[[bytes], tuple[bytes, bool]]:
    def inflated(data: bytes) -> tuple[bytes, bool]:
        inflater = make()
        return inflater.decompress(data, max_length=INFLATED_MOST_BYTES + 1), inflater.eof

    return inflated


def _brotli(data: bytes) -> tuple[bytes, bool]:
    inflater = importlib.import_module("brotli").Decompressor()
    try:
        inflated = inflater.process(data, output_buffer_limit=INFLATED_MOST_BYTES + 1)
    except TypeError:
        raise ImportError("a brotli before 1.2 knows no bound") from None
    return inflated, inflater.is_finished()


_INFLATE: Final[dict[str, Callable[[bytes], tuple[bytes, bool]]]] = {
    "gzip": _gzip,
    "bzip2": _by(bz2.BZ2Decompressor),
    "lzma": _by(lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)),
    "zstd": _by(lambda: importlib.import_module(_ZSTD).ZstdDecompressor()),
    "brotli": _brotli,
}
