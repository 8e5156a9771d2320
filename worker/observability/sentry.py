"""Reports to Sentry: one event for each job that did not end well, and none that shows a secret.

The only importer of sentry_sdk.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.redis import RedisIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration

from worker.observability.redact import Redactor

FLUSH_S: Final = 2.0
"""How long a stopping process waits for its last reports to leave."""


def start(dsn: str, redactor: Redactor) -> None:
    """Begin to report to ``dsn``; Sentry's own variables (``SENTRY_ENVIRONMENT`` …) hold."""

    def scrub(event: Any, _hint: Any) -> Any:
        return scrubbed(event, redactor)

    def scrub_breadcrumb(crumb: Any, _hint: Any) -> Any:
        crumb.pop("data", None)
        crumb["message"] = redactor.text(str(crumb.get("message") or ""))
        return crumb

    sentry_sdk.init(
        dsn=dsn,
        # Only what is listed: the defaults would patch http.client and read sys.argv.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            CeleryIntegration(propagate_traces=False),
            RedisIntegration(),
            # A logged error is the trail to an event, not one more event.
            LoggingIntegration(level=logging.INFO, event_level=None),
            ThreadingIntegration(),
            ExcepthookIntegration(),
            DedupeIntegration(),
            AtexitIntegration(callback=lambda _pending, _timeout: None),
        ],
        before_send=scrub,
        before_breadcrumb=scrub_breadcrumb,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        auto_session_tracking=False,
        send_client_reports=False,
        in_app_include=["tasks", "worker"],
        shutdown_timeout=FLUSH_S,
    )


def report(
    title: str, *, level: str, fingerprint: list[str], tags: dict[str, str], extra: dict[str, Any]
) -> None:
    """Send one event; nothing where reporting is off. Never raises, never waits."""
    if sentry_sdk.get_client().is_active():
        event: Any = {
            "level": level,
            "logentry": {"message": title},
            "fingerprint": fingerprint,
            "tags": tags,
            "extra": extra,
        }
        sentry_sdk.capture_event(event)


def report_exception(tags: dict[str, str]) -> None:
    """Make one event of the exception being handled; nothing where reporting is off."""
    with sentry_sdk.new_scope() as scope:
        for name, value in tags.items():
            scope.set_tag(name, value)
        sentry_sdk.capture_exception()


def scrubbed(event: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The event without secrets, without the message's arguments, and without the job's texts."""
    event = dict(event)
    event.pop("request", None)
    event["extra"] = {name: item for name, item in event.get("extra", {}).items() if name != "celery-job"}
    event = redactor.value(event)
    # Only here can a job's own text stand; elsewhere its words would be masked by coincidence.
    event["extra"] = {
        name: redactor.text(item) if isinstance(item, str) else item for name, item in event["extra"].items()
    }
    for error in (event.get("exception") or {}).get("values", []):
        error["value"] = redactor.text(str(error.get("value") or ""))
    return event
