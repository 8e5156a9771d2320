"""Shopify's and WooCommerce's deliveries: who is believed, and what becomes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.services.events.signing import (
    DELIVERIES,
    PRODUCT,
    SECRET,
    hmac_base64,
    lowered,
    product,
    shopify,
)
from worker.mapping import MappedJobs
from worker.services.events import shopify as shopify_source
from worker.services.events import woocommerce
from worker.services.events.orders import mapped
from worker.services.events.values import Event, EventDelivery, Ignored, Refusal, Secrets, Verdict

ANY: Secrets = {"": (SECRET,)}
SHOP = "test-shop.myshopify.com"


def read(
    headers: dict[str, str], body: bytes = PRODUCT, secrets: Secrets = ANY, shops: tuple[str, ...] = ()
) -> Verdict:
    return shopify_source.source(shops)(EventDelivery(lowered(headers), body), secrets)


def status(verdict: Verdict) -> int:
    assert isinstance(verdict, Refusal), verdict
    return verdict.status


def event(verdict: Verdict) -> Event:
    assert isinstance(verdict, Event), verdict
    return verdict


@pytest.mark.parametrize("headers", DELIVERIES)
@pytest.mark.parametrize("prefix", ["X-", ""])
def test_the_samples_are_believed(headers: dict[str, str], prefix: str) -> None:
    """With the names of today and with those without X-; the body is taken as it came."""
    found = event(read({name.replace("X-", prefix): value for name, value in headers.items()}))
    (made,) = found.products
    assert (found.topic, made.key, made.data) == (headers["X-Shopify-Topic"], "1001", json.loads(PRODUCT))
    assert made.modified_ms == 1_795_186_800_000


def test_one_event_of_two_subscriptions_is_known_again_by_its_id() -> None:
    """And a delivery that comes again by the webhook's id; another event has nothing in common."""
    first, again, twin, later = (set(event(read(headers)).products[0].marks) for headers in DELIVERIES)
    assert first == again
    assert len(first & twin) == 1
    assert first & later == set()


def test_an_event_of_two_products_is_two() -> None:
    """One action of a merchant may change many: none of them is lost as a duplicate."""
    bodies = (product(), product(id=1002))
    one, other = (event(read(shopify(body), body)).products[0].marks for body in bodies)
    assert set(one).isdisjoint(other)


@pytest.mark.parametrize(
    "body", [PRODUCT + b"\n", PRODUCT.replace(b",", b", "), json.dumps(json.loads(PRODUCT)).encode(), b""]
)
def test_only_the_very_bytes_are_signed(body: bytes) -> None:
    """The same JSON, encoded again, is another body."""
    assert status(read(DELIVERIES[0], body)) == 401


@pytest.mark.parametrize(
    "signature", ["", " ", "x", hmac_base64(PRODUCT, "another"), hmac_base64(PRODUCT)[:-1], "€", "\ud800",
                  f"{hmac_base64(PRODUCT)}, {hmac_base64(PRODUCT)}"],
)  # fmt: skip
def test_a_wrong_signature_is_refused(signature: str) -> None:
    """As is a missing one, and two of them."""
    assert status(read(shopify(PRODUCT) | {"X-Shopify-Hmac-Sha256": signature})) == 401


def test_each_secret_of_a_rotation_is_good() -> None:
    """The old one as long as its file is there."""
    for secret in ("old", "new"):
        headers = shopify(PRODUCT) | {"X-Shopify-Hmac-Sha256": hmac_base64(PRODUCT, secret)}
        assert isinstance(read(headers, secrets={"": ("new", "old")}), Event)


def test_a_shop_is_believed_only_where_it_is_vouched_for() -> None:
    """The header is not signed: a delivery that somebody repeats under other names is one shop's still."""
    forged = shopify(PRODUCT) | {"X-Shopify-Shop-Domain": "other.myshopify.com"}
    assert event(read(shopify(PRODUCT))).shop == event(read(forged)).shop == ""
    assert event(read(shopify(PRODUCT), shops=(SHOP,))).shop == SHOP
    assert status(read(forged, shops=(SHOP,))) == 403


def test_a_shop_with_a_secret_of_its_own_is_known_by_it() -> None:
    """Another shop's secret does not do."""
    own: Secrets = {SHOP: (SECRET,), "other.myshopify.com": ("another",)}
    assert event(read(shopify(PRODUCT), secrets=own, shops=tuple(own))).shop == SHOP
    forged = shopify(PRODUCT) | {"X-Shopify-Shop-Domain": "other.myshopify.com"}
    assert status(read(forged, secrets=own, shops=tuple(own))) == 401


@pytest.mark.parametrize(
    "topic", ["orders/create", "products/delete", "products/create, products/create", "x" * 999]
)
def test_other_topics_are_ignored(topic: str) -> None:
    """Answered well, or the shop would switch its webhook off."""
    assert isinstance(read(shopify(PRODUCT, topic=topic)), Ignored)


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"[1]", b'"x"', b"null", b'{"id":NaN}', b'{"id":-Infinity}', b"[" * 100_000, b"\xff",
     b'{"id":' + b"9" * 100_000 + b"}"],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """After the signature was found right: a stranger learns nothing."""
    assert status(read(shopify(body), body)) == 400
    assert status(read(shopify(body) | {"X-Shopify-Hmac-Sha256": "x"}, body)) == 401


@pytest.mark.parametrize("identity", [None, True, 1.5, {"a": 1}, [1]])
def test_a_product_without_a_usable_id_is_a_product(identity: Any) -> None:
    """The mapping decides what it needs."""
    body = product(id=identity, updated_at={"no": "time"})
    (made,) = event(read(shopify(body), body)).products
    assert (made.key, made.modified_ms) == ("", None)


def test_a_missing_topic_is_refused() -> None:
    """The sender is none of Shopify's."""
    assert status(read(shopify(PRODUCT, topic=""))) == 400


WOO = {
    "X-WC-Webhook-Source": "https://Shop.example/", "X-WC-Webhook-Topic": "product.created",
    "X-WC-Webhook-EventDelivery-ID": "d-1",
}  # fmt: skip
WOO_PRODUCT = b'{"id":44,"status":"draft","date_modified_gmt":"2026-11-20T15:00:00"}'


def read_woo(headers: dict[str, str], body: bytes = WOO_PRODUCT, shops: tuple[str, ...] = ()) -> Verdict:
    signed = {"X-WC-Webhook-Signature": hmac_base64(body)} | headers
    return woocommerce.source(shops)(EventDelivery(lowered(signed), body), ANY)


def test_woocommerce_is_believed_by_its_signature() -> None:
    """The shop is its host, where it is listed."""
    found = event(read_woo(WOO, shops=("shop.example",)))
    (made,) = found.products
    assert (found.shop, found.topic, made.key, made.modified_ms) == (
        "shop.example", "product.created", "44", 1_795_186_800_000,
    )  # fmt: skip
    assert status(read_woo(WOO | {"X-WC-Webhook-Signature": "x"})) == 401
    assert status(read_woo(WOO, shops=("one.example", "other.example"))) == 403


@pytest.mark.parametrize("signed", [{}, {"X-WC-Webhook-Signature": ""}, {"X-WC-Webhook-Signature": "wrong"}])
def test_woocommerces_ping_is_answered(signed: dict[str, str]) -> None:
    """It is not signed, and without a 200 the webhook is not switched on; nothing else passes so."""
    assert isinstance(read_woo(signed, b"webhook_id=12"), Ignored)
    unsigned = {"X-WC-Webhook-Signature": "", **WOO}
    assert status(read_woo(unsigned, b"webhook_id=12&x=1")) == 401
    assert status(read_woo(unsigned, b'{"webhook_id":12}')) == 401


@pytest.mark.parametrize("topic", ["product.deleted", "order.created", "action.woocommerce_add_to_cart"])
def test_other_topics_of_woocommerce_are_ignored(topic: str) -> None:
    """As Shopify's."""
    assert isinstance(read_woo(WOO | {"X-WC-Webhook-Topic": topic}), Ignored)


@pytest.mark.parametrize("read_of", ["shopify", "woocommerce"])
def test_products_of_two_shops_never_take_each_others_place(read_of: str) -> None:
    """Two shops with one secret and no `shops`: their products may have one id, and wait each for itself."""

    def debounce(shop: str) -> str:
        if read_of == "shopify":
            found = event(read(shopify(PRODUCT) | {"X-Shopify-Shop-Domain": shop}))
        else:
            found = event(read_woo(WOO | {"X-WC-Webhook-Source": f"https://{shop}/"}))
        (made,) = mapped("woo", found, lambda *_: MappedJobs(), "aigc", 5)
        return made.order.debounce

    assert debounce("a.example") != debounce("b.example")
    assert debounce("a.example") == debounce("A.example")
