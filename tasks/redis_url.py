"""The URL of a Redis: one reader, whose answers all clients of Redis are made from, Celery's among them.

redis-py and kombu read URLs each in its own way: other options, other defaults, and kombu trusts any
certificate where the URL says nothing. What neither is given cannot differ.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from .environment import is_one_word
from .redis_address import Address, Place, address_of, parts_of

_FORM: Final = (
    "redis://[user:password@]host[:port][/number] or the same with rediss://, or "
    "redis+sentinel://[user:password@]host[:port],host[:port]/primary[/number] or rediss+sentinel://, "
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
_OF_SENTINELS: Final[Mapping[str, _Option]] = {
    "sentinel_username": _Option(_word, "a user's name without blanks"),
    "sentinel_password": _Option(_text, "the password of the sentinels"),
    "sentinel_tls": _Option(_bool, "true or false"),
}
_OPTIONS: Final[Mapping[str, _Option]] = {
    "client_name": _Option(_word, "a name without blanks"),
    **_TLS,
    **_OF_SENTINELS,
}


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Who is asked where the primary of this name is, and with what options of redis-py's connections."""

    places: tuple[Place, ...]
    primary: str
    options: Mapping[str, Any] = field(repr=False)
    is_tls: bool


def redis_url_problem(url: str) -> str:
    """What a URL of a Redis must be, in words that go after "must be"; empty where it can be right.

    Files that it names are looked into. No value of it is repeated.
    """
    address = address_of(url)
    if address is None:
        return _FORM
    given = parse_qsl(address.query, keep_blank_values=True)
    names = [name for name, _ in given]
    problems = [_option_problem(name, value, names.count(name), address) for name, value in given]
    return next(filter(None, problems), "") or _pairs_problem(names) or _tls_problem(_read(address))


def connection_options(url: str) -> dict[str, Any]:
    """What redis-py's connections of either kind are made with: address, credentials and TLS.

    With sentinels the address is that of the first one; `tasks.connection` puts the primary's in its place.

    Args:
        url: one in which `redis_url_problem` finds nothing.
    """
    address = _known(url)
    read = _read(address)
    host, port = address.places[0]
    return {
        "host": host,
        "port": port,
        "db": address.number,
        "username": address.username,
        "password": address.password,
        **{name: value for name, value in read.items() if name not in _OF_SENTINELS},
    }


def sentinels_of(url: str) -> Sentinels | None:
    """Who knows where the server is; None where the URL names the server itself."""
    address = _known(url)
    if address.primary is None:
        return None
    read = _read(address)
    is_tls = address.is_tls and read.get("sentinel_tls", True)
    options = {
        "username": read.get("sentinel_username"),
        "password": read.get("sentinel_password"),
        **{name: value for name, value in read.items() if is_tls and name in _TLS},
    }
    return Sentinels(address.places, address.primary, options, is_tls)


def is_over_tls(url: str) -> bool:
    """Whether connections to the server itself are over TLS."""
    return _known(url).is_tls


def without_options(url: str) -> str:
    """The same URL for kombu, which is given the options by themselves: see `tls_options`.

    All that may mean something to kombu is percent-encoded: to it a `;` begins another URL.
    """
    address = _known(url)
    user, password = (quote(each or "", safe="") for each in (address.username, address.password))
    credentials = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host, port = address.places[0]
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{'rediss' if address.is_tls else 'redis'}://{credentials}{place}/{address.number}"


def tls_options(url: str) -> dict[str, Any] | None:
    """The options of TLS, complete: None where the URL asks for none."""
    read = _read(_known(url))
    return {name: read[name] for name in read if name in _TLS} or None


def client_name(url: str) -> str | None:
    """The name under which Redis lists this client's connections, where the URL gives one."""
    return _read(_known(url)).get("client_name")


def place_of(url: str) -> str:
    """Hosts, ports and number, and the primary's name where sentinels are asked for it; without a secret."""
    return str(_known(url))


def secrets_of(url: str) -> tuple[str, ...]:
    """What no log line may show of it, in the URL's spelling and in its own."""
    address = _known(url)
    options = dict(parse_qsl(address.query))
    in_url = parts_of(url)[0].rpartition("@")[0].partition(":")[2]
    secrets = (address.password or "", options.get("ssl_password", ""), options.get("sentinel_password", ""))
    found = (in_url, *(spelling for each in secrets for spelling in (each, quote(each))))
    return tuple(dict.fromkeys(filter(None, found)))


def _known(url: str) -> Address:
    address = address_of(url)
    if address is None:
        raise ValueError("not checked by redis_url_problem")  # the URL may be a secret
    return address


def _read(address: Address) -> dict[str, Any]:
    """The options by name. With TLS, the check of the certificate is among them whether given or not."""
    read = {name: _OPTIONS[name].read(value) for name, value in parse_qsl(address.query) if name in _OPTIONS}
    # Given, because their defaults have differed between versions of redis-py.
    checks = {"ssl_cert_reqs": "required", "ssl_check_hostname": True} if address.is_tls else {}
    if read.get("ssl_cert_reqs") == "none":
        checks["ssl_check_hostname"] = read["ssl_check_hostname"] = False
    return checks | read


def _option_problem(name: str, value: str, times: int, address: Address) -> str:
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
    if (name in _TLS or name == "sentinel_tls") and not address.is_tls:
        with_tls = address.scheme.replace("redis", "rediss")
        return f"{with_tls}://… where it has the option {name}: {address.scheme}:// is without TLS"
    if name in _OF_SENTINELS and address.primary is None:
        return f"without the option {name}: only redis+sentinel:// and rediss+sentinel:// name sentinels"
    return "" if _OPTIONS[name].read(value) is not None else f"with {_OPTIONS[name].words} as {name}"


def _pairs_problem(names: Sequence[str]) -> str:
    if "sentinel_username" in names and "sentinel_password" not in names:
        return "with sentinel_password where it has sentinel_username"
    return ""


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
