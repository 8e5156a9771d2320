"""Whether this process makes OpenTelemetry traces: known once it has started, and nothing is imported before.

It does where its program has set a tracer provider, as `opentelemetry-instrument` does; or where
OTEL_EXPORTER_OTLP_ENDPOINT says whereto, and the extra `otel` is installed.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from worker.observability.tracer import Tracer

log = logging.getLogger(__name__)

FLUSH_S: Final = 3.0
"""How long a stopping process waits for its last spans to leave."""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP: Final = "http/protobuf"
_OTHERWISE: Final = "or use opentelemetry-instrument"


def start(environ: Mapping[str, str]) -> None:
    """Begin to export spans where the environment asks for it; what is wrong is logged, and traces stay off.

    Once, and before threads start. The SDK's own variables (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER …) hold.
    """
    named = _first(environ, _ENDPOINTS)
    if not named or _is_set() or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return
    if (exporter := environ.get("OTEL_TRACES_EXPORTER", "").strip()) not in ("", "otlp"):
        if exporter != "none":
            log.warning("no traces: OTEL_TRACES_EXPORTER must be otlp or none, %s", _OTHERWISE)
        return
    if (protocol := _first(environ, _PROTOCOLS)) and environ[protocol].strip() != _HTTP:
        log.warning("no traces: %s must be %s, %s", protocol, _HTTP, _OTHERWISE)
        return
    try:
        from worker.observability.exporting import export

        export(environ)
    except ImportError as error:
        log.warning("no traces, though %s is set: %s is missing: the extra otel brings it", named, error.name)
    except Exception as error:  # a trace that is missing costs nothing, a worker that is missing does
        log.error("no traces: %s: %s", type(error).__name__, error)


def tracer() -> Tracer | None:
    """What makes spans; None where traces are off. To be asked once for each part that makes some."""
    if not _is_set():
        return None
    from worker.observability.tracer import of_provider

    return of_provider()


def flush() -> None:
    """Wait for a while until the spans that have ended have left; nothing where traces are off."""
    force_flush: Any = getattr(_provider(), "force_flush", None)
    if force_flush is None or not _is_set():
        return
    # In a thread, for the SDK passes over the time that it is given: a collector that is away would hold up
    # the end of a worker for as long as it is tried.
    thread = threading.Thread(target=force_flush, name="flush-traces", daemon=True)
    thread.start()
    thread.join(FLUSH_S)


def _provider() -> Any:
    """The process's tracer provider; None where OpenTelemetry is not imported: then nobody has set one."""
    find = getattr(sys.modules.get("opentelemetry.trace"), "get_tracer_provider", None)
    return find and find()


def _is_set() -> bool:
    """Whether there is a provider that makes spans."""
    provider = _provider()
    # The API's own two, which make none. By name: they are not imported where they are not needed.
    return provider is not None and type(provider).__name__ not in (
        "ProxyTracerProvider",
        "NoOpTracerProvider",
    )


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if environ.get(name, "").strip()), None)
