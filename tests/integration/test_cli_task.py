"""`aigc task` and `aigc doctor --task` beside a sandbox in a process of its own, as a person runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD
from tests.conditions import PATIENCE_S
from tests.integration.sandbox_client import KEYS, Client
from tests.integration.test_cli_submit import add, result
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.domain.query_signing import DEFAULT_FORM, FORMS, QueryForm

LONG = "[[task_waiting(9999)]]"
NOBODY = "redis://127.0.0.1:1/0"


@contextmanager
def sandboxed(*options: str) -> Iterator[Client]:
    """`aigc sandbox` with these options, for as long as the block runs."""
    keys = ["--access-key", KEYS.access_key, "--secret-key", KEYS.secret_key]
    command = [quick_aigc(), "sandbox", "--port", "0", *keys, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Client(process.stdout.readline().split()[-1])
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def vendor() -> Iterator[Client]:
    with sandboxed() as client:
        yield client


def aigc(vendor: Client | str, *args: str, redis_url: str = NOBODY, **settings: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command against this vendor."""
    url = vendor if isinstance(vendor, str) else f"http://{vendor.address}"
    env = {k: v for k, v in os.environ.items() if not k.startswith("AIGC_")} | {
        "AIGC_REDIS_URL": redis_url,
        "AIGC_ENDPOINT": url,
        "AIGC_ACCESS_KEY": KEYS.access_key,
        "AIGC_SECRET_KEY": KEYS.secret_key,
        **settings,
    }
    done = subprocess.run(
        [quick_aigc(), *args], env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert KEYS.secret_key not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def document(vendor: Client, *args: str, **settings: str) -> tuple[int, dict[str, Any]]:
    code, out, err = aigc(vendor, "task", *args, "--json", **settings)
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    return code, found


def submitted(vendor: Client, rules: str) -> str:
    return str(vendor.vendor(f"a cat {rules}")["model"])


def test_a_task_is_asked_about_once_and_its_job_is_found(vendor: Client, redis_server: RedisServer) -> None:
    """Among thousands of results the one that names it; status, URL, job, workflow and metadata are told."""
    task_id = submitted(vendor, "[[task_waiting]][[task_running]]")
    bought = replace(result(1), task_id=task_id, metadata={"sku": "Ä-1"})
    client = redis_server.client()
    add(redis_server, 3)
    client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: bought.to_json()})
    add(redis_server, *range(5, 1500))
    before = vendor.stats()["queries"]
    code, out, err = aigc(vendor, "task", task_id, redis_url=redis_server.url)
    assert (code, err, vendor.stats()["queries"]) == (0, "", before + 1)
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert lines.pop("url").startswith(f"http://{vendor.address}/_sandbox/output/{task_id}.png?Expires=")
    assert lines == {
        "task": task_id,
        "status": "SUCCESS",
        "job": "job-1, accepted at 2026-11-22T22:31:33.123Z",
        "workflow": "TEXT2IMAGE 1.0.0",
        "metadata": '{"sku": "Ä-1"}',
    }


def test_a_redis_that_is_away_is_said_and_the_vendor_asked_all_the_same(vendor: Client) -> None:
    """The job is not known then, the task is."""
    task_id = submitted(vendor, LONG)
    code, out, err = aigc(vendor, "task", task_id)
    assert (code, err) == (0, "")
    assert re.search(r"^status +WAITING$", out, re.MULTILINE)
    assert re.search(r"^job +not known: Redis is not available", out, re.MULTILINE)


def test_a_job_that_no_result_names_is_not_known(vendor: Client, redis_server: RedisServer) -> None:
    """Such as that of a task that was bought elsewhere."""
    add(redis_server, 1, 2, 3)
    _, out, _ = aigc(vendor, "task", submitted(vendor, LONG), redis_url=redis_server.url)
    assert re.search(r"^job +not known: no result in Redis names this task$", out, re.MULTILINE)


def test_in_json_all_is_there(vendor: Client, redis_server: RedisServer) -> None:
    """The same keys whatever is known; before the id, or behind it."""
    task_id = submitted(vendor, LONG)
    bought = replace(result(1), task_id=task_id, metadata={"sku": 1})
    redis_server.client().xadd(DEFAULT_RESULTS, {RESULT_FIELD: bought.to_json()})
    code, found = document(vendor, task_id, redis_url=redis_server.url)
    assert (code, found) == (
        0,
        {
            "taskId": task_id, "state": "pending", "vendorStatus": "WAITING", "url": None, "error": None,
            "jobId": "job-1", "workflow": "TEXT2IMAGE", "version": "1.0.0",
            "submittedAt": "2026-11-22T22:31:33.123Z", "metadata": {"sku": 1}, "jobNote": None,
            "followed": None,
        },
    )  # fmt: skip
    assert aigc(vendor, "task", "--json", task_id, redis_url=redis_server.url)[1] == json.dumps(found) + "\n"
    assert (
        aigc(vendor, "task", "show", task_id, "--json", redis_url=redis_server.url)[1]
        == json.dumps(found) + "\n"
    )


@pytest.mark.parametrize(
    ("rules", "code", "state", "status", "error"),
    [
        ("[[task_waiting]][[task_running]][[task_timeout]]", 0, "failed", "TIMEOUT", None),
        ("[[query_odd_status]]", 0, "pending", "QUEUEING", None),
        ("[[query_throttle(3)]]", 1, "throttled", None, "to be asked again in 3 s"),
        ("[[query_html_502]]", 1, "unanswered", None, "HTTP 502"),
        ("[[query_auth_error]]", 1, "refused", None, "AUTH_CHECK_ERROR"),
        ("[[query_param_error]]", 1, "unknown", None, "PARAM_VALID_ERROR"),
    ],
)
def test_the_exit_code_says_whether_the_vendor_told_of_the_task(
    vendor: Client, rules: str, code: int, state: str, status: str | None, error: str | None
) -> None:
    """And the document in which way it did not."""
    told, found = document(vendor, submitted(vendor, rules))
    assert (told, found["state"], found["vendorStatus"]) == (code, state, status)
    assert (error or "") in (found["error"] or "")
    assert (found["error"] is None) == (error is None)


def test_a_form_that_the_vendor_does_not_take_is_refused(vendor: Client) -> None:
    """As any wrong signature is."""
    code, found = document(vendor, submitted(vendor, LONG), AIGC_QUERY_SIGNATURE=str(FORMS[3]))
    assert (code, found["state"]) == (1, "refused")


@pytest.mark.parametrize("command", [("task", "t-1"), ("doctor", "--task", "t-1"), ("worker",)])
def test_a_form_that_nobody_knows_stops_the_command(vendor: Client, command: tuple[str, ...]) -> None:
    """With the variable's name and those that there are."""
    code, out, err = aigc(vendor, *command, AIGC_QUERY_SIGNATURE="hex")
    assert (code, out) == (1, "")
    assert "AIGC_QUERY_SIGNATURE must be one of get-path-base64-acs, get-query-base64-acs, " in err


@pytest.mark.parametrize("form", [FORMS[0], FORMS[2], FORMS[-1]], ids=str)
def test_the_doctor_finds_the_form(form: QueryForm) -> None:
    """Each that it tries is told with its answer; the last line is the one to set."""
    with sandboxed("--query-signature", str(form).upper()) as vendor:
        task_id = submitted(vendor, LONG)
        code, out, err = aigc(vendor, "doctor", "--task", task_id, "--pause", "0")
        assert (code, err) == (0, "")
        *tried, empty, _, setting = out.splitlines()
        assert (empty, setting) == ("", f"AIGC_QUERY_SIGNATURE={form}")
        assert [line.split()[:2] for line in tried] == [
            *(["no", str(each)] for each in FORMS[: FORMS.index(form)]),
            ["taken", str(form)],
        ]
        assert document(vendor, task_id, AIGC_QUERY_SIGNATURE=str(form))[1]["state"] == "pending"
        assert vendor.stats()["posts"] == 1


def test_the_doctor_asks_slowly(vendor: Client) -> None:
    """By default never two queries within a second, by the vendor's own clock; what is set is tried first."""
    vendor.call("/_sandbox/reset", {})
    task_id = submitted(vendor, LONG)
    code, out, _ = aigc(vendor, "doctor", "--task", task_id, AIGC_QUERY_SIGNATURE=str(FORMS[2]))
    assert (code, out.splitlines()[-1]) == (0, f"AIGC_QUERY_SIGNATURE={DEFAULT_FORM}")
    assert vendor.call("/_sandbox/queries?window_s=0.99")["busiest_window"] == 1
    assert vendor.stats()["queries"] == 2


def test_a_doctor_to_whom_all_forms_are_refused_says_what_may_be_wrong(vendor: Client) -> None:
    """What each was answered, and exit 1."""
    task_id = submitted(vendor, "[[query_auth_error]]")
    code, out, err = aigc(vendor, "doctor", "--task", task_id, "--pause", "0")
    assert (code, len(out.splitlines())) == (1, len(FORMS))
    assert all("INTCNN_COMMON_AUTH_CHECK_ERROR" in line for line in out.splitlines())
    assert "AIGC_SECRET_KEY" in err


def test_a_doctor_with_a_task_that_nobody_knows_is_unsure(vendor: Client) -> None:
    """The form that passed the check is marked, and a better id asked for."""
    code, out, err = aigc(vendor, "doctor", "--task", "none", "--pause", "0")
    assert code == 1
    assert [line.split()[1] for line in out.splitlines() if line.startswith("unsure")] == [str(DEFAULT_FORM)]
    assert "the vendor does not know this task" in err


@pytest.mark.parametrize("command", [["doctor", "--task"], ["task", "show"]])
@pytest.mark.parametrize("text", ["", " ", "x" * 257])
def test_what_cannot_be_a_task_id_is_bad_usage(vendor: Client, command: list[str], text: str) -> None:
    """The vendor is not asked, and no form of signature is blamed."""
    code, out, err = aigc(vendor, *command, text)
    assert (code, out) == (2, "")
    assert "not a task id" in err


def test_a_refused_query_points_to_the_doctor(vendor: Client) -> None:
    """With the command that finds out how the vendor wants it signed."""
    task_id = submitted(vendor, "[[query_auth_error]]")
    code, _, err = aigc(vendor, "task", task_id)
    assert code == 1
    assert f"aigc doctor --task {task_id}" in err


def test_a_doctor_whom_nothing_answers_gives_up_at_once() -> None:
    """It does not try the other forms."""
    code, out, err = aigc("http://127.0.0.1:1", "doctor", "--task", "t-1", "--pause", "0")
    assert (code, len(out.splitlines())) == (1, 1)
    assert "no answer from http://127.0.0.1:1" in err


def test_a_sandbox_with_a_form_that_nobody_knows_does_not_start() -> None:
    """It names those that there are."""
    done = subprocess.run(
        [quick_aigc(), "sandbox", "--query-signature", "hex"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "get-query-hex-xid" in done.stderr
