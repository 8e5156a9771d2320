"""Running the service: what it is made of, and its graceful end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tasks.settings import BrokerSettings
from worker.observability import traces
from worker.services.forward.client import WebhookClient
from worker.services.forward.clock import Stop
from worker.services.forward.endpoint import Endpoint
from worker.services.forward.forwarder import EndReason, Forwarder, Wiring
from worker.store.forward_values import Stream
from worker.store.keys import KeyNames
from worker.store.scripts import connect

log = logging.getLogger(__name__)

_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be forwarded.

    Args:
        endpoint: to where.
        secrets: each makes a signature.
        outputs: outputs as well as results.
        concurrency: attempts in flight.
        from_start: a new endpoint gets what the streams hold already.
        again: an endpoint that wanted no more webhooks gets them again.
        once: end when all has been sent, but for what the endpoint does not take now.
    """

    endpoint: Endpoint
    secrets: Sequence[str] = field(repr=False)
    outputs: bool
    concurrency: int
    from_start: bool
    again: bool
    once: bool = False


def streams_of(broker: BrokerSettings) -> dict[Stream, str]:
    """The streams' names in Redis."""
    return {"results": broker.results, "outputs": broker.outputs}


def forward(order: Order, broker: BrokerSettings, on_ready: Callable[[], object]) -> tuple[EndReason, int]:
    """Forward until SIGTERM or SIGINT, or until the endpoint answers 410; why, and what is to be sent again.

    Args:
        on_ready: called once what is published from now on is sure to be sent.

    Raises:
        ValueError: the environment's proxy or CA bundle cannot be used.
    """
    client = WebhookClient(order.endpoint, order.secrets, traces.tracer())
    redis_client = connect(broker.redis_url, _CONNECTIONS)
    stop = Stop()
    wiring = Wiring(
        client=redis_client,
        keys=KeyNames(broker.queue, broker.results),
        names=streams_of(broker),
        read=("results", "outputs") if order.outputs else ("results",),
        endpoint=order.endpoint,
        post=client.post,
        concurrency=order.concurrency,
        start="0" if order.from_start else "$",
        once=order.once,
    )
    forwarder = Forwarder(wiring, stop)
    try:
        with _stopped_by_signals(stop):
            if not forwarder.prepare(again=order.again):
                return EndReason.GONE, 0
            if not stop.is_asked:
                on_ready()
            return forwarder.run(), forwarder.left
    finally:
        client.close()
        redis_client.close()
        traces.flush()


@contextmanager
def _stopped_by_signals(stop: Stop) -> Iterator[None]:
    def ask(number: int, _frame: object) -> None:
        stop.ask()
        signal.signal(number, signal.SIG_DFL)  # the next one ends it at once: what is in flight is sent again

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
