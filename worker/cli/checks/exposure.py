"""Who could read or write what, as the settings say: the way to Redis, tokens, missing packages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tasks.checks import is_loopback
from tasks.redis_address import address_of
from tasks.redis_url import tls_options
from worker.cli.checks.finding import Finding, ok, warn, wrong
from worker.cli.extras import MODULES, NEEDS

FEWEST_CHARS: Final = 8
"""Different characters in a token that was made at random: one of 16 hexadecimal digits has about 10."""

FEATURES: Final[Mapping[str, str]] = {
    "AIGC_UI_TOKEN": "ui",
    "AIGC_FORWARD_SECRET": "forward",
}
"""By the setting that is for one extra only, that extra."""


def of_connection(redis_url: str) -> Iterator[Finding]:
    """Whether others on the network between could read or write; loopback has nobody between."""
    address = address_of(redis_url)
    if address is None or all(is_loopback(host) for host, _ in address.places):
        return
    where = str(address).partition("?")[0]
    if not address.is_tls:
        what = f"AIGC_REDIS_URL: {where} is without TLS: prompts and the password go in clear"
        yield warn("connection", what, "rediss://, or a network that only these machines have")
    elif (tls_options(redis_url) or {}).get("ssl_cert_reqs") == "none":
        what = "AIGC_REDIS_URL: ssl_cert_reqs=none trusts any server: whoever is on the way reads and writes"
        yield warn("connection", what, "leave the option out, and name your CA with ssl_ca_certs")
    if address.password is None:
        what = f"AIGC_REDIS_URL: {where} has no password: whoever reaches it can have jobs bought"
        yield warn("connection", what, "an ACL user for each program: docs/how-to/redis-users.md")


def of_token(name: str, token: str | None) -> Iterator[Finding]:
    """Whether a token that may be right can be guessed all the same."""
    if token is None:
        return
    if len(set(token)) < FEWEST_CHARS:
        what = f"{name} can be guessed: it has {len(set(token))} different characters"
        yield wrong("secrets", what, 'python -c "import secrets; print(secrets.token_urlsafe(32))" makes one')
    else:
        yield ok("secrets", f"{name} is long enough")


def of_extras(configured: Mapping[str, bool], is_installed: Callable[[str], bool]) -> Iterator[Finding]:
    """Whether what is set can be used here.

    Args:
        configured: by a name of `FEATURES`, whether it is set.
    """
    for name, extra in FEATURES.items():
        gone = [module for module in MODULES[extra] if not is_installed(module)]
        if configured.get(name) and gone:
            what = f"{name} is set, and {', '.join(gone)} is missing: `aigc {extra}` does not start"
            yield warn("extras", what, f"pip install 'aigc-worker[{extra}]', or unset it here")


def of_program(role: str, is_installed: Callable[[str], bool]) -> Iterator[Finding]:
    """Whether the program of this role, if it is a command, has the packages that it needs."""
    extras = NEEDS.get(role, ())
    gone = [module for extra in extras for module in MODULES[extra] if not is_installed(module)]
    if gone:
        what = f"{', '.join(gone)} is missing: `aigc {role}` does not start"
        yield wrong("extras", what, f"pip install 'aigc-worker[{','.join(extras)}]'")
