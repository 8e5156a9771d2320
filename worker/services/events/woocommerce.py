"""WooCommerce's webhooks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

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

TOPICS: Final = ("product.created", "product.updated")
_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")


def source(shops: Iterable[str] = ()) -> Read:
    """Reads deliveries of these shops (host names), or of any that knows the secret where none is listed."""
    allowed = Shops(shop.lower() for shop in shops)

    def read(delivery: EventDelivery, secrets: Secrets) -> Verdict:
        if _PING.fullmatch(delivery.body.strip()):
            # Sent when a webhook is saved, and not signed: without a 200 the shop does not switch it on.
            return Ignored("a ping: the shop can reach this address")
        host = _host(header_of(delivery, "wc-webhook-source"))
        signature = header_of(delivery, "wc-webhook-signature")
        if not signature:
            return Refusal(401, "X-WC-Webhook-Signature is missing")
        if not is_signed(delivery.body, signature, allowed.secrets_of(host, secrets)):
            return Refusal(401, "X-WC-Webhook-Signature is not the body's HMAC with the secret")
        shop = allowed.vouched_for(host)
        return shop if isinstance(shop, Refusal) else _event(delivery, shop, host)

    return read


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _event(delivery: EventDelivery, shop: str, sender: str) -> Verdict:
    topic = header_of(delivery, "wc-webhook-topic")
    if not topic:
        return Refusal(400, "X-WC-Webhook-Topic is missing")
    if topic not in TOPICS:
        return Ignored(f"topic {topic[:60]}: only {' and '.join(TOPICS)} make jobs")
    product = read_object(delivery.body)
    if isinstance(product, Refusal):
        return product
    key, modified = text_of(product.get("id")), product.get("date_modified_gmt")
    identity = header_of(delivery, "wc-webhook-delivery-id")
    marks = (f"woocommerce delivery {shop} {identity} {key} {modified}",) if identity else ()
    return Event(topic, (Product(product, marks, key, ms_of(modified)),), shop, sender)
