"""Traces, from a producer to the webhook: real processes, and a collector that takes what they export."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

import tasks
from tasks.contract import DEFAULT_QUEUE, TASK_NAME
from tasks.trace_context import TraceContext
from tasks.tracing import trace_context
from tests.conditions import until
from tests.integration.followed import FOLLOWING, living, outputs
from tests.integration.stage import KEYS, CommandWorker, Stage, Worker, faulty, logged, text
from tests.integration.webhook_endpoint import SECRET, listening
from tests.otlp_receiver import CLIENT, CONSUMER, Collector, GivenSpan, collecting
from tests.ports import free_port
from tests.quick_python import quick_aigc
from worker.config.settings import foreign_environ

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CALLER = TraceContext(PARENT, "shop=eu,other=1")
PROMPT = "A tabby cat that nobody else may read of"
AIGC = [sys.executable, "-c", "from worker.cli import main; main()"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def here(stage: Stage) -> Iterator[None]:
    """`tasks` of this process, set to the stage's Redis."""
    tasks.configure(redis_url=stage.server.url)
    yield
    tasks.configure()


def started(stage: Stage, environ: dict[str, str], *arguments: str, **changes: Any) -> Worker:
    worker = Worker(stage.env(**changes) | environ, *arguments)
    stage.workers.append(worker)
    return worker


def traced(stage: Stage, collector: Collector, *arguments: str, **changes: Any) -> Worker:
    """A worker that exports to the collector."""
    return started(stage, collector.environment, *arguments, **changes)


def once(collector: Collector, count: int, name: str) -> list[GivenSpan]:
    """The spans whose name begins so, once there are as many."""
    until(lambda: len(collector.spans(name)) >= count, f"{count} spans of {name}")
    return collector.spans(name)


def ids_of(traceparent: str) -> tuple[str, str]:
    """Of trace and span; the flags may say more than that it is sampled."""
    _, trace_id, span_id, _ = traceparent.split("-")
    return trace_id, span_id


def test_one_trace_from_the_caller_to_the_vendor(stage: Stage, collector: Collector) -> None:
    """The delivery is below the caller's span, the attempt below that, with the conventions' attributes."""
    traced(stage, collector)
    job = stage.enqueue(text(PROMPT), trace=CALLER)
    result = stage.result(job)
    (process,) = once(collector, 1, "process")
    (attempt,) = once(collector, 1, "POST")

    assert (process.name, process.kind, process.service) == ("process aigc", CONSUMER, "aigc-worker")
    assert (process.trace_id, process.parent, process.links) == (TRACE, SPAN, [(TRACE, SPAN)])
    assert process.attributes.items() >= {
        "messaging.system": "celery", "messaging.destination.name": "aigc",
        "messaging.operation.type": "process", "messaging.operation.name": "process",
        "messaging.message.id": job, "aigc.disposition": "settled",
    }.items()  # fmt: skip
    assert process.events == [
        ("job ended", {"aigc.job.id": job, "aigc.job.status": "submitted", "aigc.attempts": 1})
    ]
    assert (attempt.kind, attempt.trace_id, attempt.parent) == (CLIENT, TRACE, process.span_id)
    assert attempt.state == process.state == CALLER.tracestate
    host, port = stage.vendor.url.removeprefix("http://").split(":")
    assert attempt.attributes.items() >= {
        "http.request.method": "POST", "server.address": host, "server.port": int(port),
        "http.response.status_code": 200, "aigc.job.id": job, "aigc.attempt": 1, "aigc.outcome": "accepted",
        "aigc.request.id": result["requestId"], "aigc.task.id": result["taskId"],
    }.items()  # fmt: skip
    assert attempt.attributes["url.full"].startswith(f"{stage.vendor.url}/")
    assert (attempt.is_error, process.is_error) == (False, False)
    assert "http.request.resend_count" not in attempt.attributes
    assert (result["traceparent"], result["tracestate"]) == (PARENT, CALLER.tracestate)


def test_each_attempt_is_a_span_with_its_number_and_none_shows_a_job(
    stage: Stage, collector: Collector
) -> None:
    """Retries are of one trace; what went wrong is an error; neither prompt nor key leaves the worker."""
    worker = traced(stage, collector, MAX_ATTEMPTS=3)
    job = stage.enqueue(text(f"{PROMPT} [[sys_error]]"), trace=CALLER)
    refused = stage.enqueue({"workflow": PROMPT, "version": "1.0.0", "algoInput": {}}, trace=CALLER)
    assert (stage.result(job)["status"], stage.result(refused)["status"]) == ("exhausted", "rejected")
    assert worker.terminate() == 0

    attempts = collector.spans("POST")
    assert [span.attributes["aigc.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1, 2]
    assert {(span.trace_id, span.is_error) for span in attempts} == {(TRACE, True)}
    assert {span.attributes["error.type"] for span in attempts} == {"INTCNN_COMMON_SYS_ERROR"}
    processed = collector.spans("process")
    assert {span.parent for span in processed} == {SPAN}
    errors = {span.attributes["messaging.message.id"]: span.is_error for span in processed}
    assert errors == {job: True, refused: True}
    told = [event for span in processed for event, _ in span.events]
    assert sorted(told) == ["job ended"] * 2 + ["job waits"] * 2
    everything = b"".join(collector.bodies).decode("latin-1")
    assert [each for each in (PROMPT, KEYS.access_key, KEYS.secret_key) if each in everything] == []


@pytest.mark.usefixtures("here")
def test_many_jobs_of_a_message_share_its_span(stage: Stage, collector: Collector) -> None:
    """One delivery with their number, and an attempt of each below it."""
    with trace_context(PARENT, CALLER.tracestate):
        ids = list(tasks.submit_many([faulty() for _ in range(20)]))
    traced(stage, collector)
    attempts = once(collector, 20, "POST")
    (process,) = once(collector, 1, "process")

    assert process.attributes["messaging.batch.message_count"] == 20
    assert "messaging.message.id" not in process.attributes
    assert (process.trace_id, process.parent, process.links) == (TRACE, SPAN, [(TRACE, SPAN)])
    assert {span.attributes["aigc.job.id"] for span in attempts} == {*ids}
    assert {(span.trace_id, span.parent) for span in attempts} == {(TRACE, process.span_id)}


def test_a_job_without_a_trace_begins_one(stage: Stage, collector: Collector) -> None:
    """Its delivery is the first span, and what is published of it is of that trace."""
    traced(stage, collector)
    job = stage.enqueue(faulty())
    result = stage.result(job)
    (process,) = once(collector, 1, "process")
    (attempt,) = once(collector, 1, "POST")
    assert (process.parent, process.links) == ("", [])
    assert (attempt.trace_id, attempt.parent) == ids_of(result["traceparent"])
    assert ids_of(result["traceparent"]) == (process.trace_id, process.span_id)


def test_after_a_kill_another_process_goes_on_below_the_same_parent(
    stage: Stage, collector: Collector
) -> None:
    """What the dead one had begun is lost with it; the trace goes on."""
    dying = traced(stage, collector, READ_TIMEOUT_S=60)
    job = stage.enqueue(faulty("hang*1"), trace=CALLER)
    until(lambda: stage.vendor.posts == 1, "the first attempt")
    dying.kill()
    other = traced(stage, collector, ON_UNKNOWN="resubmit", READ_TIMEOUT_S=60)
    assert stage.result(job)["traceparent"] == PARENT
    assert other.terminate() == 0
    spans = collector.spans()
    assert {span.trace_id for span in spans} == {TRACE}
    assert {span.parent for span in spans if span.kind == CONSUMER} == {SPAN}
    assert [span.attributes["aigc.outcome"] for span in spans if span.kind == CLIENT] == ["accepted"]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_sigterm_exports_what_is_in_flight_too(stage: Stage, collector: Collector, pool: str) -> None:
    """Nothing waits for the exporter's next turn; a pool's processes have an exporter of their own."""
    # A turn of ten minutes: what comes, comes because the process ends.
    environ = collector.environment | {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
    worker = started(stage, environ, "--pool", pool, CONCURRENCY=2)
    for job in [stage.enqueue(faulty(), trace=CALLER) for _ in range(4)]:
        stage.result(job)
    stage.vendor.set("latency", latency_ms=500)
    late = stage.enqueue(faulty(), trace=CALLER)
    until(lambda: stage.vendor.posts == 5, "the attempt that is in flight")
    assert worker.terminate() == 0
    stage.result(late)
    for name in ("POST", "process"):
        assert len(collector.spans(name)) == 5, worker.output()
    assert {span.trace_id for span in collector.spans()} == {TRACE}
    assert len({span.span_id for span in collector.spans()}) == 10


def test_a_collector_that_is_away_holds_up_nothing(stage: Stage) -> None:
    """Jobs are done, and the worker ends well, though nobody takes its spans."""
    worker = started(stage, {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"})
    jobs = [stage.enqueue(faulty(), trace=CALLER) for _ in range(3)]
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    assert worker.terminate() == 0


def test_without_traces_the_callers_context_is_carried_all_the_same(stage: Stage) -> None:
    """A worker without a tracer hands it on, through a retry, to result and output; no SDK is loaded."""
    worker = stage.worker(**FOLLOWING)
    job = stage.enqueue(text(f"[[sys_error*1]] {living()} {uuid.uuid4()}"), trace=CALLER)
    plain = stage.enqueue(text(f"{living()} {uuid.uuid4()}"))
    result = stage.result(job)
    assert (result["traceparent"], result["tracestate"]) == (PARENT, CALLER.tracestate)
    assert not {"traceparent", "tracestate"} & stage.result(plain).keys()
    until(lambda: len(outputs(stage)) == 2, "the outputs")
    found = {each["jobId"]: each for each in outputs(stage)}
    assert (found[job]["traceparent"], found[job]["tracestate"]) == (PARENT, CALLER.tracestate)
    assert "traceparent" not in found[plain]
    maps = Path(f"/proc/{worker.process.pid}/maps").read_text()
    assert "google/_upb" not in maps  # protobuf, which the exporter brings


def test_a_context_that_is_none_harms_no_job(stage: Stage, collector: Collector) -> None:
    """Anybody may write to the queue: such a job is done, in a trace of its own."""
    traced(stage, collector)
    wrong: list[Any] = ["00-0-0-01", f"00-{'0' * 32}-{SPAN}-01", 7, {}, "x" * 100_000, f"{PARENT}-more"]
    body = json.dumps([[text(PROMPT)], {}, {}])
    jobs = [stage.put_body(body, headers={"traceparent": each, "tracestate": each}) for each in wrong]
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    assert TRACE not in {span.trace_id for span in once(collector, len(wrong), "process")}


def enqueue_linked(stage: Stage) -> str:
    """A job with a callback, in the caller's trace, from a program that has Celery and nothing of ours."""
    with Celery("shop", broker=stage.server.url, set_as_current=False) as shop:
        callback = shop.signature("shop.done", queue="shop")
        options = {"queue": DEFAULT_QUEUE, "headers": {"traceparent": PARENT}, "link": callback}
        return str(shop.send_task(TASK_NAME, args=[faulty()], **options).id)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_callback_goes_on_with_the_trace(stage: Stage, collector: Collector, pool: str) -> None:
    """What hangs on a job is told its trace, as the job was told it; by way of Celery's task as well."""
    traced(stage, collector, "--pool", pool, CONCURRENCY=1)
    job = enqueue_linked(stage)
    until(lambda: stage.redis.llen("shop"), "the callback")
    message = json.loads(stage.redis.lindex("shop", 0))
    assert message["headers"]["traceparent"] == stage.result(job)["traceparent"] == PARENT
    (process,) = once(collector, 1, "process")
    assert (process.trace_id, process.parent) == (TRACE, SPAN)


def test_sentry_goes_on_beside_traces(stage: Stage, collector: Collector) -> None:
    """With both on, Sentry gets its events, each with its own trace, and the collector its spans."""
    with collecting() as sentry:
        dsn = f"{sentry.url.replace('http://', 'http://public@')}/1"
        worker = started(stage, collector.environment | {"SENTRY_DSN": dsn})
        job = stage.enqueue(faulty("param_error"), trace=CALLER)
        linked = enqueue_linked(stage)
        assert stage.result(job)["status"] == "rejected"
        assert stage.result(linked)["status"] == "submitted"
        until(lambda: stage.redis.llen("shop"), "the callback")
        assert worker.terminate() == 0
        (envelope,) = sentry.others
    assert len(collector.spans("process")) == len(collector.spans("POST")) == 2
    assert {span.trace_id for span in collector.spans()} == {TRACE}
    event = json.loads(envelope.splitlines()[2])
    assert (event["tags"]["job"], event["tags"]["outcome"]) == (job, "rejected")
    # Sentry's own trace: neither takes the other's.
    assert event["contexts"]["trace"]["trace_id"] not in (TRACE, "")


def test_a_program_that_sets_up_opentelemetry_itself_is_obeyed(stage: Stage, collector: Collector) -> None:
    """`opentelemetry-instrument aigc worker`: the spans go where that says, and are not exported twice."""
    program = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    environ = collector.environment | {
        "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "pictures",
    }  # fmt: skip
    command = ["env", *(f"{name}={value}" for name, value in environ.items()), program, *AIGC, "worker"]
    worker = CommandWorker(stage, command)
    stage.result(stage.enqueue(faulty(), trace=CALLER))
    assert worker.terminate() == 0, worker.output()
    spans = collector.spans()
    assert [span.kind for span in spans] == [CLIENT, CONSUMER]
    assert {(span.service, span.trace_id) for span in spans} == {("pictures", TRACE)}


def test_the_webhook_goes_on_with_the_trace(stage: Stage, collector: Collector) -> None:
    """Its request has the job's context; with traces, that of its own span, which is below the job's."""
    stage.worker()
    stage.result(stage.enqueue(faulty(), trace=CALLER))
    stage.result(stage.enqueue(faulty()))

    def headers(**environ: str) -> dict[str, dict[str, str]]:
        with listening() as endpoint:
            own = {"AIGC_REDIS_URL": stage.server.url, "AIGC_FORWARD_SECRET": SECRET}
            command = [quick_aigc(), "forward", "--to", endpoint.url, "--once", "--name", f"n{len(environ)}"]
            subprocess.run(command, env=foreign_environ() | own | environ, check=True, timeout=60)
            return {hook.headers.get("traceparent", ""): hook.headers for hook in endpoint.taken}

    plain = headers()
    assert plain.keys() == {PARENT, ""}
    assert plain[PARENT]["tracestate"] == CALLER.tracestate
    sent = headers(**collector.environment)
    spans = collector.spans("POST")
    assert {ids_of(each) for each in sent} == {(span.trace_id, span.span_id) for span in spans}
    assert len(sent) == len(spans) == 2
    (ours,) = [span for span in spans if span.trace_id == TRACE]
    assert (ours.parent, ours.kind, ours.is_error) == (SPAN, CLIENT, False)
    assert ours.attributes["http.response.status_code"] == 204


@pytest.mark.usefixtures("here")
def test_producers_hand_on_what_they_are_given(stage: Stage) -> None:
    """One by one, by Celery's options, as a signature, from the command line: the message says it."""
    with trace_context(PARENT, CALLER.tracestate):
        tasks.submit(faulty())
        tasks.submit(faulty(), dedupe_key=str(uuid.uuid4()))
        tasks.submit(faulty(), countdown=0)
        tasks.signature(faulty()).apply_async()
        list(tasks.submit_many([faulty()], batch="nightly"))
    environ = {"AIGC_REDIS_URL": stage.server.url, "TRACEPARENT": PARENT, "TRACESTATE": CALLER.tracestate}
    subprocess.run(
        [quick_aigc(), "submit", "-"], input=json.dumps(faulty()).encode(), env=foreign_environ() | environ,
        check=True, timeout=60,
    )  # fmt: skip
    found = [json.loads(raw)["headers"] for raw in stage.redis.lrange(DEFAULT_QUEUE, 0, -1)]
    assert [(each["traceparent"], each["tracestate"]) for each in found] == [(PARENT, CALLER.tracestate)] * 6


def test_what_cannot_be_exported_is_said_and_the_worker_works(stage: Stage) -> None:
    """Once, in words, and no job waits for it."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    worker = started(stage, environ)
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    assert "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf" in logged(worker, "no traces")
