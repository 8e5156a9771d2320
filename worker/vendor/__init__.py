"""The vendor client, for one event loop: signed POSTs out, a Reply or a Failure for each. One for queries.

Nothing here sends anything twice: no retries, no redirects, and a kept connection that may have gone stale is
dropped before it is used.
"""

from worker.vendor.client import Client
from worker.vendor.connection import Connection
from worker.vendor.exchange import Exchange
from worker.vendor.message import ANSWER_MAX_BYTES
from worker.vendor.query import QueryClient

__all__ = ["ANSWER_MAX_BYTES", "Client", "Connection", "Exchange", "QueryClient"]
