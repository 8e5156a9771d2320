"""Checks of `tasks.checks` that no payload's test reaches."""

from __future__ import annotations

import pytest

from tasks.checks import is_loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)),
        *(("10.0.0.1", False), ("0.0.0.0", False), ("::", False), ("localhost.example", False), ("", False)),
    ],
)
def test_loopback_addresses_and_the_name(host: str, loopback: bool) -> None:
    """Only this machine's own addresses and its one name count; nothing is resolved."""
    assert is_loopback(host) is loopback
