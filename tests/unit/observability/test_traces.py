"""Whether a process makes traces: by its environment, and with nothing imported where it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
PROGRAM = """
import logging, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
for name in {without!r}: sys.modules[name] = None
from worker.observability import traces
traces.start({environ!r})
traces.flush()
print(traces.tracer() is not None, any(name.startswith("opentelemetry.") for name in sys.modules))
"""


def started(environ: dict[str, str], *without: str) -> list[str]:
    """What is logged where these modules are missing; then whether there is a tracer, and OpenTelemetry."""
    program = PROGRAM.format(environ=environ, without=without)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_imported_where_traces_are_off(environ: dict[str, str]) -> None:
    """Nor is anything said."""
    assert started(environ) == ["False False"]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_endpoint_turns_them_on(name: str) -> None:
    """The general one, or that of traces."""
    assert started({name: ENDPOINT["OTEL_EXPORTER_OTLP_ENDPOINT"]}) == ["True True"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER must be otlp or none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL must be http/protobuf",
        ),
    ],
)
def test_what_cannot_be_exported_so_is_named(environ: dict[str, str], words: str) -> None:
    """A line that names the variable, and no traces."""
    line, end = started(ENDPOINT | environ)
    assert words in line
    assert end == "False False"


def test_a_missing_extra_is_named() -> None:
    """A worker without it goes on without traces."""
    line, end = started(ENDPOINT, "opentelemetry")
    assert line.startswith("no traces, though OTEL_EXPORTER_OTLP_ENDPOINT is set: opentelemetry is missing")
    assert end == "False False"
