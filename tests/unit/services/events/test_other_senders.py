"""An HMAC of any kind, Standard Webhooks, and notifications of S3 and OSS."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.unit.services.events.signing import SECRET, hmac_base64, hmac_hex
from worker.services.events.objects import WHOLE, url_of
from worker.services.events.sources import SOURCES
from worker.services.events.tables import SourceTable
from worker.services.events.values import Event, EventDelivery, Ignored, Read, Refusal, Verdict

ANY = {"": (SECRET,)}


def made(name: str, **fields: Any) -> Read:
    faults: list[str] = []
    table = SourceTable(name, fields, faults)
    read = SOURCES[name].make(table, ())
    table.finish()
    assert faults == []
    return read


def event(verdict: Verdict) -> Event:
    assert isinstance(verdict, Event), verdict
    return verdict


BODY = json.dumps({"id": "e-1", "topic": "saved", "products": [{"id": 7}, {"id": 8}]}).encode()


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({}, hmac_hex(BODY)), ({}, hmac_hex(BODY).upper()),
        ({"prefix": "sha256="}, f"sha256={hmac_hex(BODY)}"),
        ({"algorithm": "sha1", "prefix": "sha1="}, f"sha1={hmac_hex(BODY, algorithm='sha1')}"),
        ({"encoding": "base64"}, hmac_base64(BODY)),
    ],
)  # fmt: skip
def test_an_hmac_of_any_kind(fields: dict[str, str], given: str) -> None:
    """Header, algorithm, encoding and prefix are the sender's; what lacks any of them is refused."""
    read = made("generic", signature_header="X-Sign", product="body.products", event_id="body.id", **fields)
    found = event(read(EventDelivery({"x-sign": given}, BODY), ANY))
    assert (found.topic, [each.key for each in found.products]) == ("saved", ["7", "8"])
    marks = [each.marks for each in found.products]
    assert len({mark for (mark,) in marks}) == 2
    for wrong in ("", given[:-1], "sha256=", hmac_hex(BODY, "another"), given + " "[:0] + "0"):
        verdict = read(EventDelivery({"x-sign": wrong}, BODY), ANY)
        assert isinstance(verdict, Refusal)
        assert verdict.status == 401


def test_a_product_may_be_the_body_and_its_event_be_named_by_a_header() -> None:
    """The shortest configuration that there is."""
    read = made("generic", signature_header="X-Sign", event_id_header="X-Id")
    body = b'{"id":5}'
    (product,) = event(read(EventDelivery({"x-sign": hmac_hex(body), "x-id": "e-9"}, body), ANY)).products
    assert (product.data, product.key, product.marks) == ({"id": 5}, "5", ("generic  e-9 0",))


@pytest.mark.parametrize("body", [b"{}", b'{"products":null}', b'{"products":[]}', b'{"products":[1,"x"]}'])
def test_a_body_without_a_product_is_ignored(body: bytes) -> None:
    """The sender is not told to repeat it."""
    read = made("generic", signature_header="X-Sign", product="body.products")
    assert isinstance(read(EventDelivery({"x-sign": hmac_hex(body)}, body), ANY), Ignored)


def test_a_body_that_an_expression_refuses_is_refused() -> None:
    """It is no fault of this program."""
    read = made("generic", signature_header="X-Sign", product="sort(body.products)")
    body = b'{"products":[{},1]}'
    verdict = read(EventDelivery({"x-sign": hmac_hex(body)}, body), ANY)
    assert isinstance(verdict, Refusal)
    assert verdict.status == 400


WHSEC = "whsec_" + b64encode(b"a secret of 24 bytes....").decode()


def signed_now(body: bytes, **changes: str) -> dict[str, str]:
    now = int(time.time()) + int(changes.pop("later", 0))
    signature = Webhook(WHSEC).sign("msg-1", datetime.fromtimestamp(now, UTC), body.decode())
    return {"webhook-id": "msg-1", "webhook-timestamp": str(now), "webhook-signature": signature, **changes}


def test_standard_webhooks() -> None:
    """The message's id names the event; several signatures may be given, and several secrets be good."""
    read = made("standard_webhooks")
    body = b'{"type":"product.created","data":{"id":"p"}}'
    headers = signed_now(body)
    headers["webhook-signature"] = f"v1,AAAA v1a,x {headers['webhook-signature']}"
    found = event(read(EventDelivery(headers, body), {"": ("whsec_AAAA", WHSEC)}))
    assert (found.topic, found.products[0].marks) == ("product.created", ("standard  msg-1 0",))


@pytest.mark.parametrize(
    "changes",
    [
        {"later": "-600"}, {"later": "600"}, {"webhook-id": "msg-2"}, {"webhook-id": ""},
        {"webhook-timestamp": "x"},
        {"webhook-timestamp": "9" * 30}, {"webhook-signature": "v1"}, {"webhook-signature": "v1,a,b"},
        {"webhook-signature": "v1,€"}, {"webhook-signature": ""},
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", [b'{"data":{"id":"p"}}', b"\xff"])
def test_what_standard_webhooks_refuse(changes: dict[str, str], body: bytes) -> None:
    """Also what the library itself stumbles over; a delivery is not repeated after five minutes."""
    headers = signed_now(b'{"data":{"id":"p"}}', **changes)
    verdict = made("standard_webhooks")(EventDelivery(headers, body), {"": (WHSEC,)})
    assert isinstance(verdict, Refusal)
    assert verdict.status == 401


def s3_record(
    key: str = "in/red+shirt%281%29.jpg", name: str = "ObjectCreated:Put", **thing: Any
) -> dict[str, Any]:
    described = {"key": key, "size": 9, "eTag": "abc", "sequencer": "0055", **thing}
    return {
        "eventName": name, "awsRegion": "eu-west-1", "eventTime": "2026-11-20T15:00:00.000Z",
        "s3": {"bucket": {"name": "photos"}, "object": described},
    }  # fmt: skip


def oss_event(name: str, key: str = "in/a.jpg") -> dict[str, Any]:
    return {
        "eventName": name, "eventTime": "2026-11-20T15:00:00.000Z", "region": "cn-hangzhou",
        "oss": {"bucket": {"name": "photos"}, "object": {"key": key, "size": 9, "eTag": "abc"}},
        "responseElements": {"requestId": "r-1"},
    }  # fmt: skip


def read_objects(message: Any, name: str = "s3", **fields: Any) -> Verdict:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return made(name, **fields)(EventDelivery({"authorization": f"Bearer {SECRET}"}, body), ANY)


def test_a_key_of_s3_is_decoded_and_its_url_encoded_again() -> None:
    """A plus is a space there."""
    (found,) = event(read_objects({"Records": [s3_record()]})).products
    assert found.data["key"] == "in/red shirt(1).jpg"
    assert found.data["url"] == "https://photos.s3.eu-west-1.amazonaws.com/in/red%20shirt%281%29.jpg"
    assert (found.data["bucket"], found.data["size"], found.data["etag"]) == ("photos", 9, "abc")
    assert (found.key, found.modified_ms) == ("photos/in/red shirt(1).jpg", 1_795_186_800_000)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda message: {"Type": "Notification", "Message": json.dumps(message), "TopicArn": "x"},
        lambda message: {"TopicName": "t", "Message": json.dumps(message)},
        lambda message: {"TopicName": "t", "Message": b64encode(json.dumps(message).encode()).decode()},
        lambda message: b64encode(json.dumps(message).encode()),
    ],
)  # fmt: skip
def test_envelopes_are_opened(wrapped: Any) -> None:
    """Those of SNS and of OSS's message service, which writes in base64."""
    assert event(read_objects(wrapped({"Records": [s3_record("a.jpg")]}))).products[0].data["key"] == "a.jpg"


def test_keys_of_eventbridge_are_as_they_are() -> None:
    """There, and only there, a plus is a plus."""
    detail = {"bucket": {"name": "b"}, "object": {"key": "a+b.jpg", "size": 1, "etag": "x", "sequencer": "1"}}
    message = {
        "detail-type": "Object Created",
        "region": "eu-west-1",
        "detail": {**detail, "reason": "PutObject"},
    }
    assert event(read_objects(message)).products[0].data["key"] == "a+b.jpg"


def test_oss_buys_of_whole_objects_only() -> None:
    """`ObjectCreated:*` is sent for each part of an upload, too."""
    names = [
        "PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload", "InitiateMultipartUpload",
        "UploadPart", "UploadPartCopy", "AppendObject", "PutSymlink",
    ]  # fmt: skip
    events = [oss_event(f"ObjectCreated:{name}", f"{name}.jpg") for name in names]
    found = event(read_objects({"events": events}, "oss"))
    assert [each.data["key"] for each in found.products] == [f"{name}.jpg" for name in names[:4]]
    assert found.products[0].data["url"] == "https://photos.oss-cn-hangzhou.aliyuncs.com/PutObject.jpg"
    assert isinstance(read_objects({"events": events[4:]}, "oss"), Ignored)


def test_an_event_of_oss_by_eventbridge() -> None:
    """Its notification stands in `data`."""
    message = {
        "type": "oss:ObjectCreated:PutObject",
        "data": oss_event("ObjectCreated:PutObject", "a%2Bb.jpg"),
    }
    assert event(read_objects(message, "oss")).products[0].data["key"] == "a+b.jpg"


@pytest.mark.parametrize(
    "name", ["s3:ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Copy"]
)
def test_names_of_whole_objects(name: str) -> None:
    """As S3 has them, and what speaks like it."""
    assert WHOLE.fullmatch(name)
    assert not WHOLE.fullmatch(name.replace("Created", "Removed"))
    assert not WHOLE.fullmatch(f"{name}Part")


def test_prefixes_keep_outputs_from_being_bought_again() -> None:
    """What is written back to the bucket is an event as well."""
    records = [
        s3_record(key) for key in ("in/a.jpg", "in/generated/b.jpg", "out/c.jpg", "in/", "in/empty.jpg")
    ]
    records[4]["s3"]["object"]["size"] = 0
    verdict = read_objects({"Records": records}, prefixes=["in/"], ignore_prefixes=["in/generated/"])
    assert [each.data["key"] for each in event(verdict).products] == ["in/a.jpg"]


def test_an_overwritten_object_is_another_change() -> None:
    """The same notification twice is not."""
    records = [s3_record("a.jpg", sequencer=order) for order in ("1", "1", "2")]
    marks = [each.marks for each in event(read_objects({"Records": records})).products]
    assert (marks[0] == marks[1], marks[1] == marks[2]) == (True, False)


@pytest.mark.parametrize(
    "given", [{}, {"authorization": "Bearer x"}, {"authorization": ""}, {"x-other": SECRET}]
)
def test_a_wrong_token_is_refused(given: dict[str, str]) -> None:
    """It may stand in the header or in the path."""
    body = json.dumps({"Records": [s3_record()]}).encode()
    read = made("s3")
    assert getattr(read(EventDelivery(given, body), ANY), "status", None) == 401
    assert getattr(read(EventDelivery(given, body, "another"), ANY), "status", None) == 401
    assert isinstance(read(EventDelivery(given, body, SECRET), ANY), Event)
    assert isinstance(
        made("s3", token_header="X-Token")(EventDelivery({"x-token": SECRET}, body), ANY), Event
    )


@pytest.mark.parametrize(
    "message",
    [
        b"", b"x", b"[]", b"5", {"Records": 5}, {"Records": [5]}, {"Records": [{"s3": {}}]},
        {"events": {"a": 1}},
        {"Records": [s3_record(key="")]}, {"Records": [s3_record(key=5)]}, {"detail-type": "Object Created"},  # type: ignore[arg-type]
        {"Message": "no JSON"}, b64encode(b"no JSON"), b"<Notification/>", {"Records": [s3_record()] * 1001},
    ],
)  # fmt: skip
def test_what_is_no_notification_is_refused(message: Any) -> None:
    """And nothing is made of a part of it."""
    assert getattr(read_objects(message), "status", None) == 400


def test_envelopes_without_end_are_refused() -> None:
    """They are opened four times at most."""
    message: Any = {"Records": [s3_record()]}
    for _ in range(5):
        message = {"Message": json.dumps(message)}
    assert getattr(read_objects(message), "status", None) == 400


def test_a_test_event_and_a_question_of_sns_are_no_faults() -> None:
    """The address to open is kept for whoever set it up."""
    assert isinstance(read_objects({"Service": "Amazon S3", "Event": "s3:TestEvent"}), Ignored)
    question = {
        "Type": "SubscriptionConfirmation",
        "SubscribeURL": "https://sns.example/?Token=x",
        "Message": "You",
    }
    verdict = read_objects(question)
    assert isinstance(verdict, Ignored)
    assert verdict.keep == "https://sns.example/?Token=x"


def test_a_url_is_made_of_a_template_once() -> None:
    """A key that looks like a template is a key."""
    assert (
        url_of("https://x/{bucket}/{key}?{region}", "b", "{region}/ü", "r")
        == "https://x/b/%7Bregion%7D/%C3%BC?r"
    )
