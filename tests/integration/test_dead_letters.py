"""`aigc failed`: what an operator sees of jobs that did not end well, and what becomes of them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.conditions import until
from tests.integration.desk import KEYS, Desk
from tests.integration.stage import faulty, staged
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.store.dead_letters import DeadLetters
from worker.store.delayed import prune
from worker.store.record import FIELDS


@pytest.fixture
def full(desk: Desk) -> Desk:
    """A desk with one job of each ending, and a held video of yesterday."""
    desk.add_dead_letter("held")
    desk.add_dead_letter("video", workflow="IMAGE2VIDEO", code="AIGC_HTTP_502", ago_s=86_400)
    desk.add_dead_letter("tired", "exhausted", code="INTCNN_COMMON_SYS_ERROR")
    desk.add_dead_letter("bad", "rejected", code="INTCNN_COMMON_PARAM_VALID_ERROR")
    return desk


@pytest.mark.parametrize(
    ("options", "jobs"),
    [
        ([], ["video", "held", "tired", "bad"]),
        (["--status", "rejected", "--status", "exhausted"], ["tired", "bad"]),
        (["--workflow", "IMAGE2VIDEO"], ["video"]),
        (["--code", "INTCNN_COMMON_SYS_ERROR"], ["tired"]),
        (["--since", "2h"], ["held", "tired", "bad"]),
        (["--older-than", "2h"], ["video"]),
        (["--since", "2000-01-01T00:00Z", "--older-than", "2000-01-02"], []),
        (["--job", "bad", "--job", "held", "--job", "nobody"], ["bad", "held"]),
        (["--job", "bad", "--status", "unknown"], []),
    ],
)
def test_list_shows_what_passes_the_filters(full: Desk, options: list[str], jobs: list[str]) -> None:
    """Oldest first in each state, the held ones first of all."""
    assert [job["jobId"] for job in full.aigc("failed", "list", *options).documents] == jobs


def test_a_line_of_the_list_is_the_result_and_all_request_ids(desk: Desk) -> None:
    """A script finds the contract's result in it, unchanged."""
    result = desk.add_dead_letter("held")
    (line,) = desk.aigc("failed", "list").documents
    assert line.pop("requestIds") == [result.request_id]
    assert line == json.loads(result.to_json()) | {"queue": KEYS.queue}


def test_more_jobs_of_one_second_than_a_page_are_each_listed_once(desk: Desk) -> None:
    """An outage ends many jobs at once: none is left out, none shown twice, though some leave meanwhile."""
    names = {f"job-{number}" for number in range(450)}
    for name in names:
        desk.add_dead_letter(name, "exhausted")
    desk.redis.zadd(KEYS.dead_letters("exhausted"), dict.fromkeys(names, 1_700_000_000))
    listed = [job["jobId"] for job in desk.aigc("failed", "list").documents]
    assert (len(listed), set(listed)) == (450, names)
    assert desk.aigc("failed", "discard", "--status", "exhausted", "--yes").code == 0
    assert desk.dead_letters.count()["exhausted"] == 0


def test_show_tells_all_but_the_payload(desk: Desk) -> None:
    """The prompt shows only where it is asked for."""
    result = desk.add_dead_letter("held")
    (shown,) = desk.aigc("failed", "show", "held").documents
    assert (shown["state"], shown["requestIds"], shown["canRetry"]) == ("unknown", [result.request_id], True)
    assert shown["enqueuedAt"] == "2023-11-14T22:13:20.000Z"
    assert "a cat" not in json.dumps(shown)
    (shown,) = desk.aigc("failed", "show", "held", "--payload").documents
    assert shown["payload"]["algoInput"]["inputText"] == "a cat"


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ('{"success": true, "model": 7}', "aigc failed accept 7 --job held"),
        ('{"success": false, "model": {"taskId": "a;b"}}', "aigc failed accept 'a;b' --job held"),
        ("<html>a cat</html>", "aigc failed accept TASK_ID --job held"),
    ],
)
def test_show_tells_how_to_accept_by_the_answer_that_was_kept(desk: Desk, answer: str, advice: str) -> None:
    """The answer stands in the document, the command beside it, for whoever has to decide."""
    desk.add_dead_letter("held")
    with recorded(answer):
        done = desk.aigc("failed", "show", "held")
    assert done.documents[0]["answer"] == answer
    assert advice in done.err


def test_show_gives_no_advice_where_nothing_is_to_be_decided(desk: Desk) -> None:
    """A job that is not held, or of which no answer was kept, is only shown."""
    desk.add_dead_letter("tired", "exhausted")
    desk.add_dead_letter("held")
    with recorded('{"model": 7}'):
        assert desk.aigc("failed", "show", "tired").err == ""
    done = desk.aigc("failed", "show", "held")
    assert (done.err, "answer" in done.documents[0]) == ("", False)


@contextmanager
def recorded(answer: str) -> Iterator[None]:
    """The journal has kept this answer of each job."""
    record = DeadLetters.record
    with patch.object(DeadLetters, "record", lambda self, job: record(self, job) | {"answer": answer}):
        yield


def test_show_on_a_terminal_has_a_line_for_the_answer(
    desk: Desk, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It is to be read as the vendor wrote it, without JSON's backslashes."""
    desk.add_dead_letter("held")
    answer = '{"success": true, "model": 7}'
    program = tmp_path / "program.py"
    program.write_text(
        "from worker.store.dead_letters import DeadLetters; from worker.cli import main\n"
        f"record, answer = DeadLetters.record, {answer!r}\n"
        "DeadLetters.record = lambda self, job: record(self, job) | {'answer': answer}\n"
        "main()"
    )
    ours, theirs = pty.openpty()
    python = str(Path(quick_aigc()).with_name("python"))
    command = [python, str(program), "failed", "show", "held"]
    env = os.environ | {"AIGC_REDIS_URL": redis_server.url}
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=env) as process:
        _, told = process.communicate(timeout=30)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert f"\nanswer: {answer}" in shown.replace("\r", "")
    assert b"aigc failed accept 7 --job held" in told


DAY_S = 86_400


@pytest.mark.parametrize("decision", [("accept", "t-1", "--job", "held"), ("discard", "held", "--yes")])
@pytest.mark.parametrize(
    ("environ", "days"),
    [
        ({}, 30),
        ({"AIGC_JOURNAL_TTL_S": str(DAY_S)}, 30),
        ({"AIGC_JOURNAL_TTL_S": str(40 * DAY_S)}, 40),
    ],
    ids=["not set", "shorter", "longer"],
)
def test_a_decided_job_is_remembered_for_as_long_as_its_worker_wanted(
    redis_server: RedisServer, decision: tuple[str, ...], environ: dict[str, str], days: int
) -> None:
    """At least: a redelivery after that would be a second purchase."""
    desk = Desk(redis_server, keep_s=30 * DAY_S)
    desk.add_dead_letter("held")
    assert desk.redis.ttl(KEYS.job("held")) == -1
    assert desk.aigc("failed", *decision, **environ).code == 0
    assert desk.redis.ttl(KEYS.job("held")) == pytest.approx(days * DAY_S, abs=60)


def test_a_held_job_of_an_older_version_is_remembered_for_long(desk: Desk) -> None:
    """Its record does not say for how long its worker would have kept it."""
    desk.add_dead_letter("held")
    desk.redis.hdel(KEYS.job("held"), FIELDS["keep_s"].stored)
    assert desk.aigc("failed", "accept", "t-1", "--job", "held").code == 0
    assert desk.redis.ttl(KEYS.job("held")) == pytest.approx(90 * DAY_S, abs=60)


def test_a_decision_throws_no_result_away(redis_server: RedisServer) -> None:
    """How many results are kept is the workers' setting, which an operator need not have."""
    desk = Desk(redis_server)
    for number in range(300):  # whole nodes of the stream, for it is trimmed by nodes
        desk.redis.xadd(KEYS.results, {"result": number})
    desk.add_dead_letter("held")
    done = desk.aigc("failed", "accept", "t-1", "--job", "held", AIGC_RESULTS_MAXLEN="1")
    assert (done.code, desk.redis.xlen(KEYS.results)) == (0, 302)


def test_a_wrong_setting_is_named_before_anything_is_decided(desk: Desk) -> None:
    """No key of the vendor's is asked for, but what is asked for must be right."""
    desk.add_dead_letter("held")
    done = desk.aigc("failed", "accept", "t-1", "--job", "held", AIGC_JOURNAL_TTL_S="for ever")
    assert (done.code, "AIGC_JOURNAL_TTL_S" in done.err, desk.state("held")) == (1, True, "unknown")


def test_show_of_a_job_that_nobody_knows_fails(desk: Desk) -> None:
    """Exit 1, in words."""
    done = desk.aigc("failed", "show", "nobody")
    assert (done.code, "there is no record of the job 'nobody'" in done.err) == (1, True)


def test_retry_queues_a_job_behind_the_others_once(desk: Desk) -> None:
    """It leaves the dead letters in the same step, so a second order finds nothing to buy."""
    desk.redis.lpush(KEYS.queue, json.dumps({"headers": {"id": "fresh"}}))
    result = desk.add_dead_letter("tired", "exhausted")
    assert desk.aigc("failed", "retry", "tired", "--yes").code == 0
    assert (desk.queued(), desk.state("tired")) == (["fresh", "tired"], "reserved")
    assert desk.dead_letters.retry(result, "somebody else") == 0
    assert desk.aigc("failed", "retry", "tired", "--yes").code == 1
    assert desk.queued() == ["fresh", "tired"]


def test_a_retried_job_has_all_its_attempts_anew_and_keeps_its_past(redis_server: RedisServer) -> None:
    """Its result counts every POST it ever had; one that was unknown is a possible duplicate for good."""
    desk = Desk(redis_server)
    with staged(redis_server) as stage:
        stage.worker(MAX_ATTEMPTS=2)
        tired, held = stage.enqueue(faulty("sys_error*3")), stage.enqueue(faulty("reset_after_accept*1"))
        assert stage.result(tired)["status"] == "exhausted"
        assert stage.result(held)["status"] == "unknown"
        assert desk.aigc("failed", "retry", "--all", "--yes").code == 0
        until(lambda: [len(stage.results_of(job)) for job in (tired, held)] == [2, 2], "both results")
    ended = [desk.results_of(job)[-1] for job in (tired, held)]
    assert [(r.status, r.attempts, r.possible_duplicate) for r in ended] == [
        ("submitted", 4, False),
        ("submitted", 2, True),
    ]
    assert sum(desk.dead_letters.count().values()) == 0
    desk.close()


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_without_a_terminal_nothing_is_decided_unless_told_so(full: Desk, command: str) -> None:
    """Exit 2, with the count, and nothing has changed."""
    done = full.aigc("failed", command, "--all")
    assert (done.code, "2 unknown" in done.err, "--yes" in done.err) == (2, True, True)
    assert (full.queued(), sum(full.dead_letters.count().values()), full.decisions()) == ([], 4, [])


@pytest.mark.parametrize(("answer", "queued"), [("n", []), ("y", ["held"])])
def test_on_a_terminal_it_asks_before_it_buys(
    desk: Desk, redis_server: RedisServer, answer: str, queued: list[str]
) -> None:
    """The question says how many, and that an unknown job may be paid for a second time."""
    desk.add_dead_letter("held")
    ours, theirs = pty.openpty()
    env = os.environ | {"AIGC_REDIS_URL": redis_server.url}
    command = [quick_aigc(), "failed", "retry", "held"]
    with subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE, env=env) as process:
        os.write(ours, f"{answer}\n".encode())
        _, asked = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert b"1 job: 1 unknown" in asked
    assert b"paid for a second time" in asked
    assert desk.queued() == queued


def test_retry_needs_to_be_told_which(full: Desk) -> None:
    """No name, no filter and no --all is bad usage, not everything."""
    assert full.aigc("failed", "retry", "--yes").code == 2
    assert full.queued() == []


def test_retry_keeps_to_the_rate(desk: Desk) -> None:
    """At 20 a second the fifth job comes 200 ms after the first, but for the clock's rounding."""
    for number in range(5):
        desk.add_dead_letter(f"job-{number}", "exhausted")
    assert desk.aigc("failed", "retry", "--all", "--yes", "--rate", "20").code == 0
    stamps = [datetime.fromisoformat(decision["at"]).timestamp() for decision in desk.decisions()]
    assert len(stamps) == 5
    assert stamps[-1] - stamps[0] >= 0.15


def test_accept_settles_a_held_job_with_the_vendors_task_id(desk: Desk) -> None:
    """One more result, submitted; no dead letter is left, and the record knows the task id."""
    result = desk.add_dead_letter("held", duplicate=True)
    assert desk.aigc("failed", "accept", "task-7").code == 0
    last = desk.results_of("held")[-1]
    assert (last.status, last.task_id, last.error_code) == ("submitted", "task-7", None)
    assert (last.attempts, last.request_id, last.metadata) == (1, result.request_id, {"sku": "held"})
    assert last.possible_duplicate
    assert (desk.state("held"), desk.dead_letters.count()["unknown"]) == ("accepted", 0)
    assert desk.redis.ttl(KEYS.job("held")) > 0


def test_accept_must_know_which_job(desk: Desk) -> None:
    """With two held jobs it has to be named; one that is not held cannot be accepted."""
    desk.add_dead_letter("one")
    desk.add_dead_letter("two")
    desk.add_dead_letter("tired", "exhausted")
    assert desk.aigc("failed", "accept", "task-7").code == 2
    done = desk.aigc("failed", "accept", "task-7", "--job", "tired")
    assert (done.code, done.err) == (
        1,
        "aigc: job tired is not held as unknown: see aigc failed show tired\n",
    )
    assert desk.aigc("failed", "accept", "task-7", "--job", "two").code == 0
    assert desk.aigc("failed", "accept", "task-8", "--job", "two").code == 1
    assert [desk.state(job) for job in ("one", "two", "tired")] == ["unknown", "accepted", "exhausted"]


def test_an_accepted_job_is_not_sent_again(redis_server: RedisServer) -> None:
    """Its message, delivered once more, is dropped."""
    desk = Desk(redis_server)
    with staged(redis_server) as stage:
        stage.worker()
        payload = faulty("reset_after_accept*1")
        held = stage.enqueue(payload)
        stage.result(held)
        assert desk.aigc("failed", "accept", "task-7").code == 0
        stage.enqueue(payload, held)
        stage.result(stage.enqueue(faulty()))
        assert len(stage.vendor.posts_of(payload)) == 1
    desk.close()


def test_discard_ends_a_held_job_and_only_clears_away_the_others(full: Desk) -> None:
    """Consumers learn of the held one; they know of the others already."""
    assert full.aigc("failed", "discard", "--since", "2h", "--yes").code == 0
    last = full.results_of("held")[-1]
    assert (last.status, last.error_code, last.task_id) == ("rejected", "AIGC_DISCARDED", None)
    assert [len(full.results_of(job)) for job in ("held", "tired", "bad")] == [2, 1, 1]
    assert full.dead_letters.count() == {"unknown": 1, "exhausted": 0, "rejected": 0}
    assert (
        full.redis.hkeys(KEYS.dead_letter_messages)
        == full.redis.hkeys(KEYS.dead_letter_results)
        == [b"video"]
    )


def test_the_vendors_late_yes_to_a_discarded_job_is_told(desk: Desk) -> None:
    """A worker that was frozen while sending wakes after the discard: what was paid for is published."""
    desk.add_dead_letter("held")
    desk.aigc("failed", "discard", "held", "--yes")
    assert desk.accepted_late("held", "task-7") == "settled"
    assert desk.results_of("held")[-1].task_id == "task-7"


@pytest.mark.parametrize("arguments", [("list", "--since", "yesterday"), ("accept", "  "), ("list", "--x")])
def test_bad_usage_is_2(desk: Desk, arguments: tuple[str, ...]) -> None:
    """With a word about what is wrong, and nothing else."""
    done = desk.aigc("failed", *arguments)
    assert (done.code, done.out, "aigc: " in done.err) == (2, "", True)


def test_every_decision_is_recorded(full: Desk) -> None:
    """Who, what, which job, what it was."""
    full.aigc("failed", "retry", "tired", "--yes")
    full.aigc("failed", "accept", "task-7", "--job", "held")
    full.aigc("failed", "discard", "bad", "--yes")
    told = full.decisions()
    assert [(d["what"], d["job"], d["was"], d.get("task")) for d in told] == [
        ("retry", "tired", "exhausted", None),
        ("accept", "held", "unknown", "task-7"),
        ("discard", "bad", "rejected", None),
    ]
    assert all("@" in decision["who"] and decision["at"].endswith("Z") for decision in told)


def test_names_that_are_no_dead_letters_are_told(full: Desk) -> None:
    """The rest is done; exit 1."""
    done = full.aigc("failed", "discard", "tired", "nobody", "tired", "--yes")
    assert (done.code, done.out) == (1, "discard: 1 of 1 job\n")
    assert "1 of the jobs did not fail" in done.err


def test_a_dead_letter_outlives_its_record(desk: Desk) -> None:
    """Records expire, dead letters do not: it can still be queued again."""
    desk.add_dead_letter("tired", "exhausted")
    desk.redis.delete(KEYS.job("tired"))
    assert desk.aigc("failed", "retry", "tired", "--yes").code == 0
    assert desk.queued() == ["tired"]


def test_a_job_that_lives_again_is_not_decided_by_its_past(desk: Desk) -> None:
    """Queued anew under its old id and held since, it keeps what is known of it now."""
    old = desk.add_dead_letter("again", "exhausted")
    desk.redis.delete(KEYS.job("again"))
    desk.add_dead_letter("again", "unknown")
    assert desk.dead_letters.retry(old, "me") == 0
    assert (desk.queued(), desk.dead_letters.count()["unknown"]) == ([], 1)
    assert desk.aigc("failed", "retry", "again", "--yes").code == 0
    assert desk.queued() == ["again"]


def test_dead_letters_are_cleared_of_what_is_settled_for_good(desk: Desk) -> None:
    """Held jobs stay however old they are, one too that was exhausted in an earlier life."""
    desk.add_dead_letter("tired", "exhausted", ago_s=1000)
    desk.add_dead_letter("again", "exhausted", ago_s=1000)
    desk.redis.delete(KEYS.job("again"))
    desk.add_dead_letter("again", "unknown", ago_s=1000)
    desk.add_dead_letter("fresh", "rejected")
    assert not prune(desk.scripts, 500)
    assert {job["jobId"] for job in desk.aigc("failed", "list").documents} == {"again", "fresh"}
    assert desk.aigc("failed", "retry", "again", "--yes").code == 0


def test_a_job_without_its_message_cannot_be_retried(desk: Desk) -> None:
    """It stays where it is, and the command says what to do."""
    desk.add_dead_letter("lost", "rejected")
    desk.redis.hset(KEYS.dead_letter_messages, "lost", "1|")
    done = desk.aigc("failed", "retry", "lost", "--yes")
    assert (done.code, "not kept" in done.err) == (1, True)
    assert (desk.queued(), desk.dead_letters.count()["rejected"]) == ([], 1)


def test_the_question_says_how_many_cannot_be_retried(desk: Desk) -> None:
    """Before anything is done, and however many there are; to discard them their messages matter nothing."""
    for number in range(1203):
        desk.add_dead_letter(f"j-{number}", "exhausted")
    for number, kept in ((0, "1|"), (600, None), (1202, "1|")):
        if kept is None:
            desk.redis.hdel(KEYS.dead_letter_messages, f"j-{number}")
        else:
            desk.redis.hset(KEYS.dead_letter_messages, f"j-{number}", kept)
    words = "the message of 3 was not kept: left as they are; queue them anew"
    assert words in desk.aigc("failed", "retry", "--all").err
    assert words not in desk.aigc("failed", "discard", "--all").err
    assert desk.queued() == []


def test_malformed_messages_are_listed_with_their_reason(desk: Desk) -> None:
    """Whatever bytes they are."""
    about = {"at": "2026-11-22T22:31:33.123+00:00", "reason": "not JSON"}
    desk.redis.rpush(KEYS.malformed, json.dumps(about).encode() + b" \xff\x00{")
    (shown,) = desk.aigc("failed", "list", "--malformed").documents
    assert len(shown.pop("name")) == 12
    assert shown == {**about, "message": "\\xff\x00{"}


def test_a_redis_that_is_away_is_said_in_words(own_redis_server: RedisServer) -> None:
    """Exit 1, no traceback."""
    desk = Desk(own_redis_server)
    own_redis_server.kill()
    done = desk.aigc("failed", "list")
    assert (done.code, done.err.startswith("aigc: Redis does not answer")) == (1, True)
    desk.close()


def test_a_dead_letter_of_a_later_version_hides_no_other(desk: Desk) -> None:
    """It is passed over with a word, and those that this version understands are listed."""
    desk.redis.zadd(KEYS.dead_letters("rejected"), {"later": 1.0})
    desk.redis.hset(KEYS.dead_letter_results, "later", json.dumps({"schema": 2, "jobId": "later"}))
    desk.add_dead_letter("now", "rejected")
    done = desk.aigc("failed", "list", "--status", "rejected")
    assert (done.code, [each["jobId"] for each in done.documents]) == (0, ["now"])
