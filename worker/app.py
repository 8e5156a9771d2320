"""The Celery app of the worker: ``celery -A worker.app worker``."""

from __future__ import annotations

from celery import Celery

from tasks.eager import OWN_APP
from worker.celery_adapter import lifecycle, tasks

app = Celery(OWN_APP)
app.config_from_object("worker.celery_adapter.config")
tasks.register(app)
lifecycle.connect()
