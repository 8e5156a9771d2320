"""A collector of OpenTelemetry's on loopback: takes spans by OTLP over HTTP, and keeps them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CONSUMER: Final = 5
CLIENT: Final = 3
"""OTLP's numbers for the kinds of spans."""

_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class GivenSpan:
    """One span, as it was exported; ids in hex, `parent` is "" for the first one of a trace."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    events: list[tuple[str, dict[str, Any]]]
    is_error: bool
    state: str
    service: str


@dataclass(slots=True)
class Collector:
    """What came so far; `others`: to other paths than that of spans."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What has a worker export to it, and soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def spans(self, name: str = "") -> list[GivenSpan]:
        """Those whose name begins so, in the order in which they ended."""
        found = [span for body in list(self.bodies) for span in _spans(body)]
        return [span for span in found if span.name.startswith(name)]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector for as long as the block runs."""
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            (made.bodies if self.path == "/v1/traces" else made.others).append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _spans(body: bytes) -> Iterator[GivenSpan]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _values(of_resource.resource.attributes).get("service.name", "")
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield GivenSpan(
                    name=span.name,
                    kind=int(span.kind),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    attributes=_values(span.attributes),
                    links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    events=[(event.name, _values(event.attributes)) for event in span.events],
                    is_error=span.status.code == _ERROR,
                    state=span.trace_state,
                    service=service,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
