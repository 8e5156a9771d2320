"""A tracer of somebody else's that raises: a job is bought once, and settled, as it is without traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from celery import Celery, chain, group

from tasks.contract import DEFAULT_QUEUE, TASK_NAME
from tests.conditions import until
from tests.integration.stage import CommandWorker, Stage, faulty
from tests.quick_python import quick_aigc

PROGRAM = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

class Faulty(SpanProcessor):
    def on_start(self, span, parent_context=None):
        if {when!r} == f"start {{span.kind.name}}":
            raise RuntimeError("a processor's own fault")

    def on_end(self, span):
        if {when!r} == f"end {{span.kind.name}}":
            raise RuntimeError("a processor's own fault")

provider = TracerProvider()
provider.add_span_processor(Faulty())
trace.set_tracer_provider(provider)
from worker.cli import main
sys.argv = ["aigc", "worker"]
main()
"""


@pytest.mark.parametrize("when", ["start CONSUMER", "end CONSUMER", "start CLIENT", "end CLIENT"])
def test_a_tracer_that_raises_harms_no_job(stage: Stage, when: str, tmp_path: Path) -> None:
    """One attempt of each, its task id known, its message gone; also of one that the vendor refuses once."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(when=when))
    worker = CommandWorker(stage, [str(Path(quick_aigc()).with_name("python")), str(program)])
    jobs = [stage.enqueue(faulty()) for _ in range(2)] + [stage.enqueue(faulty("sys_error*1"))]
    found = [stage.result(job) for job in jobs]
    assert [(each["status"], each["attempts"]) for each in found] == [("submitted", 1)] * 2 + [
        ("submitted", 2)
    ]
    assert all(each["taskId"] for each in found)
    assert worker.terminate() == 0, worker.output()
    assert worker.output().count("a processor's own fault") <= 1
    assert stage.vendor.posts == 4
    assert stage.redis.hlen("aigc:unacked") == 0


@pytest.mark.parametrize("kind", ["task", "chain", "group"])
def test_a_callback_keeps_its_own_headers_beside_the_trace(stage: Stage, kind: str) -> None:
    """The job's trace goes with what the producer has set, and takes nothing from it."""
    stage.worker()
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    with Celery("shop", broker=stage.server.url, set_as_current=False) as shop:
        one, other = (
            shop.signature(f"shop.{name}", queue="shop", headers={"tenant": name})
            for name in ("one", "other")
        )
        chained, grouped = chain(one, other, app=shop), group([one, other], app=shop)
        callback = {"task": one, "chain": chained, "group": grouped}[kind]
        options = {"queue": DEFAULT_QUEUE, "headers": {"traceparent": trace}, "link": callback}
        shop.send_task(TASK_NAME, args=[faulty()], **options)
    count = 2 if kind == "group" else 1
    until(lambda: stage.redis.llen("shop") == count, f"the {kind}")
    headers = [json.loads(raw)["headers"] for raw in stage.redis.lrange("shop", 0, -1)]
    found = {each["task"]: (each.get("tenant"), each.get("traceparent")) for each in headers}
    assert found == {f"shop.{name}": (name, trace) for name in ("one", "other")[:count]}
