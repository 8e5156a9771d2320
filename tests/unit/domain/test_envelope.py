"""What is read out of a body that is no envelope: an excerpt to show, and a task id in it."""

from __future__ import annotations

import json
import time

import pytest

from tests.unit.domain.replies import answer, of
from worker.domain.envelope import task_id_in


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        (b"", None),
        (b" \r\n", " "),
        (b"  <html>\r\n\t<h1>Bad</h1>", "<html>   <h1>Bad</h1>"),
        (b"a\x00\x1b[31m b", "a\\u0000\\u001b[31m b"),
        ("x\u202ey\u2028z".encode(), "x\\u202ey z"),
        (b"\xff\xfe{\x00}\x00", "{}"),
        (b'{"model": "\xb3\xc9"}', '{"model": "\ufffd\ufffd"}'),
        (answer(True, "\ud800"), answer(True, "\ud800").decode()),
        (b"x" * 9999, "x" * 500),
        (b"\x07" * 9999, "\\u0007" * 83 + "\\u"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_unknown_answer_is_excerpted_as_text_that_can_be_shown(body: bytes, excerpt: str | None) -> None:
    """At most 500 characters, printable, in any encoding, and nothing where nothing came."""
    assert of(502, body).excerpt == excerpt


@pytest.mark.parametrize("before", [340, 400, 600, 100_000])
def test_an_excerpt_shows_the_task_however_late_it_is_named(before: int) -> None:
    """A long message before it does not push it out."""
    body = json.dumps({"errorMsg": "x" * before, "success": True, "model": {"taskId": "28fdf560"}}).encode()
    excerpt = of(200, body).excerpt or ""
    assert "28fdf560" in excerpt
    assert len(excerpt) <= 500


def test_an_excerpt_does_not_show_where_an_outcome_is_printed() -> None:
    """It may quote the job's prompt: a traceback or a log must not."""
    assert "28fdf560" not in repr(of(200, answer(True, [], "28fdf560")))


@pytest.mark.parametrize(
    ("text", "task_id"),
    [
        ('{"success": true, "model": 7}', "7"),
        ('{"success":false,"model":"28fdf560-249a"}', "28fdf560-249a"),
        ('{"model": {"status": "WAITING", "taskId": "28fdf560"}}', "28fdf560"),
        ('{"body": "{\\"model\\": \\"28fdf560\\"}"}', "28fdf560"),
        ("{'task_id': '28fdf560'", "28fdf560"),
        ('{"model": null}', None),
        ('{"model": ""}', None),
        ('{"model": 7.5}', None),
        ('{"model": "two words"}', None),
        ('{"model": "[redacted]"}', None),
        ('{"model": "28fd', None),
        ("<html>", None),
    ],
)
def test_what_looks_like_a_task_id_is_found_in_an_excerpt(text: str, task_id: str | None) -> None:
    """Whole ids only: half of one would settle the job under a name that nobody knows."""
    assert task_id_in(text) == task_id


def test_reading_a_hostile_body_takes_no_longer_than_its_length() -> None:
    """A megabyte made to send a search back and forth is read at once."""
    for piece in (b"\\", b" ", b'"model"', b'"success":', b'"model":\\', b"\"'"):
        begun = time.process_time()
        of(503, piece * (1_000_000 // len(piece)))
        assert time.process_time() - begun < 2
