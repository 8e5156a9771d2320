"""Where finished files are kept: which settings can be right."""

from __future__ import annotations

import importlib.util

import pytest

from tests.unit.config.test_settings import KEYS, problems
from worker.config.settings import load
from worker.config.store import StoreSettings


def store(**environ: str) -> StoreSettings:
    found = load(KEYS | environ).store
    assert found is not None
    return found


@pytest.fixture
def _all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.mark.usefixtures("_all_installed")
@pytest.mark.parametrize(
    ("url", "scheme", "root"),
    [
        ("file:///srv/pictures", "file", "/srv/pictures"),
        ("FILE:///srv/pictures/", "file", "/srv/pictures"),
        ("file:///srv/my%20pictures/%E5%9B%BE", "file", "/srv/my pictures/图"),
        ("s3://my-bucket", "s3", "my-bucket"),
        ("s3://my-bucket/shop/2026/", "s3", "my-bucket/shop/2026"),
        ("oss://my-bucket/shop", "oss", "my-bucket/shop"),
        ("gs://my_bucket.shop", "gs", "my_bucket.shop"),
        ("memory://", "memory", ""),
        ("memory://pictures", "memory", "pictures"),
    ],
)
def test_stores_that_can_be_named(url: str, scheme: str, root: str) -> None:
    """A folder by its absolute path, a bucket perhaps with a prefix."""
    found = store(AIGC_STORE_URL=url)
    assert (found.scheme, found.root) == (scheme, root)
    assert (found.max_bytes, found.timeout_s) == (512 * 1024 * 1024, 300)


@pytest.mark.usefixtures("_all_installed")
@pytest.mark.parametrize(
    "url",
    [
        "/srv/pictures", "srv/pictures", "file:/srv/pictures", "file://srv/pictures", "file:///", "file://",
        "file:///srv/../etc", "file:///srv//x", "file:///srv?x=1", "file:///srv/a%00b", "ftp://host/pictures",
        "http://host/pictures", "s3:my-bucket", "s3://", "s3://a", "s3://key:secret@my-bucket", "s3://my-bucket?x=y",
        "s3://my-bucket/../other", "s3://my-bucket//x", "s3://my bucket", "oss://my-bucket/#x", "://my-bucket",
        "s3://my-bucket/" + "a" * 400,
    ],
)  # fmt: skip
def test_stores_that_cannot_be_right(url: str) -> None:
    """One line, which names the variable and does not repeat the value: it may hold a secret."""
    (line,) = problems(AIGC_STORE_URL=url)
    assert line.startswith("AIGC_STORE_URL must be ")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("s3://my-bucket", "s3fs", "s3"),
        ("oss://my-bucket", "ossfs", "oss"),
        ("gs://my-bucket", "gcsfs", "gcs"),
    ],
)
def test_a_library_that_is_missing_is_named(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that brings it; at start, and not with the first picture."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (line,) = problems(AIGC_STORE_URL=url)
    missing = f"{module} is missing: pip install '.[{extra}]' in the directory of aigc-worker"
    assert line == f"AIGC_STORE_URL must be a store whose library is installed, and {missing}"


def test_the_other_settings_are_read() -> None:
    """Template and bounds."""
    found = store(
        AIGC_STORE_URL="file:///srv",
        AIGC_STORE_NAME="{metadata.sku}.{ext}",
        AIGC_STORE_MAX_BYTES="1000",
        AIGC_STORE_TIMEOUT_S="2.5",
    )
    assert (found.max_bytes, found.timeout_s) == (1000, 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("AIGC_STORE_NAME", "{date}.png"), ("AIGC_STORE_MAX_BYTES", "0"), ("AIGC_STORE_TIMEOUT_S", "-1")],
)
def test_they_are_checked_without_a_store_too(name: str, value: str) -> None:
    """What cannot be right is told before it matters."""
    (line,) = problems(**{name: value})
    assert line.startswith(f"{name} must be ")


def test_without_a_store_nothing_is_kept() -> None:
    """As is the default."""
    assert load(KEYS).store is None
    assert load(KEYS | {"AIGC_STORE_URL": " "}).store is None
