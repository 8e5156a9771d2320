"""Answers in another charset than UTF-8 are read where the Content-Type names it rightly."""

from __future__ import annotations

import pytest

from worker.domain.outcome import OutcomeKind, classify
from worker.vendor.charset import codec_of, in_utf8
from worker.vendor.response import ResponseReader

ACCEPTED = '{"success": true, "model": "28fdf560", "errorCode": null, "errorMsg": "成功"}'
REFUSED = (
    '{"success":false,"model":null,"errorCode":"INTCNN_COMMON_PARAM_VALID_ERROR","errorMsg":"参数校验异常"}'
)


@pytest.mark.parametrize("text", [ACCEPTED, REFUSED])
@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("GBK", "gbk"),
        ("gb2312", "gbk"),
        ('"GB18030"', "gb18030"),
        ("big5", "big5"),
        ("UTF-16", "utf-16"),
        ("utf-16", "utf-16-be"),
        ("UTF-16LE", "utf-16-le"),
        ("utf-16be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("UTF-8", "utf-8"),
        ("GBK", "utf-8"),
        ("utf-16", "utf-8"),
    ],
)
def test_an_answer_is_read_in_the_charset_that_it_names(text: str, charset: str, codec: str) -> None:
    """In UTF-8 it is read whatever it names: servers often write that and say something else."""
    text = text.replace("参数校验异常", "參數") if codec == "big5" else text
    text = text.replace("成功", "") if codec == "utf-16-be" and charset == "utf-16" else text
    body = text.encode(codec)
    if charset == "utf-16" and codec == "utf-16-be":
        body = b"\xfe\xff" + body
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset={charset}\r\n"
    found = ResponseReader().add(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert found
    outcome = classify(found[0])
    expected = OutcomeKind.ACCEPTED if text.startswith('{"success": true') else OutcomeKind.REJECTED
    assert (outcome.kind, found[1]) == (expected, True)
    if expected is OutcomeKind.REJECTED:
        assert outcome.error_msg in ("参数校验异常", "參數")


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"application/json",
        b"application/json; charset=",
        b"application/json; charset=nobody-knows",
        b"application/json; charset=rot13",
        b"application/json; charset=unicode_escape",
        b"application/json; charset=idna",
        b"application/json; charset=\xff\x00",
        b"application/json; charset*=utf-16''x",
        b"text/html; charset=utf-16",
        b"text/html; charset=euc-kr",
    ],
)
def test_what_is_not_surely_in_that_charset_stays_as_it_is(content_type: bytes) -> None:
    """Nothing is guessed: the bytes go on, and are kept for people where they leave a job in doubt."""
    body = b"\x81\xff\xd8\x00\xdc"
    codec = codec_of(content_type)
    assert codec is None or in_utf8(body, codec) == body
