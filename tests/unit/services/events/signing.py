"""Deliveries as senders make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final

SECRET: Final = "shpss_test"
"""What the deliveries under tests/data/shop/ are signed with."""

_SHOP: Final = Path(__file__).parents[3] / "data" / "shop"
PRODUCT: Final = (_SHOP / "shopify_products_create.json").read_bytes()
DELIVERIES: Final[list[dict[str, str]]] = [
    json.loads(line) for line in (_SHOP / "shopify_deliveries.ndjson").read_text().splitlines()
]


def hmac_base64(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def hmac_hex(body: bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()


def lowered(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def product(**changes: Any) -> bytes:
    """The sample product with other fields."""
    return json.dumps({**json.loads(PRODUCT), **changes}, ensure_ascii=False).encode()


def shopify(
    body: bytes, number: int | str = 1, topic: str = "products/update", **more: str
) -> dict[str, str]:
    """Headers of a delivery of this body; the number is its own, as event and as webhook."""
    return {
        "X-Shopify-Topic": topic,
        "X-Shopify-Webhook-Id": f"webhook-{number}",
        "X-Shopify-Event-Id": f"event-{number}",
        "X-Shopify-Shop-Domain": "test-shop.myshopify.com",
        "X-Shopify-Hmac-Sha256": hmac_base64(body),
        **more,
    }
