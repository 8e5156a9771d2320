"""When a signed URL ends."""

from __future__ import annotations

import pytest

from worker.preflight.expiry import end_of, expired
from worker.preflight.values import Code

HOST = "https://b.example.com/x.png"
Y2020 = 1_577_836_800.0


@pytest.mark.parametrize(
    ("query", "ends_at"),
    [
        ("Expires=1577836800&OSSAccessKeyId=K&Signature=s", Y2020),
        ("Signature=s&Expires=1577836800&Key-Pair-Id=K", Y2020),
        ("X-Amz-Date=20200101T000000Z&X-Amz-Expires=7200&X-Amz-Signature=ab", Y2020 + 7200),
        ("x-oss-date=20200101T000000Z&x-oss-expires=7200&x-oss-signature=ab", Y2020 + 7200),
        ("x-oss-signature-version=OSS2&x-oss-expires=1577836800&x-oss-signature=ab", Y2020),
        ("X-Goog-Date=20200101T000000Z&X-Goog-Expires=60&X-Goog-Signature=ab", Y2020 + 60),
        ("Expires=1577836800", None),
        ("expires=tomorrow&signature=s", None),
        ("Expires=99999999999999999999&Signature=s", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=7200", None),
        ("X-Amz-Expires=7200", None),
        ("v=1", None),
        ("", None),
    ],
)
def test_the_end_of_a_signed_url(query: str, ends_at: float | None) -> None:
    """By what its query says; what says nothing sure has none."""
    assert end_of(f"{HOST}?{query}") == ends_at


def test_a_url_must_last_until_the_job_is_sent() -> None:
    """A little longer, for the vendor fetches it after that."""
    url = f"{HOST}?Expires=1577836800&Signature=s"
    assert expired(url, Y2020 - 60) is None
    for at in (Y2020 - 5, Y2020, Y2020 + 86400):
        found = expired(url, at)
        assert found is not None
        assert found.code is Code.URL_EXPIRED
        assert "2020-01-01 00:00:00 UTC" in found.words
