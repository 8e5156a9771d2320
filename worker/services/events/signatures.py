"""Signatures and tokens, compared in constant time. Pure."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Final

from worker.services.events.values import ANY_SHOP, EventDelivery, Refusal, Secrets

ALGORITHMS: Final = ("sha256", "sha1", "sha512")
ENCODINGS: Final[dict[str, Callable[[bytes], str]]] = {
    "base64": lambda digest: b64encode(digest).decode(),
    "hex": bytes.hex,
}


def is_signed(
    body: bytes, given: str, secrets: Iterable[str], *, algorithm: str = "sha256", encoding: str = "base64"
) -> bool:
    """Whether `given` is the HMAC of exactly these bytes with one of the secrets."""
    encode = ENCODINGS[encoding]
    given = given.lower() if encoding == "hex" else given
    signatures = (encode(hmac.digest(secret.encode(), body, algorithm)) for secret in secrets)
    return is_one_of(given, signatures)


def is_one_of(given: str, right: Iterable[str]) -> bool:
    """Whether it is one of these; each is looked at, whichever fits, so that the time taken tells nothing."""
    raw = given.encode("utf-8", "surrogatepass")
    found = [hmac.compare_digest(raw, each.encode()) for each in right]
    return True in found


class Shops:
    """Whose deliveries a source takes.

    Args:
        listed: names of shops, in lower case; with none, any that knows the secret.
    """

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self._listed = frozenset(listed)

    def secrets_of(self, shop: str, secrets: Secrets) -> Iterable[str]:
        """Those of this shop: its own where shops have their own, else those of any."""
        return secrets.get(shop, ()) if ANY_SHOP not in secrets else secrets[ANY_SHOP]

    def vouched_for(self, shop: str) -> str | Refusal:
        """The shop's name as far as it can be believed: the header that says it is not signed.

        Whoever repeats another shop's delivery could give it any name, and buy once for each.
        """
        if not self._listed:
            return ""
        if not shop and len(self._listed) == 1:
            return next(iter(self._listed))
        return shop if shop in self._listed else Refusal(403, f"the shop {shop[:60]!r} is not one of `shops`")


def header_of(delivery: EventDelivery, name: str) -> str:
    """A vendor's header, with or without the `x-` that newer ones are without."""
    return delivery.header(f"x-{name}") or delivery.header(name)
