"""A tracer of somebody else's that raises: a job is bought once, and settled, as it is without traces."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.integration.stage import CommandWorker, Stage, faulty, staged
from tests.redis_server import RedisServer

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


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    with staged(redis_server) as made:
        yield made


@pytest.mark.parametrize("when", ["start CONSUMER", "end CONSUMER", "start CLIENT", "end CLIENT"])
def test_a_tracer_that_raises_harms_no_job(stage: Stage, when: str) -> None:
    """One attempt of each, its task id known, and the message gone; also of a job that the vendor refuses once."""
    worker = CommandWorker(stage, [sys.executable, "-c", PROGRAM.format(when=when)])
    jobs = [stage.enqueue(faulty()) for _ in range(2)] + [stage.enqueue(faulty("sys_error*1"))]
    found = [stage.result(job) for job in jobs]
    assert [(each["status"], each["attempts"]) for each in found] == [("submitted", 1)] * 2 + [("submitted", 2)]
    assert all(each["taskId"] for each in found)
    assert worker.terminate() == 0, worker.output()
    assert worker.output().count("a processor's own fault") <= 1
    assert stage.vendor.posts == 4
    assert stage.redis.hlen("aigc:unacked") == 0
