"""Celery's settings for the worker, each with its reason. Loaded when Celery first needs them.

The queue is read through `worker.celery_adapter.transport`, so the traps of Celery's own Redis transport
(visibility timeout, restore on reconnect, pop before record) do not apply; docs/decisions/0006.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

from tasks.connection import kombu_transport
from tasks.contract import BATCH_TASK_NAME, TASK_NAME
from tasks.redis_url import sentinels_of, tls_options, without_options
from worker.bootstrap import settings_or_exit

_settings = settings_or_exit()

TRANSPORT_ALIASES["aigc"] = "worker.celery_adapter.transport:Transport"
broker_read_url = "aigc://"  # it brings its own connections
# What is linked to a job in a canvas is sent the ordinary way. kombu alone would trust any certificate, and
# connect to the first sentinel.
_place = without_options(_settings.redis_url)
if sentinels_of(_settings.redis_url):
    _aliases: dict[str, Any] = TRANSPORT_ALIASES  # kombu calls what is no string
    _aliases["aigc-sentinel"] = lambda: kombu_transport(_settings.redis_url)
    broker_write_url = f"aigc-sentinel://{_place.partition('://')[2]}"
else:
    broker_write_url = _place
broker_use_ssl = tls_options(_settings.redis_url)

task_default_queue = _settings.callback_queue  # for what is linked to a job without a queue of its own
task_queues = [Queue(_settings.queue)]
task_routes = {TASK_NAME: {"queue": _settings.queue}, BATCH_TASK_NAME: {"queue": _settings.queue}}

accept_content = ["json"]  # a pickle in the queue would run its author's code
task_serializer = "json"
result_backend = None
task_ignore_result = True  # results go to the stream, in the same step as the job's record

# An attempt waits for the network; 50 processes would need a gigabyte. Celery takes an explicit `-P prefork`
# for its default, which this setting would overrule.
worker_pool = "prefork" if re.search(r" (-P|--pool)[ =]?prefork\b", " ".join(sys.argv)) else "threads"
worker_concurrency = _settings.concurrency
worker_prefetch_multiplier = 2  # one job in work, one at hand; the rest stays for other workers
task_acks_late = True  # the message stays in Redis until its job has ended or waits elsewhere
task_reject_on_worker_lost = True  # a killed prefork child's message goes back at once
worker_cancel_long_running_tasks_on_connection_loss = False  # would kill POSTs in flight
worker_enable_remote_control = False  # needs fan-out; `aigc status` shows more
worker_send_task_events = False  # half of the throughput, for Flower only
worker_hijack_root_logger = False  # worker.observability owns the logs
worker_redirect_stdouts = False
worker_proc_alive_timeout = 30.0  # a prefork child on a busy machine

broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker does not exit because Redis is away
broker_channel_error_retry = True  # nor because Redis is read-only for a failover, or full
