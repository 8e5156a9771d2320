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
    sentinels_of,
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
        (
            "redis://h?sentinel_password=s3cret",
            "without the option sentinel_password: only redis+sentinel://",
        ),
        (
            "redis+sentinel://h/m?sentinel_username=s3cret",
            "with sentinel_password where it has sentinel_user",
        ),
        ("redis+sentinel://h/m?sentinel_password", "with the password of the sentinels as sentinel_password"),
        (
            "redis+sentinel://h/m?sentinel_tls=true",
            "rediss+sentinel://… where it has the option sentinel_tls",
        ),
        ("rediss+sentinel://h/m?sentinel_tls=s3cret", "with true or false as sentinel_tls"),
        (
            f"redis+sentinel://h/m?ssl_ca_certs={TLS}",
            "rediss+sentinel://… where it has the option ssl_ca_cert",
        ),
        ("redis+sentinel://h/m?db=2", "without the option db"),
        ("redis+sentinel://h/m?master_name=x", "with no other options than client_name"),
    ],
)
def test_an_option_that_cannot_hold_is_named_with_what_to_do(url: str, words: str) -> None:
    """Whatever could end in a traceback later, or in silence; no value is repeated."""
    problem = redis_url_problem(url)
    assert words in problem
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    ("url", "places", "primary", "options", "is_tls"),
    [
        ("redis+sentinel://a,b:1/m", (("a", 26379), ("b", 1)), "m", {}, False),
        (
            "redis+sentinel://u:p%40@[::1]:1/m.1-x_/3",
            (("::1", 1),),
            "m.1-x_",
            {"db": 3, "username": "u"},
            False,
        ),
        (
            "redis+sentinel://a,[::1]:1,[fe80::1],b/m",
            (("a", 26379), ("::1", 1), ("fe80::1", 26379), ("b", 26379)),
            "m",
            {},
            False,
        ),
        ("redis+sentinel://:p%2C%40@a/m", (("a", 26379),), "m", {"password": "p,@"}, False),
        ("rediss+sentinel://a/m/", (("a", 26379),), "m", VERIFIED, True),
        ("rediss+sentinel://a/m?sentinel_tls=false", (("a", 26379),), "m", VERIFIED, False),
    ],
)
def test_sentinels_and_the_name_of_the_primary(
    url: str, places: tuple[tuple[str, int], ...], primary: str, options: dict[str, Any], is_tls: bool
) -> None:
    """Credentials are the server's; TLS is to both, unless the sentinels speak none."""
    assert redis_url_problem(url) == ""
    found = sentinels_of(url)
    assert found is not None
    assert (found.places, found.primary, found.is_tls) == (places, primary, is_tls)
    assert found.options == {"username": None, "password": None, **(VERIFIED if is_tls else {})}
    made = connection_options(url)
    assert options.items() <= made.items()
    assert (made["host"], made["port"]) == places[0]


def test_the_sentinels_have_credentials_of_their_own() -> None:
    """Given as options, and to nobody else."""
    url = "redis+sentinel://u:p@a/m?sentinel_username=s&sentinel_password=x%20y"
    assert redis_url_problem(url) == ""
    found = sentinels_of(url)
    assert found is not None
    assert found.options == {"username": "s", "password": "x y"}
    made = connection_options(url)
    assert (made["username"], made["password"]) == ("u", "p")
    assert not [name for name in made if name.startswith("sentinel")]
    assert "x y" not in repr(found)


def test_a_server_without_sentinels_has_none() -> None:
    """The URL names the server itself."""
    assert sentinels_of("redis://h") is None


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a,b",
        "redis+sentinel://a,b/",
        "redis+sentinel://a,b/3/m",
        "redis+sentinel://a,b/m/n",
        "redis+sentinel://a,b/m/3/4",
        "redis+sentinel://a,/m",
        "redis+sentinel://,a/m",
        "redis+sentinel:///m",
        "redis+sentinel://a:0/m",
        "redis+sentinel://a:x/m",
        "redis+sentinel://a;b/m",
        "redis+sentinel://a, b/m",
        "redis+sentinel://a/my%20primary",
        "redis+sentinel://a/m#x",
        "redis://a,b/0",
        "sentinel://a/m",
        "redis+sentinels://a/m",
        "unix+sentinel://a/m",
        "redis+sentinel://[::1/m",
    ],
)
def test_what_names_no_sentinels_is_told_the_form(url: str) -> None:
    """The whole form, and nothing of the value."""
    assert redis_url_problem(url).startswith("redis://[user:password@]host[:port][/number] or ")
    assert "redis+sentinel://[user:password@]host[:port],host[:port]/primary" in redis_url_problem(url)


def test_what_logs_may_show_and_what_not() -> None:
    """Host, port and number; neither password in either spelling."""
    url = "rediss://u:p%40ss@h/1?ssl_password=k%20y"
    assert place_of(url) == "rediss://h:6379/1"
    assert set(secrets_of(url)) == {"p%40ss", "p@ss", "k y", "k%20y"}
    url = "redis+sentinel://u:p%40ss@h,i:1/m/1?sentinel_password=k%20y"
    assert place_of(url) == "redis+sentinel://h:26379,i:1/m/1"
    assert set(secrets_of(url)) >= {"p%40ss", "p@ss", "k y", "k%20y"}
