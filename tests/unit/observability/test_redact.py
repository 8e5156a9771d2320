"""Redaction and log lines: what must not leave the process, and that the rest still does."""

from __future__ import annotations

import contextvars
import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.observability.redact import MASK, Redactor, keep_private

SECRET = 'se/cr+et "kéy"'


PROMPT = "A tabby cat sits on a red mat and looks at you"


URL = "https://cdn.example/a/b.png?Expires=1&Signature=abc%2Fdef#top"


SIGN = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nw=="


@pytest.fixture
def private() -> Iterator[None]:
    """Each test's own private payload."""
    keep_private({"workflow": "TEXT2IMAGE", "algoInput": {"inputText": PROMPT, "n": [1, {"u": URL}]}})
    yield
    keep_private(None)


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        json.dumps(SECRET)[1:-1],
        repr(SECRET)[1:-1],
        "c2UvY3IrZXQgImvDqXki",
    ],
)
def test_a_known_secret_is_masked_in_every_spelling(spelling: str) -> None:
    """Plain, percent-encoded, in JSON, in a repr and in base64."""
    assert Redactor([SECRET]).shown(f"before {spelling} after") == f"before {MASK} after"


@given(st.text("abc/+% é\"'\\", min_size=4), st.text(), st.text())
def test_no_known_secret_survives(secret: str, before: str, after: str) -> None:
    """Whatever surrounds it, the secret is gone, also where the text holds parts of it."""
    shown = Redactor([secret]).shown(before + secret + after)
    assert secret not in shown.replace(MASK, "\0")


@pytest.mark.parametrize(
    ("text", "gone", "stays"),
    [
        ("cannot connect to redis://user:pass@redis.example:6379/0", "pass", "redis.example:6379/0"),
        ("rediss://:p%40ss@h/1 is away", "p%40ss", "is away"),
        (f"fetching {URL} failed", "Signature", "https://cdn.example/a/b.png"),
        ('"https:\\/\\/cdn.example\\/a.png?sig=abc" failed', "abc", "failed"),
        ('"POST /path?token=abc HTTP/1.1" 200', "abc", "HTTP/1.1"),
        (f"X-Request-Sign: {SIGN}", SIGN[:20], "X-Request-Sign"),
        (f"headers {{'X-Access-Key': 'ak-1', 'X-Request-Sign': '{SIGN}'}}", "ak-1", "headers"),
        (f'{{\\"X-Request-Sign\\": \\"{SIGN}\\"}}', SIGN[:20], "X-Request-Sign"),
        ("Authorization: Bearer abc.def then", "abc.def", "then"),
        (f"the signature {SIGN} was refused", SIGN[:20], "was refused"),
        ('{"algoInput": {"inputText": "a dog"}}', "a dog", "algoInput"),
        ("""{'inputText': 'a "quoted" dog', 'width': 1}""", "dog", "'width': 1"),
        ('{"inputText": "a \\"quoted\\" dog clipped he', "dog", "inputText"),
        ("algo_input={'prompt': 'a dog'}", "a dog", "algo_input"),
        ("1 error [type=x, input_value='a dog', input_type=str]", "a dog", "input_type=str"),
        ("body: '" + "QUJD" * 40 + "'", "QUJDQUJD", "body"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_masked(text: str, gone: str, stays: str) -> None:
    """Without knowing the value: URLs' userinfo and queries, signatures, prompt fields, encoded bodies."""
    shown = Redactor().shown(text)
    assert gone not in shown
    assert stays in shown


@pytest.mark.parametrize(
    "text",
    [
        "job submitted",
        "0b7b3c1e-4a57-4c8e-9a53-0f8b86f5f7d0",
        "INTCNN_COMMON_SYS_ERROR",
        "Error 111 connecting to 127.0.0.1:6379. Connection refused.",
        'File "/usr/lib/python3.11/site-packages/celery/app/trace.py", line 1, in run',
        "https://industrysolutions.alibabacloud.com/openapi/v1/aigc/submitTask",
        "is it there? yes",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """Ids, codes, paths, addresses and hashes are what a log is read for."""
    assert Redactor(["hidden"]).text(text) == text


@pytest.mark.parametrize(
    "clip", [PROMPT, PROMPT[:20] + "…", "…" + PROMPT[-20:], json.dumps(PROMPT), URL, URL[:40]]
)
@pytest.mark.usefixtures("private")
def test_the_texts_of_the_job_in_hand_are_masked(clip: str) -> None:
    """A message that quotes the job, also in part, shows none of it."""
    shown = Redactor().text(f"the vendor says: {clip} is bad")
    assert shown.startswith("the vendor says: ")
    assert not any(clip[i : i + 12] in shown for i in range(len(clip) - 11))


@pytest.mark.parametrize(
    ("prompt", "text"), [("一只猫坐在红色的垫子上", "错误 一只猫坐在… 太长"), ("猫猫", "bad: 猫猫")]
)
def test_a_short_prompt_is_masked_too(prompt: str, text: str) -> None:
    """In a script that needs few characters a few are already the prompt."""
    context = contextvars.copy_context()
    context.run(keep_private, {"algoInput": {"inputText": prompt}})
    assert prompt[:4] not in context.run(Redactor().text, text)


@pytest.mark.usefixtures("private")
def test_the_process_redacts_what_it_keeps_like_what_it_logs() -> None:
    """By shape from the start, and once it is set up by what the settings hold secret, too."""
    program = f"""
import types
from worker import observability
def shown(): return observability.Reporter().redacted(
    'redis://:pw1234@h/0 plainsecret {{"prompt": "' + {PROMPT!r} + '", "model": "28fdf560"}}')
observability.keep_private({{"algoInput": {{"inputText": {PROMPT!r}}}}})
early = shown()
observability.setup(types.SimpleNamespace(
    log_level="INFO", log_format="json", sentry_dsn=None, warnings=(), secrets=lambda: ("plainsecret",)))
print(early, shown(), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    early, late = done.stdout.splitlines()
    for shown in (early, late):
        assert "pw1234" not in shown
        assert "tabby cat" not in shown
        assert '"model": "28fdf560"' in shown
    assert ("plainsecret" in early, "plainsecret" in late) == (True, False)


@given(st.text(min_size=10), st.text(), st.text())
def test_a_quoted_prompt_never_survives(prompt: str, before: str, after: str) -> None:
    """For any text: no message contains the whole of it."""
    context = contextvars.copy_context()
    context.run(keep_private, {"algoInput": {"inputText": prompt}})
    assert prompt not in context.run(Redactor().text, before + prompt + after)


@pytest.mark.usefixtures("private")
def test_names_are_not_masked_by_coincidence() -> None:
    """A job whose prompt is a word of ours does not garble ids and names."""
    keep_private({"algoInput": {"inputText": "TEXT2IMAGE"}})
    assert Redactor().value({"workflow": "TEXT2IMAGE", "n": 1, "l": ["TEXT2IMAGE", None]}) == {
        "workflow": "TEXT2IMAGE",
        "n": 1,
        "l": ["TEXT2IMAGE", None],
    }
