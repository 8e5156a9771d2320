"""The address that is forwarded to: checked, named, and shown without its secrets. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from tasks.checks import is_loopback
from tasks.environment import host_and_port

NAME_RULE: Final = "1 to 100 characters of a-z, 0-9, full stop and hyphen"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go.

    Args:
        url: as it was given, perhaps with secrets in it.
        name: under which the endpoint is known in Redis: of its consumer group, among others.
        shown: the URL without userinfo, query and fragment.
    """

    url: str = field(repr=False)
    name: str
    shown: str

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.shown.split("/")[:3])

    @property
    def is_whole(self) -> bool:
        """Whether all of the URL is shown."""
        parts = urlsplit(self.url)
        return not (parts.query or parts.fragment or "@" in parts.netloc)

    def secrets(self) -> tuple[str, ...]:
        """What of the URL no log line may show."""
        parts = urlsplit(self.url)
        found = [parts.username, parts.password, *(value for _, value in parse_qsl(parts.query)), parts.query]
        return tuple(unquote(each) for each in found if each)


def endpoint_of(url: str, name: str = "") -> Endpoint:
    """The endpoint at this URL.

    Args:
        name: another name than that which its scheme, host, port and path give it. Two URLs that differ in
            their queries only are one endpoint without it, for a token in there may change.

    Raises:
        ValueError: the URL, or the name, cannot be right; in words that do not repeat the URL.
    """
    host, port = host_and_port(url)
    if host is None or urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("the URL must be https://host/path, or with a port")
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("the URL must be https://…; http:// is for a loopback address only")
    shown = _shown(parts, host, port)
    if name and not _NAME.fullmatch(name):
        raise ValueError(f"the name must be {NAME_RULE}")
    return Endpoint(url, name or _named(shown, host), shown)


def _shown(parts: SplitResult, host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}{f':{port}' if port not in (None, default) else ''}{parts.path or '/'}"


def _named(shown: str, host: str) -> str:
    words = re.sub(r"[^a-z0-9.]+", "-", host.lower()).strip("-.")[:80] or "endpoint"
    return f"{words}-{hashlib.sha256(shown.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}"
