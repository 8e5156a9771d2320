"""Shopify's webhooks. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from worker.services.events.json_body import ms_of, read_object, text_of
from worker.services.events.signatures import Shops, header_of, is_signed
from worker.services.events.values import (
    Event,
    EventDelivery,
    Ignored,
    Product,
    Read,
    Refusal,
    Secrets,
    Verdict,
)

TOPICS: Final = ("products/create", "products/update")


def source(shops: Iterable[str] = ()) -> Read:
    """Reads deliveries of these shops, or of any that knows the secret where none is listed."""
    allowed = Shops(shop.lower() for shop in shops)

    def read(delivery: EventDelivery, secrets: Secrets) -> Verdict:
        domain = header_of(delivery, "shopify-shop-domain").lower()
        signature = header_of(delivery, "shopify-hmac-sha256")
        if not signature:
            return Refusal(401, "X-Shopify-Hmac-Sha256 is missing")
        if not is_signed(delivery.body, signature, allowed.secrets_of(domain, secrets)):
            return Refusal(401, "X-Shopify-Hmac-Sha256 is not the body's HMAC with the secret")
        shop = allowed.vouched_for(domain)
        return shop if isinstance(shop, Refusal) else _event(delivery, shop, domain)

    return read


def _event(delivery: EventDelivery, shop: str, sender: str) -> Verdict:
    topic = header_of(delivery, "shopify-topic")
    if not topic:
        return Refusal(400, "X-Shopify-Topic is missing")
    if topic not in TOPICS:
        return Ignored(f"topic {topic[:60]}: only {' and '.join(TOPICS)} make jobs")
    product = read_object(delivery.body)
    if isinstance(product, Refusal):
        return product
    key, modified = text_of(product.get("id")), product.get("updated_at")
    named = {name: header_of(delivery, f"shopify-{name}-id") for name in ("event", "webhook")}
    marks = tuple(_mark(name, each, key, modified) for name, each in named.items() if each)
    return Event(topic, (Product(product, marks, key, ms_of(modified)),), shop, sender)


def _mark(name: str, identity: str, key: str, modified: Any) -> str:
    # One action of a merchant may be one event of many products, and of one product at two moments.
    return f"shopify {name} {identity} {key} {modified}"
