"""The signature, held to what the vendor's own Java made of 32 inputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.signing import SUBMIT_URI, Credentials, content, headers, sign, verify

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "signing_vectors.json").read_text("utf-8"))
NEW, OLD = Credentials("new-access", "new-secret"), Credentials("old-access", "old-secret")


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_signs_as_the_vendors_java_does(vector: dict[str, str]) -> None:
    """Each vector's signature comes out to the letter."""
    signature = sign(
        vector["access_key"],
        vector["secret_key"],
        vector["timestamp"],
        vector["uri"],
        vector["body"].encode(),
    )
    assert signature == vector["signature"]


def test_all_vectors_are_there() -> None:
    """A truncated vector file cannot pass for a full one."""
    assert len(VECTORS) == 32


def test_the_content_is_laid_out_as_on_the_vendors_page() -> None:
    """Method, path, newline, body, timestamp and access key stand in the page's order."""
    assert content("ak", "1676904384074", "/openapi/v1/a/b", b"{}") == (
        b"POST /openapi/v1/a/b\n{}.1676904384074.ak"
    )


def test_the_five_headers_have_the_pages_names() -> None:
    """Names keep their case, and the signature covers the timestamp beside it."""
    made = headers(NEW, body=b"{}", request_id="893e87bb", timestamp_ms=1741855077857)
    assert made == {
        "X-Access-Key": "new-access",
        "X-Request-Sign": sign("new-access", "new-secret", "1741855077857", SUBMIT_URI, b"{}"),
        "X-Request-Timestamp": "1741855077857",
        "x-acs-request-id": "893e87bb",
        "Content-Type": "application/json",
    }


@given(body=st.binary(), timestamp_ms=st.integers(0, 10**13), keys=st.sampled_from([NEW, OLD]))
def test_what_is_signed_verifies(body: bytes, timestamp_ms: int, keys: Credentials) -> None:
    """Any bytes signed with an accepted key verify, and one more byte does not."""
    made = headers(keys, body=body, request_id="x", timestamp_ms=timestamp_ms)
    claim = {
        "access_key": made["X-Access-Key"],
        "signature": made["X-Request-Sign"],
        "timestamp": made["X-Request-Timestamp"],
        "uri": SUBMIT_URI,
    }
    assert verify([NEW, OLD], body=body, **claim)
    assert not verify([NEW, OLD], body=body + b" ", **claim)


@pytest.mark.parametrize(
    "change",
    [
        {"access_key": "old-access"},
        {"access_key": "nobody"},
        {"signature": ""},
        {"signature": "签名"},
        {"timestamp": "2"},
        {"uri": "/other"},
    ],
    ids=str,
)
def test_anything_changed_does_not_verify(change: dict[str, str]) -> None:
    """The access key, the time and the path are signed; a signature that is no ASCII is just wrong."""
    claim = {"access_key": "new-access", "timestamp": "1", "uri": SUBMIT_URI}
    claim["signature"] = sign("new-access", "new-secret", "1", SUBMIT_URI, b"{}")
    assert verify([NEW, OLD], body=b"{}", **claim)
    assert not verify([NEW, OLD], body=b"{}", **(claim | change))


def test_a_retired_key_does_not_verify() -> None:
    """A key that left the list is refused."""
    signature = sign("old-access", "old-secret", "1", SUBMIT_URI, b"{}")
    claim = {"access_key": "old-access", "signature": signature, "timestamp": "1", "uri": SUBMIT_URI}
    assert not verify([NEW], body=b"{}", **claim)


def test_keys_hide_their_secret() -> None:
    """Neither repr nor str of a key pair holds the secret."""
    assert "new-secret" not in f"{NEW!r} {NEW!s}"


@pytest.mark.parametrize(
    ("access_key", "secret_key"), [("", "s"), ("a", ""), ("a\r\nX: y", "s"), ("密钥", "s")]
)
def test_keys_that_cannot_be_right_are_refused(access_key: str, secret_key: str) -> None:
    """An empty key, or an access key that no header can carry, raises without showing itself."""
    with pytest.raises(ValueError, match="key must") as raised:
        Credentials(access_key, secret_key)
    assert "X: y" not in str(raised.value)


def test_an_accepted_secret_does_not_vouch_for_another_access_key() -> None:
    """A signature that is right for a made-up access key is refused."""
    signature = sign("nobody", "new-secret", "1", SUBMIT_URI, b"{}")
    assert not verify(
        [NEW], access_key="nobody", signature=signature, timestamp="1", uri=SUBMIT_URI, body=b"{}"
    )
