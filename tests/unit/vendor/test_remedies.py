"""What keeps a connection from being opened is told with what to mend."""

from __future__ import annotations

import socket
import ssl

import pytest

from worker.vendor.exchange import failure
from worker.vendor.remedies import remedy_of


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (certificate(10), "clock"),
        (certificate(62), "AIGC_ENDPOINT"),
        (certificate(64), "AIGC_ENDPOINT"),
        (certificate(18), "REQUESTS_CA_BUNDLE"),
        (certificate(19), "REQUESTS_CA_BUNDLE"),
        (certificate(20), "REQUESTS_CA_BUNDLE"),
        (certificate(99), "REQUESTS_CA_BUNDLE"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "HTTPS_PROXY"),
        (TimeoutError("_ssl.c:989: The handshake operation timed out"), "firewalls"),
        (socket.gaierror(-2, "Name or service not known"), "name resolution"),
    ],
    ids=repr,
)
def test_a_failure_to_connect_names_what_to_mend(error: Exception, names: str) -> None:
    """Beside the system's own words, which stay."""
    assert names in remedy_of(error)
    told = failure(error, sent=False)
    assert (str(error)[:50] in told.detail, names in told.detail) == (True, True)
    assert remedy_of(error) not in failure(error, sent=True).detail


def test_a_name_that_a_library_wrapped_is_still_one() -> None:
    """urllib3 raises an error of its own from the system's."""
    error = ConnectionError("a library's")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    assert "AIGC_ENDPOINT" in remedy_of(error)


def test_what_says_all_by_itself_gets_no_advice() -> None:
    """A port where nobody listens."""
    assert failure(ConnectionRefusedError(111, "refused"), sent=False).detail.endswith("refused")
