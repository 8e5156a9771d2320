"""Spans on their way to a collector, by OpenTelemetry's SDK: the only module that imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SERVICE_NAME: Final = "aigc-worker"


def export(environ: Mapping[str, str]) -> None:
    """Have spans exported to where OTEL_EXPORTER_OTLP_ENDPOINT says, in batches, by a thread.

    In the processes of a prefork pool the SDK starts that thread anew. At the end of a process `traces.flush`
    is to be called: the SDK's own hook waits for half a minute where the collector is away, and does not run
    in a process of a pool.
    """
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    is_named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in attributes
    resource = Resource.create({} if is_named else {"service.name": SERVICE_NAME})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
