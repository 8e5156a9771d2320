"""Log lines: their fields, and nothing secret or private in any part of them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.observability.logs import HumanFormatter, JsonFormatter
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


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def test_a_json_line_holds_the_fields() -> None:
    """Time, level, logger, message, then our fields; what is None is left out."""
    line = JsonFormatter(Redactor([SECRET])).format(
        record(
            "attempt failed", fields={"job": "j1", "attempts": 2, "task": None, "error": f"no {SECRET}\n!"}
        )
    )
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "WARNING",
        "logger": "a.logger",
        "message": "attempt failed",
        "job": "j1",
        "attempts": 2,
        "error": f"no {MASK}\n!",
    }


WORDS = [
    "job-1",
    "INTCNN_COMMON_SYS_ERROR",
    "plainsecret",
    SECRET,
    URL,
    SIGN,
    "signature: abc",
    "x" * 100,
    '"',
]


@given(
    st.dictionaries(
        st.sampled_from(["job", "request", "task", "http"]),
        st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=3).map("".join)
        | st.integers()
        | st.booleans()
        | st.lists(st.sampled_from(WORDS)),
    )
)
def test_each_field_is_redacted_whatever_stands_beside_it(fields: dict[str, object]) -> None:
    """A line with nothing to hide goes a short way: no field of any other line does."""
    redactor = Redactor([SECRET, "plainsecret"])
    entry = json.loads(JsonFormatter(redactor).format(record("job %s", "submitted", fields=fields)))
    assert {name: entry[name] for name in fields} == redactor.value(fields)
    assert len(entry) == len(fields) + 4


def test_the_time_is_that_of_the_record_in_utc() -> None:
    """To the millisecond, cut off and not rounded, also when the second before was another."""
    formatter = JsonFormatter(Redactor())
    for created, shown in [(0.0, "1970-01-01T00:00:00.000Z"), (1e9 + 0.9996, "2001-09-09T01:46:40.999Z")]:
        made = record("x", fields={}, created=created, msecs=created % 1 * 1000)
        assert json.loads(formatter.format(made))["time"] == shown


@pytest.mark.usefixtures("private")
def test_the_free_text_of_a_line_of_ids_is_still_searched_for_the_job() -> None:
    """A plain sentence of the prompt looks like any other: the field that may quote it never goes unread."""
    made = record("attempt failed", fields={"job": "j1", "error": PROMPT})
    assert json.loads(JsonFormatter(Redactor()).format(made))["error"] == MASK


def test_a_human_line_stays_one_line() -> None:
    """A newline in a value cannot forge a line of its own."""
    line = HumanFormatter(Redactor()).format(record("bad\nline %s", "x", fields={"job": 'a "b"\nc', "n": 1}))
    assert line.split(" ", 1)[1] == 'WARNING  bad\\nline x job="a \\"b\\"\\nc" n=1'


@pytest.mark.parametrize("formatter", [JsonFormatter, HumanFormatter])
def test_messages_arguments_and_tracebacks_are_redacted(
    formatter: type[HumanFormatter | JsonFormatter],
) -> None:
    """A secret in the message, in an argument, in an exception or in its cause is masked."""
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError(f"redis://:pw1234@h/0 {SECRET}") from error
    except ValueError:
        made = record(f"{SECRET} %s", SECRET)
        made.exc_info = sys.exc_info()
    shown = formatter(Redactor([SECRET])).format(made)
    assert "ValueError" in shown
    assert "KeyError" in shown
    assert "pw1234" not in shown
    assert not any(spelling in shown for spelling in (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1]))


def test_extras_of_other_libraries_are_not_shown() -> None:
    """Celery puts a message's arguments into an extra of its own."""
    line = JsonFormatter(Redactor()).format(record("received", data={"args": "a prompt"}))
    assert "a prompt" not in line


def test_a_record_whose_arguments_do_not_fit_is_still_written() -> None:
    """A broken log call loses neither its line nor the program."""
    assert "do not fit" in JsonFormatter(Redactor()).format(record("%d files %s", "one"))


@pytest.mark.parametrize("style", ["json", "auto", "human"])
def test_uncaught_errors_of_the_process_are_redacted(style: str) -> None:
    """An exception that ends a thread or the program is logged, not printed raw; DEBUG of libraries too."""
    program = f"""
import logging, threading, warnings
from worker.observability.logs import setup_logging
from worker.observability.redact import Redactor
setup_logging("DEBUG", {style!r}, Redactor(["the-secret"]))
logging.getLogger("urllib3.connectionpool").debug('"GET %s" %s', "/p?a=the-secret", 200)
warnings.warn("the-secret")
logging.getLogger("x").error("%d", "the-secret")
def boom(): raise ValueError("the-secret")
thread = threading.Thread(target=boom); thread.start(); thread.join()
boom()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the-secret" not in done.stderr + done.stdout
    assert done.stderr.count("uncaught exception") == 2
    assert done.stderr.count("Traceback") == 2
    assert style == "human" or all(json.loads(line) for line in done.stderr.splitlines())


def test_setup_replaces_what_was_there() -> None:
    """Set up twice, a record is still written once."""
    program = """
import io, logging
from worker.observability.logs import setup_logging
from worker.observability.redact import Redactor
stream = io.StringIO()
for _ in range(2):
    setup_logging("INFO", "human", Redactor(), stream)
logging.getLogger("celery.app.trace").info("chatter")
logging.getLogger("x").info("once")
assert len(stream.getvalue().splitlines()) == 1, stream.getvalue()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
