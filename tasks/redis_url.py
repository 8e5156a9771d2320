"""The URL of a Redis: one reader, whose answers all clients of Redis are made from, Celery's among them.

redis-py and kombu read URLs each in its own way: other options, other defaults, and kombu trusts any
certificate where the URL says nothing. What neither is given cannot differ.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from .environment import host_and_port, is_one_word

DEFAULT_PORT: Final = 6379
_FORM: Final = (
    "redis://[user:password@]host[:port][/number] or the same with rediss://, "
    "special characters of the password percent-encoded"
)
_INSTEAD: Final = {
    "db": "the number of the database goes into the path, as in redis://host:6379/3",
    "virtual_host": "the number of the database goes into the path, as in redis://host:6379/3",
    "username": "write user:password@ before the host",
    "password": "write user:password@ before the host",
    "ssl": "write rediss:// for TLS",
}
_SET_BY_US: Final = (
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval", "timeout"),
    *("retry_on_timeout", "max_connections", "protocol", "decode_responses", "visibility_timeout"),
)


def _word(text: str) -> str | None:
    return text if text and is_one_word(text) else None


def _text(text: str) -> str | None:
    return text or None


def _choice(**words: tuple[str, ...]) -> Callable[[str], str | None]:
    meant = {word: choice for choice, spellings in words.items() for word in (choice, *spellings)}
    return lambda text: meant.get(text.lower())


def _bool(text: str) -> bool | None:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower())


def _version(text: str) -> int | None:
    return {"tlsv1.2": 771, "771": 771, "tlsv1.3": 772, "772": 772}.get(text.lower())


@dataclass(frozen=True, slots=True)
class _Option:
    """How an option is read (None: not at all), and what it must be."""

    read: Callable[[str], Any]
    words: str


_FILE: Final = _Option(_text, "the path of a file")
_TLS: Final[Mapping[str, _Option]] = {
    "ssl_cert_reqs": _Option(
        _choice(required=("cert_required",), optional=("cert_optional",), none=("cert_none",)),
        "required, optional or none",
    ),
    "ssl_check_hostname": _Option(_bool, "true or false"),
    "ssl_ca_certs": _FILE,
    "ssl_ca_path": _Option(_text, "the path of a folder"),
    "ssl_certfile": _FILE,
    "ssl_keyfile": _FILE,
    "ssl_password": _Option(_text, "the password of ssl_keyfile"),
    "ssl_min_version": _Option(_version, "TLSv1.2 or TLSv1.3"),
    "ssl_ciphers": _Option(_text, "OpenSSL's names of ciphers"),
}
_LOOKED_INTO: Final[Mapping[str, str]] = {
    "ssl_ca_certs": "a file of certificates as ssl_ca_certs",
    "ssl_ca_path": "a folder of certificates as ssl_ca_path",
    "ssl_certfile": "a certificate and its key as ssl_certfile and ssl_keyfile, its password as ssl_password",
    "ssl_ciphers": "OpenSSL's names of ciphers as ssl_ciphers",
}
_OPTIONS: Final[Mapping[str, _Option]] = {"client_name": _Option(_word, "a name without blanks"), **_TLS}


def redis_url_problem(url: str) -> str:
    """What a URL of a Redis must be, in words that go after "must be"; empty where it can be right.

    Files that it names are looked into. No value of it is repeated.
    """
    if not _has_form(url):
        return _FORM
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = [name for name, _ in given]
    problems = [_option_problem(name, value, names.count(name), parts.scheme) for name, value in given]
    return next(filter(None, problems), "") or _tls_problem(_read(parts))


def connection_options(url: str) -> dict[str, Any]:
    """What redis-py's connections of either kind are made with: address, credentials and TLS.

    Args:
        url: one in which `redis_url_problem` finds nothing.
    """
    parts = urlsplit(url)
    return {
        "host": unquote(parts.hostname or ""),
        "port": parts.port or DEFAULT_PORT,
        "db": int(parts.path.strip("/") or 0),
        "username": unquote(parts.username or "") or None,
        "password": unquote(parts.password or "") or None,
        **_read(parts),
    }


def without_options(url: str) -> str:
    """The same URL for kombu, which is given the options by themselves: see `tls_options`.

    All that may mean something to kombu is percent-encoded: to it a `;` begins another URL.
    """
    parts = urlsplit(url)
    user, password = (quote(unquote(each or ""), safe="") for each in (parts.username, parts.password))
    credentials = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{credentials}{host}/{parts.path.strip('/') or 0}"


def tls_options(url: str) -> dict[str, Any] | None:
    """The options of TLS, complete: None where the URL asks for none."""
    parts = urlsplit(url)
    read = _read(parts)
    return {name: read[name] for name in read if name in _TLS} or None


def client_name(url: str) -> str | None:
    """The name under which Redis lists this client's connections, where the URL gives one."""
    return _read(urlsplit(url)).get("client_name")


def place_of(url: str) -> str:
    """Host, port and number, without a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or DEFAULT_PORT}{parts.path}"


def secrets_of(url: str) -> tuple[str, ...]:
    """What no log line may show of it, in the URL's spelling and in its own."""
    parts = urlsplit(url)
    key_password = dict(parse_qsl(parts.query)).get("ssl_password", "")
    found = (parts.password or "", unquote(parts.password or ""), key_password, quote(key_password))
    return tuple(dict.fromkeys(filter(None, found)))


def _has_form(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    database = rest.partition("?")[0].partition("/")[2]
    possible = scheme in ("redis", "rediss") and re.fullmatch("[0-9]*", database) and "#" not in url
    return bool(possible) and host_and_port(url)[0] is not None


def _read(parts: SplitResult) -> dict[str, Any]:
    """The options by name. With TLS, the check of the certificate is among them whether given or not."""
    read = {name: _OPTIONS[name].read(value) for name, value in parse_qsl(parts.query) if name in _OPTIONS}
    # Given, because their defaults have differed between versions of redis-py.
    checks = {"ssl_cert_reqs": "required", "ssl_check_hostname": True} if parts.scheme == "rediss" else {}
    if read.get("ssl_cert_reqs") == "none":
        checks["ssl_check_hostname"] = read["ssl_check_hostname"] = False
    return checks | read


def _option_problem(name: str, value: str, times: int, scheme: str) -> str:
    if name in _INSTEAD:
        return f"without the option {name}: {_INSTEAD[name]}"
    if name in _SET_BY_US:
        return f"without the option {name}: this program sets that itself"
    if name not in _OPTIONS:
        # Its name is not shown: behind a `?` may be the rest of a password.
        near = difflib.get_close_matches(name, _OPTIONS, n=1)
        return f"with no other options than {', '.join(_OPTIONS)}" + (
            f"; did you mean {near[0]}?" if near else ""
        )
    if times > 1:
        return f"with the option {name} once"
    if name in _TLS and scheme != "rediss":
        return f"rediss://… where it has the option {name}: redis:// is without TLS"
    return "" if _OPTIONS[name].read(value) is not None else f"with {_OPTIONS[name].words} as {name}"


def _tls_problem(options: Mapping[str, Any]) -> str:
    """What keeps a connection from being made with these, found out without making one."""
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        return "with ssl_certfile where it has ssl_keyfile"
    if not options.keys() & _LOOKED_INTO.keys():
        return ""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looks: dict[str, Callable[[str], object]] = {
        "ssl_ca_certs": lambda path: context.load_verify_locations(cafile=path),
        "ssl_ca_path": os.listdir,
        # Without a password OpenSSL would ask for one at the terminal.
        "ssl_certfile": lambda path: context.load_cert_chain(
            path, options.get("ssl_keyfile"), options.get("ssl_password", "")
        ),
        "ssl_ciphers": context.set_ciphers,
    }
    for name, words in _LOOKED_INTO.items():
        try:
            if name in options:
                looks[name](options[name])
        except (OSError, ValueError) as error:  # OpenSSL's are OSErrors; a path with a NUL
            return f"with {words}: {getattr(error, 'strerror', None) or error.args[0]}"
    return ""
