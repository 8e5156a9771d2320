"""Compressed bodies are read, bounded, or refused in words."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import lzma
import os
import sys
import zlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from worker.domain.compression import INFLATED_MOST_BYTES, inflate, is_known

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "application/x-gzip": zlib.compress,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "application/x-bz2": bz2.compress,
    "application/x-lzma": lambda data: lzma.compress(data, preset=0),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
}
METHODS = pytest.mark.parametrize("name", COMPRESS)


@METHODS
def test_what_was_compressed_comes_back(name: str) -> None:
    """By the names that Celery writes, and by their aliases."""
    data = os.urandom(1000) * 20
    assert is_known(name)
    assert inflate(COMPRESS[name](data), name) == data


@METHODS
def test_a_bomb_is_refused(name: str) -> None:
    """What is small and inflates without end is not inflated to its end; what just fits is."""
    most = bytes(INFLATED_MOST_BYTES)
    assert inflate(COMPRESS[name](most), name) == most
    with pytest.raises(ValueError, match="once it is inflated"):
        inflate(COMPRESS[name](bytes(2 * INFLATED_MOST_BYTES)), name)


@METHODS
def test_what_is_cut_off_or_another_thing_is_refused(name: str) -> None:
    """No exception of the library's own comes through."""
    whole = COMPRESS[name](os.urandom(1000))
    for data in (whole[:-20], b"", b"[[], {}, {}]", os.urandom(100)):
        with pytest.raises(ValueError, match=r"cut off|is not compressed with"):
            inflate(data, name)


@pytest.mark.parametrize("method", ["zstd", "brotli"])
def test_a_method_without_its_module_is_named(method: str) -> None:
    """Where the module is there, what is none is refused as elsewhere."""
    module = {"zstd": "backports", "brotli": "brotli"}[method]
    words = (
        "as it says"
        if importlib.util.find_spec(module)
        else f"with {method}, which this worker has no module"
    )
    with pytest.raises(ValueError, match=words):
        inflate(b"no such thing", f"application/{'x-' if method == 'brotli' else ''}{method}")


def test_an_unknown_name_is_not_known() -> None:
    """The body is then read as it is."""
    assert not is_known("application/x-nothing")


@pytest.mark.parametrize(("bounded", "words"), [(True, ""), (False, "has no module for")])
def test_brotli_is_read_where_its_module_knows_a_bound(
    monkeypatch: pytest.MonkeyPatch, bounded: bool, words: str
) -> None:
    """An older one would inflate a bomb to its end."""

    class Decompressor:
        def process(self, data: bytes, **options: int) -> bytes:
            if options and not bounded:
                raise TypeError("output_buffer_limit")
            return data * 2

        def is_finished(self) -> bool:
            return True

    monkeypatch.setitem(sys.modules, "brotli", SimpleNamespace(Decompressor=Decompressor))
    if bounded:
        assert inflate(b"[]", "brotli") == b"[][]"
    else:
        with pytest.raises(ValueError, match=words):
            inflate(b"[]", "brotli")
