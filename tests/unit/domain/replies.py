"""Answers of the vendor, and what is made of them."""

from __future__ import annotations

import json
from typing import Any

from worker.domain.outcome import Outcome, Reply, classify

SYS = "INTCNN_COMMON_SYS_ERROR"
PARAM = "INTCNN_COMMON_PARAM_VALID_ERROR"
AUTH = "INTCNN_COMMON_AUTH_CHECK_ERROR"
NOT_FOUND = "INTCNN_COMMON_NOT_FOUND"
NOW = 1_800_000_000.0
NOW_DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


def answer(success: Any, model: Any = None, code: Any = None, message: Any = None) -> bytes:
    fields = {"success": success, "model": model, "errorCode": code, "errorMsg": message}
    return json.dumps(fields).encode()


def of(status: int, body: bytes = b"", **headers: Any) -> Outcome:
    return classify(Reply(status, body, **headers), now=NOW)
