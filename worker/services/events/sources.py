"""The sources that EVENTS.toml may name, and how the fields of each are read."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from tasks.frozen import value
from worker.services.events import generic, objects, shopify, woocommerce
from worker.services.events.signatures import ALGORITHMS, ENCODINGS
from worker.services.events.tables import SourceTable
from worker.services.events.values import Read

S3_URL: Final = "https://{bucket}.s3.{region}.amazonaws.com/{key}"
OSS_URL: Final = "https://{bucket}.oss-{region}.aliyuncs.com/{key}"
SIGNING_KEY_LEAST: Final = 16
"""Bytes of a secret of Standard Webhooks."""


@value(frozen=True, slots=True)
class SourceKind:
    """``make`` reads the fields of a source's own; its second argument are the shops that it may take from.
    ``takes_token``: what may follow the path is a token. ``secret_problem``: what is wrong with a secret, ""
    where it can be right.
    """

    make: Callable[[SourceTable, Sequence[str]], Read]
    has_shops: bool = False
    takes_token: bool = False
    secret_problem: Callable[[str], str] = lambda _: ""


def _generic(table: SourceTable, _: Sequence[str]) -> Read:
    signature = generic.Signature(
        table.required("signature_header", "such as X-Signature").lower(),
        table.one_of("algorithm", "sha256", ALGORITHMS),
        table.one_of("encoding", "hex", tuple(ENCODINGS)),
        table.text("prefix", ""),
    )
    event_id_header = table.text("event_id_header", "").lower()
    if event_id_header and "event_id" in table:
        table.fault("event_id_header", "must be left out where there is event_id")
    paths = _paths(table, product="body", topic="body.topic")
    shop = table.text("shop", "")
    return generic.with_hmac(signature, paths, event_id_header=event_id_header, shop=shop)


def _standard(table: SourceTable, _: Sequence[str]) -> Read:
    paths = _paths(table, product="body.data", topic="body.type")
    return generic.with_standard_webhooks(paths, shop=table.text("shop", ""))


def _paths(table: SourceTable, *, product: str, topic: str) -> generic.Paths:
    return generic.Paths(
        table.expression("product", product, ("body",)),
        table.expression("key", "product.id", ("product",)),
        table.expression("topic", topic, ("body",)),
        table.expression("event_id", "body.id", ("body",)) if "event_id" in table else None,
    )


def _objects(name: str, url: str) -> Callable[[SourceTable, Sequence[str]], Read]:
    def make(table: SourceTable, _: Sequence[str]) -> Read:
        rules = objects.Rules(
            name,
            table.text("url", url),
            table.text("token_header", "Authorization").lower(),
            table.some("prefixes"),
            table.some("ignore_prefixes"),
            table.flag("encoded_keys", True),
            table.text("shop", ""),
        )
        if "{key}" not in rules.url or not rules.url.startswith(("https://", "http://")):
            table.fault(
                "url", "must be an http(s) URL with {key} in it, and {bucket} and {region} where needed"
            )
        return objects.source(rules)

    return make


def _standard_secret(secret: str) -> str:
    encoded = secret.removeprefix("whsec_").rstrip("=")
    with suppress(ValueError):
        # The library passes over what is no base64, and so would take a short key for a long one.
        if len(b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)) >= SIGNING_KEY_LEAST:
            return ""
    return f"must be whsec_ and base64 of at least {SIGNING_KEY_LEAST} bytes"


SOURCES: Final[Mapping[str, SourceKind]] = {
    "shopify": SourceKind(lambda _, shops: shopify.source(shops), has_shops=True),
    "woocommerce": SourceKind(lambda _, shops: woocommerce.source(shops), has_shops=True),
    "generic": SourceKind(_generic),
    "standard_webhooks": SourceKind(_standard, secret_problem=_standard_secret),
    "s3": SourceKind(_objects("s3", S3_URL), takes_token=True),
    "oss": SourceKind(_objects("oss", OSS_URL), takes_token=True),
}
"""By the name of its table."""
