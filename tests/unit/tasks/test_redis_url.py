"""The URL of a Redis: what redis-py and kombu are given of it, and which options hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tasks.redis_url import (
    connection_options,
    place_of,
    redis_url_problem,
    secrets_of,
    tls_options,
    without_options,
)

TLS = Path(__file__).parents[2] / "data" / "tls" / "server.pem"
VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://h", {"host": "h"}),
        ("redis://h:1/3?client_name=shop", {"host": "h", "port": 1, "db": 3, "client_name": "shop"}),
        ("redis://u:p%3B%40%2F@[::1]", {"host": "::1", "username": "u", "password": "p;@/"}),
        ("redis://:pw@h/", {"host": "h", "password": "pw"}),
        ("rediss://h", {"host": "h", **VERIFIED}),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", {"host": "h", **VERIFIED}),
        (
            "rediss://h?ssl_cert_reqs=none",
            {"host": "h", "ssl_cert_reqs": "none", "ssl_check_hostname": False},
        ),
        ("rediss://h?ssl_check_hostname=no", {"host": "h", **VERIFIED, "ssl_check_hostname": False}),
        (f"rediss://h?ssl_ca_certs={TLS}", {"host": "h", **VERIFIED, "ssl_ca_certs": str(TLS)}),
        (f"rediss://h?ssl_certfile={TLS}", {"host": "h", **VERIFIED, "ssl_certfile": str(TLS)}),
        ("rediss://h?ssl_min_version=TLSv1.3", {"host": "h", **VERIFIED, "ssl_min_version": 772}),
    ],
)
def test_redis_py_and_kombu_are_told_the_same(url: str, options: dict[str, Any]) -> None:
    """Address, credentials and TLS; the check of the certificate is on unless the URL says otherwise."""
    assert redis_url_problem(url) == ""
    address = {"port": 6379, "db": 0, "username": None, "password": None}
    assert connection_options(url) == address | options
    kombu: Any = Connection(without_options(url), ssl=tls_options(url))
    assert {name: value for name, value in options.items() if name.startswith("ssl_")} == (kombu.ssl or {})
    assert (kombu.hostname, kombu.userid, kombu.password) == (
        *(options["host"], options.get("username"), options.get("password")),
    )
    assert (kombu.port or 6379, int(kombu.virtual_host)) == (options.get("port", 6379), options.get("db", 0))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://h?db=2", "without the option db: the number of the database goes into the path"),
        ("redis://h?password=s3cret", "without the option password: write user:password@"),
        ("redis://h?socket_timeout=2", "without the option socket_timeout: this program sets that itself"),
        ("redis://h?protocol=3", "without the option protocol"),
        ("redis://h?max_connections=9", "without the option max_connections"),
        ("rediss://h?ssl_cert_reqs=maybe", "with required, optional or none as ssl_cert_reqs"),
        ("rediss://h?ssl_cert_reqs", "with required, optional or none as ssl_cert_reqs"),
        ("rediss://h?ssl_check_hostname=s3cret", "with true or false as ssl_check_hostname"),
        ("rediss://h?ssl_ca_cert=/x", "did you mean ssl_ca_certs?"),
        ("redis://h?s3cret@s3cret", "with no other options than client_name, ssl_cert_reqs, "),
        (f"redis://h?ssl_ca_certs={TLS}", "rediss://… where it has the option ssl_ca_certs"),
        (f"rediss://h?ssl_ca_certs={TLS}&ssl_ca_certs={TLS}", "with the option ssl_ca_certs once"),
        ("rediss://h?ssl_ca_certs=/s3cret", "a file of certificates as ssl_ca_certs: No such file"),
        (f"rediss://h?ssl_ca_certs={__file__}", "a file of certificates as ssl_ca_certs: [X509"),
        ("rediss://h?ssl_ca_certs=a%00", "a file of certificates as ssl_ca_certs: embedded null"),
        ("rediss://h?ssl_ca_path=/s3cret", "a folder of certificates as ssl_ca_path: No such file"),
        (f"rediss://h?ssl_keyfile={TLS}", "with ssl_certfile where it has ssl_keyfile"),
        (f"rediss://h?ssl_certfile={__file__}", "a certificate and its key as ssl_certfile and ssl_keyfile"),
        ("rediss://h?ssl_ciphers=s3cret", "OpenSSL's names of ciphers as ssl_ciphers: No cipher"),
        ("redis://h?client_name=a%20b", "with a name without blanks as client_name"),
    ],
)
def test_an_option_that_cannot_hold_is_named_with_what_to_do(url: str, words: str) -> None:
    """Whatever could end in a traceback later, or in silence; no value is repeated."""
    problem = redis_url_problem(url)
    assert words in problem
    assert "s3cret" not in problem


def test_what_logs_may_show_and_what_not() -> None:
    """Host, port and number; neither password in either spelling."""
    url = "rediss://u:p%40ss@h/1?ssl_password=k%20y"
    assert place_of(url) == "rediss://h:6379/1"
    assert set(secrets_of(url)) == {"p%40ss", "p@ss", "k y", "k%20y"}
