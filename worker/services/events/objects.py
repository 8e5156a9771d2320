"""Object-created notifications of S3 and what speaks like it, and of OSS. Pure.

They are not signed with a secret of ours: a token in a header or in the path says that they are meant for us.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, unquote_plus

from tasks.frozen import value
from worker.services.events.json_body import ms_of, read_json, text_of
from worker.services.events.signatures import is_one_of
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

WHOLE: Final = re.compile(
    r"(?:s3:|oss:)?ObjectCreated:(?:Put|Post|Copy|CompleteMultipartUpload|PutObject|PostObject|CopyObject)"
)
"""The events after which the object is whole. What else begins with ObjectCreated is part of an upload (OSS:
InitiateMultipartUpload, UploadPart, UploadPartCopy), of a file that still grows, or a link."""

_ENVELOPES_MOST: Final = 4
_REASONS: Final = {"PutObject": "Put", "POST Object": "Post", "CopyObject": "Copy"}
_RECORDS_MOST: Final = 1000


@value(frozen=True, slots=True)
class Rules:
    """``url``: where an object is fetched, a template of {bucket}, {key} and {region}. Nothing is made
    of keys that begin with one of ``ignore_prefixes``, nor, where there are ``prefixes``, with none of them.
    """

    source: str
    url: str
    token_header: str
    prefixes: tuple[str, ...]
    ignore_prefixes: tuple[str, ...]
    encoded_keys: bool
    shop: str


@value(frozen=True, slots=True)
class _Created:
    """One object, as its notification has it; the key may be encoded still."""

    event: str
    bucket: str
    key: str
    is_encoded: bool
    region: str
    size: int | None
    etag: str
    version: str
    order: str
    time: str


def source(rules: Rules) -> Read:
    """Reads notifications by these rules."""

    def read(delivery: EventDelivery, secrets: Secrets) -> Verdict:
        given = delivery.token or delivery.header(rules.token_header)
        given = re.sub(r"(?i)^bearer\s+", "", given)
        if not given or not is_one_of(given, secrets[ANY_SHOP]):
            return Refusal(401, f"neither {rules.token_header} nor the path has the token")
        try:
            message = _opened(delivery.body)
        except (ValueError, RecursionError):
            return Refusal(400, "the body must be JSON, or such in base64")
        return _verdict(message, rules)

    return read


def _opened(body: bytes | str, envelopes: int = 0) -> Any:
    """The notification, out of the envelopes of SNS and of OSS's message service."""
    try:
        message = read_json(body)
    except ValueError:
        message = read_json(b64decode(body, validate=True))
    inner = message.get("Message") if isinstance(message, dict) else None
    if isinstance(inner, str) and message.get("Type", "Notification") == "Notification":
        if envelopes == _ENVELOPES_MOST:
            raise ValueError("envelopes within envelopes")
        return _opened(inner, envelopes + 1)
    return message


def _verdict(message: Any, rules: Rules) -> Verdict:
    if not isinstance(message, dict):
        return Refusal(400, "the notification must be a JSON object")
    if message.get("Type") == "SubscriptionConfirmation":
        return Ignored(
            "SNS asks whether it may send: open the address that was kept",
            text_of(message.get("SubscribeURL")),
        )
    try:
        created = list(_created(message))
    except (KeyError, TypeError, AttributeError):
        return Refusal(400, "the notification lacks a bucket or a key")
    if len(created) > _RECORDS_MOST:
        return Refusal(400, f"more than {_RECORDS_MOST} records")
    wanted = [
        product for each in created if WHOLE.fullmatch(each.event) and (product := _product(each, rules))
    ]
    if not wanted:
        what = (
            ", ".join(sorted({each.event[:60] for each in created})) or "a test, or nothing that was created"
        )
        return Ignored(f"no object that is whole and wanted: {what}")
    return Event("ObjectCreated", tuple(wanted), rules.shop)


def _created(message: dict[str, Any]) -> Iterator[_Created]:
    if message.get("detail-type") == "Object Created":
        yield _of_event_bridge(message)
    for record in message.get("Records") or ():
        yield _of_s3(record)
    for event in message.get("events") or ():
        yield _of_oss(event)
    if isinstance(message.get("data"), dict) and "oss" in message["data"]:
        yield _of_oss(message["data"])


def _of_s3(record: dict[str, Any]) -> _Created:
    thing = record["s3"]["object"]
    return _Created(
        text_of(record["eventName"]), _name(record["s3"]["bucket"]["name"]), _name(thing["key"]), True,
        text_of(record.get("awsRegion")), _size(thing.get("size")), text_of(thing.get("eTag")),
        text_of(thing.get("versionId")), text_of(thing.get("sequencer")), text_of(record.get("eventTime")),
    )  # fmt: skip


def _of_event_bridge(message: dict[str, Any]) -> _Created:
    detail = message["detail"]
    thing = detail["object"]
    reason = text_of(detail.get("reason"))
    return _Created(
        f"ObjectCreated:{_REASONS.get(reason, reason)}", _name(detail["bucket"]["name"]), _name(thing["key"]),
        False,  # there, and only there, keys are as they are
        text_of(message.get("region")), _size(thing.get("size")), text_of(thing.get("etag")),
        text_of(thing.get("version-id")), text_of(thing.get("sequencer")), text_of(message.get("time")),
    )  # fmt: skip


def _of_oss(event: dict[str, Any]) -> _Created:
    thing = event["oss"]["object"]
    return _Created(
        text_of(event["eventName"]), _name(event["oss"]["bucket"]["name"]), _name(thing["key"]), True,
        text_of(event.get("region")), _size(thing.get("size")), text_of(thing.get("eTag")), "",
        text_of((event.get("responseElements") or {}).get("requestId")), text_of(event.get("eventTime")),
    )  # fmt: skip


def _name(given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise TypeError("a name must be a text")
    return given


def _size(given: Any) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _product(created: _Created, rules: Rules) -> Product | None:
    key = unquote_plus(created.key) if created.is_encoded and rules.encoded_keys else created.key
    if key.endswith("/") or created.size == 0:
        return None  # what consoles make to show a folder
    if key.startswith(rules.ignore_prefixes) or (rules.prefixes and not key.startswith(rules.prefixes)):
        return None
    identity = f"{created.bucket}/{key}"
    which = created.order or created.version or created.etag
    marks = (f"{rules.source} {identity} {which} {created.time}",) if which else ()
    data = {
        "bucket": created.bucket, "key": key, "name": key.rpartition("/")[2],
        "url": url_of(rules.url, created.bucket, key, created.region), "size": created.size,
        "etag": created.etag.strip('"'), "version": created.version, "region": created.region,
        "event": created.event, "time": created.time,
    }  # fmt: skip
    return Product(data, marks, identity, ms_of(created.time))


def url_of(template: str, bucket: str, key: str, region: str) -> str:
    """Where an object is fetched: its key percent-encoded, its slashes kept."""
    values = {"bucket": bucket, "key": quote(key, safe="/-_.~"), "region": region}
    return re.sub(r"\{(bucket|key|region)\}", lambda found: values[found[1]], template)
