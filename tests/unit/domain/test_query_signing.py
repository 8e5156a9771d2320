"""How a query is signed, in each of the forms."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tasks.checks import is_task_id
from worker.domain.query_signing import (
    DEFAULT_FORM,
    FORMS,
    QueryForm,
    query_headers,
    query_uri,
    sign_query,
    verify_query,
)
from worker.domain.signing import Credentials, sign

KEYS = Credentials("ak", "sk")
URI = "/openapi/v1/aigc/queryTask?taskId=t-1"
PATH = "/openapi/v1/aigc/queryTask"


def digest(content: str) -> str:
    return hmac.new(b"sk", content.encode(), hashlib.sha1).hexdigest()


@pytest.mark.parametrize(
    ("form", "content"),
    [
        (QueryForm("get", "path", "base64", "acs"), f"GET {PATH}\n.17.ak"),
        (QueryForm("get", "query", "base64", "acs"), f"GET {URI}\n.17.ak"),
        (QueryForm("post", "path", "base64", "acs"), f"POST {PATH}\n.17.ak"),
        (QueryForm("post", "query", "base64", "acs"), f"POST {URI}\n.17.ak"),
    ],
    ids=str,
)
def test_the_signed_text_is_as_documented(form: QueryForm, content: str) -> None:
    """Method, URI, an empty body, timestamp and access key; the digest in hex, or that in Base64."""
    right = digest(content)
    assert sign_query(form, KEYS, timestamp="17", uri=URI) == base64.b64encode(right.encode()).decode()
    bare = QueryForm(form.method, form.uri, "hex", form.request_id)
    assert sign_query(bare, KEYS, timestamp="17", uri=URI) == right


def test_with_post_and_the_path_it_is_a_submits_signature() -> None:
    """The vendor's own vectors hold that one."""
    form = QueryForm("post", "path", "base64", "acs")
    assert sign_query(form, KEYS, timestamp="17", uri=URI) == sign("ak", "sk", "17", PATH, b"")


def test_there_are_sixteen_forms_with_names_of_their_own_and_the_default_is_first() -> None:
    """Every combination is there once, and a name is written as a setting is."""
    names = [str(form) for form in FORMS]
    assert len(set(names)) == len(set(FORMS)) == len(FORMS) == 2**4
    assert (FORMS[0], names[0]) == (DEFAULT_FORM, "get-path-base64-acs")
    assert all(re.fullmatch("(get|post)-(path|query)-(base64|hex)-(acs|xid)", name) for name in names)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_headers_are_a_submits_but_for_the_request_id_where_the_form_says_so(form: QueryForm) -> None:
    """Names keep their case, and the signature covers the timestamp beside it."""
    made = query_headers(form, KEYS, uri=URI, request_id="893e87bb", timestamp_ms=17)
    assert made == {
        "X-Access-Key": "ak",
        "X-Request-Sign": sign_query(form, KEYS, timestamp="17", uri=URI),
        "X-Request-Timestamp": "17",
        {"acs": "x-acs-request-id", "xid": "X-Request-Id"}[form.request_id]: "893e87bb",
        "Content-Type": "application/json",
    }


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_is_signed_verifies_in_its_own_form_only(form: QueryForm) -> None:
    """A vendor that wants one form refuses the others, but for the header's name, which is not signed."""
    signature = sign_query(form, KEYS, timestamp="17", uri=URI)
    taken = {
        (other.method, other.uri, other.digest)
        for other in FORMS
        if verify_query(other, [KEYS], access_key="ak", signature=signature, timestamp="17", uri=URI)
    }
    assert taken == {(form.method, form.uri, form.digest)}


@pytest.mark.parametrize(
    "change",
    [{"access_key": "other"}, {"signature": "签名"}, {"timestamp": "18"}, {"signature": ""}],
    ids=str,
)
def test_anything_changed_does_not_verify(change: dict[str, str]) -> None:
    """Key, time and signature; what is no ASCII is just wrong."""
    right = {"access_key": "ak", "timestamp": "17", "uri": URI}
    right["signature"] = sign_query(DEFAULT_FORM, KEYS, timestamp="17", uri=URI)
    assert verify_query(DEFAULT_FORM, [KEYS], **right)
    assert not verify_query(DEFAULT_FORM, [KEYS], **(right | change))


@given(st.text(min_size=1, max_size=256).filter(is_task_id))
def test_what_is_signed_is_what_is_sent(task_id: str) -> None:
    """Whatever id a task has: nothing on the way writes the URI in another way."""
    prepared = requests.Request("GET", f"http://127.0.0.1{query_uri(task_id)}").prepare()
    assert prepared.path_url == query_uri(task_id)
