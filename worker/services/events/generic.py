"""Webhooks of any sender: an HMAC in a header of its choice, or Standard Webhooks. Pure but for the clock."""

from __future__ import annotations

from binascii import Error as NoBase64
from collections.abc import Iterable
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tasks.frozen import value
from worker.mapping.paths import Path
from worker.services.events.json_body import read_object, text_of
from worker.services.events.signatures import is_signed
from worker.services.events.values import (
    ANY_SHOP,
    Event,
    EventDelivery,
    Ignored,
    Product,
    Read,
    Refusal,
    Secrets,
    Verdict,
)


@value(frozen=True, slots=True)
class Paths:
    """Where a body has what matters.

    ``product``: the product, or a list of them. ``key``: of a product, which one it is. ``topic``: what
    happened. ``event_id``: what is the same when it comes again; None where nothing is.
    """

    product: Path
    key: Path
    topic: Path
    event_id: Path | None = None


@value(frozen=True, slots=True)
class Signature:
    """How a sender signs: names in lower case."""

    header: str
    algorithm: str
    encoding: str
    prefix: str


def with_hmac(signature: Signature, paths: Paths, *, event_id_header: str, shop: str) -> Read:
    """Reads what is signed with an HMAC over the body."""

    def read(delivery: EventDelivery, secrets: Secrets) -> Verdict:
        given = delivery.header(signature.header)
        if not given.startswith(signature.prefix) or given == signature.prefix:
            return Refusal(401, f"{signature.header} is missing, or does not begin with the prefix")
        if not is_signed(
            delivery.body, given.removeprefix(signature.prefix), secrets[ANY_SHOP],
            algorithm=signature.algorithm, encoding=signature.encoding,
        ):  # fmt: skip
            return Refusal(401, f"{signature.header} is not the body's HMAC with the secret")
        return _event("generic", delivery.body, paths, delivery.header(event_id_header), shop)

    return read


def with_standard_webhooks(paths: Paths, *, shop: str) -> Read:
    """Reads what is signed as https://www.standardwebhooks.com says, no more than five minutes ago."""

    def read(delivery: EventDelivery, secrets: Secrets) -> Verdict:
        found = [_is_signed(delivery, secret) for secret in secrets[ANY_SHOP]]  # all, whichever fits
        if True not in found:
            return Refusal(401, "webhook-signature is missing or wrong, or webhook-timestamp is minutes off")
        return _event("standard", delivery.body, paths, delivery.header("webhook-id"), shop)

    return read


def _is_signed(delivery: EventDelivery, secret: str) -> bool:
    try:
        Webhook(secret).verify(delivery.body, dict(delivery.headers), json_parse=False)
    except (WebhookVerificationError, ValueError, NoBase64, OverflowError):
        # The library itself raises others than its own for headers that are nothing of the kind.
        return False
    return True


def _event(source: str, body: bytes, paths: Paths, event_id: str, shop: str) -> Verdict:
    document = read_object(body)
    if isinstance(document, Refusal):
        return document
    scope = {"body": document}
    try:
        found = paths.product(scope)
        products = [
            each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)
        ]
        if not products:
            return Ignored("there is no product where `product` says")
        if paths.event_id is not None:
            event_id = text_of(paths.event_id(scope))
        topic = text_of(paths.topic(scope))
        return Event(topic, tuple(_products(source, shop, event_id, paths.key, products)), shop)
    except ValueError as error:
        return Refusal(400, f"the body is not what product, key, topic or event_id expect: {error}")


def _products(
    source: str, shop: str, event_id: str, key: Path, products: list[dict[str, Any]]
) -> Iterable[Product]:
    for index, product in enumerate(products):
        marks = (f"{source} {shop} {event_id} {index}",) if event_id else ()
        yield Product(product, marks, text_of(key({"product": product})))
