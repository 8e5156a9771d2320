"""Finished pictures and clips: fetched from the vendor's link, and kept in a store of the shop's.

The store is what `AIGC_STORE_URL` names: a folder, or a bucket by way of fsspec. A file is in it whole or not
at all, under a name that `AIGC_STORE_NAME` gives.
"""

from __future__ import annotations

from worker.keeping.keeper import Keeper
from worker.keeping.values import Finished, Kept, NotKept

__all__ = ["Finished", "Keeper", "Kept", "NotKept"]
