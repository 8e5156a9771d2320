"""`aigc forward`: what an endpoint gets, in which order, how often, and under which id."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from tests.conditions import until
from tests.integration.webhook_endpoint import (
    HUNG_UP,
    KEYS,
    NAMES,
    SECRET,
    Received,
    ShopEndpoint,
    forwarding,
    listening,
    output,
    publish,
    result,
)
from tests.redis_server import RedisServer
from worker import observability
from worker.services.forward import client as client_module
from worker.services.forward.endpoint import endpoint_of
from worker.store.forward_state import group_of
from worker.store.forward_stats import forwards
from worker.store.forward_values import FIELDS

HOUR_IN_2_S = 1800.0
DAY_IN_4_S = 21_600.0


def stands(server: RedisServer) -> dict[str, Any]:
    """How the one endpoint stands."""
    (found,) = forwards(server.client(), KEYS, NAMES)
    return found


def settled(server: RedisServer, delivered: int) -> Callable[[], bool]:
    """Whether so many are delivered, and that is written down."""
    return lambda: stands(server)["delivered"] >= delivered and stands(server)["pending"] == 0


def test_each_message_is_a_signed_webhook(redis_server: RedisServer) -> None:
    """As it was published, with its type; results and outputs in the order of their publication."""
    texts = [result("a"), output("a", "t"), result("b", "rejected"), output(None, "u", "lost")]
    publish(redis_server.client(), *texts, from_ms=1_764_484_655_000)
    with listening() as endpoint, forwarding(redis_server, endpoint, concurrency=1):
        until(settled(redis_server, 4), "all to be delivered")
    documents = [each.document for each in endpoint.taken]
    assert [each["type"] for each in documents] == [
        "job.submitted",
        "task.succeeded",
        "job.rejected",
        "task.lost",
    ]
    assert [each["data"] for each in documents] == [json.loads(text) for text in texts]
    assert all(text.encode() in each.body for text, each in zip(texts, endpoint.taken, strict=True))
    assert documents[0]["timestamp"] == "2026-11-22T22:31:33.123Z"
    assert endpoint.taken[0].headers["content-type"] == "application/json"
    assert len(set(endpoint.taken_ids())) == 4


def test_an_output_never_goes_before_its_jobs_result(redis_server: RedisServer) -> None:
    """Of a backlog of many pages, of which the results' are far more."""
    texts: list[str] = []
    for number in range(150):
        texts += [result(f"other{number}-{more}") for more in range(3)]
        texts += [result(f"j{number}"), output(f"j{number}", f"t{number}")]
    publish(redis_server.client(), *texts, from_ms=1_764_484_655_000)
    publish(redis_server.client(), *(result(f"late{number}") for number in range(50)))
    with listening() as endpoint, forwarding(redis_server, endpoint):
        until(settled(redis_server, 800), "all to be delivered")
    jobs = {f"j{number}" for number in range(150)}
    taken = [each.what for each in endpoint.taken if each.job in jobs]
    assert len(taken) == len(set(taken)) == 300
    assert all(taken.index((job, "job.submitted")) < taken.index((job, "task.succeeded")) for job in jobs)


def test_without_outputs_only_results_go(redis_server: RedisServer) -> None:
    """And what comes later goes at once."""
    client = redis_server.client()
    publish(client, output("a", "t"), result("a"))
    with listening() as endpoint, forwarding(redis_server, endpoint, outputs=False):
        until(settled(redis_server, 1), "the first one")
        publish(client, result("b"), output("b", "t"))
        until(settled(redis_server, 2), "the second one")
    assert [each.what for each in endpoint.taken] == [("a", "job.submitted"), ("b", "job.submitted")]


def test_a_new_endpoint_may_begin_with_what_comes(redis_server: RedisServer) -> None:
    """It gets what is published once it is known, even before it is sent to."""
    client = redis_server.client()
    publish(client, result("old"))
    with listening() as endpoint:
        with forwarding(redis_server, endpoint, start="$"):
            pass
        publish(client, result("new"))
        with forwarding(redis_server, endpoint, start="$"):
            until(settled(redis_server, 1), "the new one")
    assert [each.job for each in endpoint.taken] == ["new"]


def test_an_hour_of_500_loses_nothing_and_changes_no_id(redis_server: RedisServer) -> None:
    """Each message is taken once, in its job's order; meanwhile few attempts are made and little is held."""
    client = redis_server.client()
    statuses = ("unknown", "exhausted", "submitted")
    texts = [result(f"j{number}", status) for status in statuses for number in range(200)]
    publish(client, *texts)
    down = threading.Event()
    down.set()
    waiting = []
    with listening(ShopEndpoint(lambda _: 500 if down.is_set() else 204)) as endpoint:
        with forwarding(redis_server, endpoint, speed=HOUR_IN_2_S):
            until(lambda: stands(redis_server)["last_error"], "the first failure")
            end = time.monotonic() + 2.2
            while time.monotonic() < end:
                waiting.append(stands(redis_server)["pending"])
                time.sleep(0.05)
            attempts = len(endpoint.requests)
            assert endpoint.taken == []
            down.clear()
            until(settled(redis_server, 600), "all of them")
        assert stands(redis_server)["failing_s"] is None
    assert Counter(each.what for each in endpoint.taken) == Counter(
        (f"j{n}", f"job.{s}") for n in range(200) for s in statuses
    )
    assert len({(each.id, each.body) for each in endpoint.requests}) == 600
    assert len(set(endpoint.taken_ids())) == 600
    assert attempts < 600
    assert max(waiting) <= 200
    assert in_order(endpoint.taken, statuses)


def in_order(taken: list[Received], statuses: tuple[str, ...]) -> bool:
    """Whether each job's messages came in the order of these."""
    seen: dict[str, list[int]] = {}
    for each in taken:
        seen.setdefault(each.job, []).append(statuses.index(each.what[1].removeprefix("job.")))
    return all(found == sorted(found) for found in seen.values())


def test_a_jobs_later_message_waits_and_other_jobs_go_on(redis_server: RedisServer) -> None:
    """While its earlier one is refused; then it follows."""
    client = redis_server.client()
    refused = threading.Event()
    refused.set()

    def answer(received: Received) -> int:
        return 400 if refused.is_set() and received.what == ("a", "job.unknown") else 200

    publish(client, result("a", "unknown"), result("a"), output("a", "t"))
    with listening(ShopEndpoint(answer)) as endpoint, forwarding(redis_server, endpoint, speed=60):
        publish(client, *(result(f"other{number}") for number in range(50)))
        until(lambda: len(endpoint.taken) == 50, "the others")
        until(lambda: len(endpoint.requests) >= 53, "some attempts at the first one")
        assert all(each.job != "a" for each in endpoint.taken)
        refused.clear()
        until(settled(redis_server, 53), "all")
    assert [each.what[1] for each in endpoint.taken if each.job == "a"] == [
        "job.unknown", "job.submitted", "task.succeeded",
    ]  # fmt: skip


def test_after_a_day_a_message_is_given_up_and_may_be_sent_again(redis_server: RedisServer) -> None:
    """It is listed with the last answer; the next one of its job goes on; a replay has its id."""
    client = redis_server.client()
    refuses = threading.Event()
    refuses.set()

    def answer(received: Received) -> int:
        return 422 if refuses.is_set() and received.what[1] == "job.rejected" else 200

    publish(client, result("a", "rejected"), result("a"))
    with (
        listening(ShopEndpoint(answer)) as endpoint,
        forwarding(redis_server, endpoint, speed=DAY_IN_4_S) as running,
    ):
        until(lambda: stands(redis_server)["given_up"] == 1, "a day")
        until(settled(redis_server, 1), "the next one")
        assert [each.what[1] for each in endpoint.taken] == ["job.submitted"]
        state = running.forwarder._state
        ((_, dead),) = state.failed()
        assert (dead["jobId"], dead["error"], dead["text"]) == ("a", "HTTP 422", result("a", "rejected"))
        assert dead["attempts"] > 5
        refuses.clear()
        client.xtrim(NAMES["results"], 0, approximate=False)  # it has what it needs
        state.ask_replay({"stream": "failed", "last": "+", "since": "0", "until": f"{2**63}-0"})
        until(settled(redis_server, 2), "the replay")
        assert (stands(redis_server)["given_up"], stands(redis_server)["waiting"]) == (0, 0)
    assert len({each.id for each in endpoint.requests if each.what[1] == "job.rejected"}) == 1


def test_a_replay_has_the_same_ids(redis_server: RedisServer) -> None:
    """Of what was published within its bounds, once more each, beside what is new."""
    client = redis_server.client()
    entries = publish(client, *(result(f"j{number}") for number in range(250)))
    with listening() as endpoint, forwarding(redis_server, endpoint) as running:
        until(settled(redis_server, 250), "all")
        first = {each.job: each.id for each in endpoint.taken}
        running.forwarder._state.ask_replay({"stream": "results", "first": entries[10], "last": entries[229]})
        publish(client, result("new"))
        until(settled(redis_server, 250 + 220 + 1), "the replay")
    again = endpoint.taken[250:]
    assert {each.job for each in again} == {"new", *(f"j{number}" for number in range(10, 230))}
    assert all(first.get(each.job, each.id) == each.id for each in again)
    assert stands(redis_server)["waiting"] == 0


def test_two_forwarders_of_one_endpoint_take_turns(redis_server: RedisServer) -> None:
    """One stands by; when the other stops, it goes on at once: none is sent twice, none is lost."""
    client = redis_server.client()
    with listening() as endpoint, forwarding(redis_server, endpoint) as first:
        until(lambda: stands(redis_server)["active"], "the first one to have the lease")
        with forwarding(redis_server, endpoint):
            publish(client, *(result(f"a{number}") for number in range(100)))
            until(lambda: len(endpoint.taken) > 20, "some")
            first.stop.ask()
            first.thread.join()
            publish(client, *(result(f"b{number}") for number in range(100)))
            until(settled(redis_server, 200), "all")
    assert Counter(Counter(endpoint.taken_ids()).values()) == {1: 200}


def test_two_endpoints_do_not_wait_for_each_other(redis_server: RedisServer) -> None:
    """Each gets all, under the same ids."""
    publish(redis_server.client(), *(result(f"j{number}") for number in range(30)))
    with (
        listening(ShopEndpoint(lambda _: 500)) as broken, listening() as good,
        forwarding(redis_server, broken), forwarding(redis_server, good),
    ):  # fmt: skip
        until(lambda: len(good.taken) == 30, "the good one to have all")
        until(lambda: len(broken.requests) > 3, "some attempts at the other one")
    ids = {each.job: each.id for each in good.taken}
    assert all(ids[each.job] == each.id for each in broken.requests)


def test_a_redirect_is_not_followed(redis_server: RedisServer) -> None:
    """It is a failure, and tried again where it was."""
    publish(redis_server.client(), result("a"))
    with listening() as other, listening(ShopEndpoint(lambda _: 307)) as endpoint:
        endpoint.headers["Location"] = other.url
        with forwarding(redis_server, endpoint, speed=60):
            until(lambda: len(endpoint.requests) >= 2, "two attempts")
            endpoint.answer = lambda _: 204
            until(settled(redis_server, 1), "it to be taken")
    assert other.requests == []


def test_a_secret_is_rotated_without_a_gap(redis_server: RedisServer) -> None:
    """With two secrets there are two signatures, and either is enough to verify; another one is not."""
    old, new, other = SECRET, "whsec_" + "QUJD" * 8, "whsec_" + "REVG" * 8
    publish(redis_server.client(), result("a"))
    with listening() as endpoint, forwarding(redis_server, endpoint, secrets=(new, old)):
        until(settled(redis_server, 1), "it")
    (received,) = endpoint.taken
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Verifier(secret).verify(received.body, received.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(other).verify(received.body, received.headers)


def test_what_is_no_message_is_put_aside(redis_server: RedisServer) -> None:
    """It is listed, and what comes after it goes."""
    client = redis_server.client()
    publish(client, "no JSON", result(""), result("a"))
    client.xadd(NAMES["results"], {"other": "field"})
    with listening() as endpoint, forwarding(redis_server, endpoint) as running:
        until(settled(redis_server, 1), "the good one")
        until(lambda: stands(redis_server)["given_up"] == 3, "the others to be listed")
        dead = [each["error"] for _, each in running.forwarder._state.failed()]
    assert dead == ["it is no JSON", "jobId must be a text, got ''", "it is no JSON"]
    assert [each.job for each in endpoint.taken] == ["a"]


def test_what_is_trimmed_off_before_it_is_sent_is_counted(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody had read, and what waited to be sent again."""
    client = redis_server.client()
    publish(client, *(result(f"j{number}") for number in range(250)))
    with listening(ShopEndpoint(lambda _: 500)) as endpoint:
        with forwarding(redis_server, endpoint):
            until(lambda: stands(redis_server)["waiting"] >= 5, "an outage")
        assert stands(redis_server)["backlog"] > 10
        client.xtrim(NAMES["results"], 10, approximate=False)
        endpoint.answer = lambda _: 200
        with forwarding(redis_server, endpoint, speed=60):
            until(settled(redis_server, 10), "the rest")
            until(lambda: stands(redis_server)["lost"] == 240, "the count of the others")
    assert {each.job for each in endpoint.taken} == {f"j{number}" for number in range(240, 250)}
    assert "trimmed off the stream" in caplog.text


def test_a_group_that_somebody_deletes_is_made_anew(redis_server: RedisServer) -> None:
    """Where it was: nothing is lost, and what was finished long ago is not sent again."""
    client = redis_server.client()
    publish(client, *(result(f"a{number}") for number in range(20)))
    with listening() as endpoint:
        with forwarding(redis_server, endpoint):
            until(settled(redis_server, 20), "the first ones")
            until(lambda: "position_results" in state(client), "its position to be written")
        client.xgroup_destroy(NAMES["results"], group_of(endpoint_of(endpoint.url).name))
        publish(client, *(result(f"b{number}") for number in range(20)))
        with forwarding(redis_server, endpoint):
            until(settled(redis_server, 40), "all")
            client.delete(NAMES["results"])
            publish(client, result("c"))
            until(lambda: endpoint.taken[-1].job == "c", "what comes in a new stream")
    first, later = endpoint.taken[:20], endpoint.taken[20:]
    assert {each.job for each in first} == {f"a{number}" for number in range(20)}
    assert {f"b{number}" for number in range(20)} <= {each.job for each in later}
    assert len(set(endpoint.taken_ids())) == 41


def test_what_was_read_with_a_group_that_is_lost_is_sent(redis_server: RedisServer) -> None:
    """The group of results is deleted, and with the next look outputs came: theirs is not read again."""
    client = redis_server.client()
    publish(client, result("a"), output("a", "t-a"))
    with listening() as endpoint, forwarding(redis_server, endpoint):
        until(settled(redis_server, 2), "the first ones")
        with client.pipeline(transaction=True) as at_once:
            at_once.xgroup_destroy(NAMES["results"], group_of(endpoint_of(endpoint.url).name))
            at_once.xadd(NAMES["results"], {FIELDS["results"]: result("b")})
            at_once.xadd(NAMES["outputs"], {FIELDS["outputs"]: output("b", "t-b")})
            at_once.execute()
        until(lambda: ("b", "task.succeeded") in [each.what for each in endpoint.taken], "the output")
        until(settled(redis_server, 4), "all to be delivered")


def state(client: Any) -> set[str]:
    (key,) = client.keys("aigc:forward:state:*")
    return {name.decode() for name in client.hkeys(key)}


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: "])
def test_an_answer_that_never_ends_is_not_waited_for(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    """However steadily its bytes come, it has so much time; the message goes again."""
    monkeypatch.setattr(client_module, "ANSWER_S", 0.5)
    publish(redis_server.client(), result("a"))
    attempts = []

    def drip(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    attempts.append(connection.recv(65_536))
                    connection.sendall(beginning)
                    while beginning or connection.recv(1):
                        connection.sendall(b"x")
                        time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        with forwarding(redis_server, f"http://127.0.0.1:{listener.getsockname()[1]}/", speed=60):
            until(lambda: len(attempts) >= 2, "two attempts")
            assert "no answer" in str(stands(redis_server)["last_error"])
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_the_status_is_the_answer_whatever_becomes_of_its_body(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that never comes, or never ends, is no reason to send a message again."""
    monkeypatch.setattr(client_module, "ANSWER_S", 2)
    heads = iter([b"Content-Length: 5\r\n\r\n", b"Content-Length: 100000000\r\n\r\n" + b"x" * 200_000])
    requests = []

    def answer(listener: socket.socket) -> None:
        for head in heads:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                requests.append(connection.recv(65_536))
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + head)
                while connection.recv(65_536):
                    pass

    publish(redis_server.client(), result("a"), result("b"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with forwarding(redis_server, url, concurrency=1):
            until(settled(redis_server, 2), "both")
        thread.join()
    assert len(requests) == 2


def test_an_endpoint_that_hangs_up_or_floods_is_tried_again(redis_server: RedisServer) -> None:
    """On a new connection."""
    publish(redis_server.client(), result("a"))
    answers = iter([HUNG_UP, 500, 204])
    hostile = ShopEndpoint(lambda _: next(answers))
    with listening(hostile) as endpoint, forwarding(redis_server, endpoint, speed=60):
        until(settled(redis_server, 1), "the third attempt")
    assert len(endpoint.requests) == 3


def test_people_are_told_once_of_an_endpoint_that_fails_for_long(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line and report at its tenth minute, also over a restart; a line when it takes webhooks again."""
    reports: list[str] = []
    monkeypatch.setattr(
        observability, "_sentry", SimpleNamespace(report=lambda title, **_: reports.append(title))
    )
    publish(redis_server.client(), *(result(f"j{number}") for number in range(10)))
    with caplog.at_level("INFO"), listening(ShopEndpoint(lambda _: 503)) as endpoint:
        with forwarding(redis_server, endpoint, speed=HOUR_IN_2_S):
            until(lambda: "has taken no webhook for" in caplog.text, "the line")
            until(lambda: "told" in state(redis_server.client()), "that to be written")
        with forwarding(redis_server, endpoint, speed=HOUR_IN_2_S):
            attempts = len(endpoint.requests)
            until(lambda: len(endpoint.requests) > attempts + 3, "more attempts")
            endpoint.answer = lambda _: 200
            until(settled(redis_server, 10), "all")
    assert caplog.text.count("has taken no webhook for") == 1
    assert "takes webhooks again" in caplog.text
    assert reports == ["webhook_endpoint_failing"]
