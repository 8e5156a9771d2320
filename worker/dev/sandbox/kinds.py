"""The kinds of the sandbox's rules: what they can do, to a submit, a query, a file or a task. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Target(StrEnum):
    """What a rule is for; the value stands before the kind in its text."""

    SUBMIT = ""
    QUERY = "query_"
    FILE = "file_"
    TASK = "task_"


class FaultKind(StrEnum):
    """What the sandbox can do to a post, a query or a file instead of answering it; how a task lives."""

    SYS_ERROR = "sys_error"
    SYS_ERROR_500 = "sys_error_500"
    PARAM_ERROR = "param_error"
    COLON = "colon"
    AUTH_ERROR = "auth_error"
    NOT_FOUND = "not_found"
    UNKNOWN_CODE = "unknown_code"
    LOWER_CASE = "lower_case"
    STATUS = "status"
    THROTTLE = "throttle"
    BUSY = "busy"
    HTML_502 = "html_502"
    HTML_504 = "html_504"
    REDIRECT = "redirect"
    HANG_BEFORE = "hang_before"
    RESET = "reset"
    HANG = "hang"
    RESET_AFTER_ACCEPT = "reset_after_accept"
    GARBAGE = "garbage"
    CUT = "cut"
    ACCEPTED_STATUS = "accepted_status"
    BOM = "bom"
    NO_TASK_ID = "no_task_id"
    NUMBER_TASK_ID = "number_task_id"
    NESTED_TASK_ID = "nested_task_id"
    LONG_TASK_ID = "long_task_id"
    TRAILING = "trailing"
    TEXT_SUCCESS = "text_success"
    CONTRADICTION = "contradiction"
    SYS_ERROR_WITH_TASK_ID = "sys_error_with_task_id"
    PARAM_ERROR_WITH_TASK_ID = "param_error_with_task_id"
    AUTH_ERROR_WITH_TASK_ID = "auth_error_with_task_id"
    HUGE = "huge"
    SLOW = "slow"
    DRIP = "drip"

    OTHER_TASK = "other_task"
    ODD_STATUS = "odd_status"
    NO_URL = "no_url"
    NO_MODEL = "no_model"
    WRONG_TYPES = "wrong_types"

    WAITING = "waiting"
    RUNNING = "running"
    LINK_LIFE = "link_life"
    AIGC_ERROR = "aigc_error"
    LW_REQUEST_ERROR = "lw_request_error"
    LW_RESULT_ERROR = "lw_result_error"
    TIMEOUT = "timeout"
    FC_ERROR = "fc_error"
    UNKNOWN_ERROR = "unknown_error"
    SUBMIT_ERROR = "submit_error"


ENDINGS: Final = frozenset(
    {
        FaultKind.AIGC_ERROR,
        FaultKind.LW_REQUEST_ERROR,
        FaultKind.LW_RESULT_ERROR,
        FaultKind.TIMEOUT,
        FaultKind.FC_ERROR,
        FaultKind.UNKNOWN_ERROR,
        FaultKind.SUBMIT_ERROR,
    }
)
"""Kinds that end a task without a picture; in upper case they are the vendor's status."""

_OF_TASKS: Final = ENDINGS | {FaultKind.WAITING, FaultKind.RUNNING, FaultKind.LINK_LIFE}

MISREPORTS: Final = frozenset(
    {FaultKind.OTHER_TASK, FaultKind.ODD_STATUS, FaultKind.NO_URL, FaultKind.NO_MODEL, FaultKind.WRONG_TYPES}
)
"""Kinds that answer a query with success, and with a model as it should not be."""

_TRANSPORT: Final = frozenset(
    {
        FaultKind.STATUS,
        FaultKind.THROTTLE,
        FaultKind.BUSY,
        FaultKind.HTML_502,
        FaultKind.HTML_504,
        FaultKind.REDIRECT,
        FaultKind.HANG,
        FaultKind.RESET,
        FaultKind.GARBAGE,
        FaultKind.CUT,
        FaultKind.HUGE,
        FaultKind.SLOW,
        FaultKind.DRIP,
    }
)
"""Kinds that any request can meet on its way."""

_VENDOR_SAYS: Final = frozenset(
    {
        FaultKind.SYS_ERROR,
        FaultKind.SYS_ERROR_500,
        FaultKind.PARAM_ERROR,
        FaultKind.COLON,
        FaultKind.AUTH_ERROR,
        FaultKind.NOT_FOUND,
        FaultKind.UNKNOWN_CODE,
        FaultKind.LOWER_CASE,
    }
)

KINDS_OF: Final[Mapping[Target, frozenset[FaultKind]]] = {
    Target.SUBMIT: frozenset(FaultKind) - _OF_TASKS - MISREPORTS,
    Target.QUERY: _VENDOR_SAYS | _TRANSPORT | MISREPORTS,
    Target.FILE: _TRANSPORT,
    Target.TASK: _OF_TASKS,
}
"""Which kinds may be had of each."""

SAID_ODDLY: Final = frozenset(
    {
        FaultKind.ACCEPTED_STATUS,
        FaultKind.BOM,
        FaultKind.NO_TASK_ID,
        FaultKind.NUMBER_TASK_ID,
        FaultKind.NESTED_TASK_ID,
        FaultKind.LONG_TASK_ID,
        FaultKind.TRAILING,
        FaultKind.TEXT_SUCCESS,
        FaultKind.CONTRADICTION,
        FaultKind.SYS_ERROR_WITH_TASK_ID,
        FaultKind.PARAM_ERROR_WITH_TASK_ID,
        FaultKind.AUTH_ERROR_WITH_TASK_ID,
    }
)
"""Kinds that accept the job and say so in a way of their own, with any HTTP status."""

BILLED: Final = SAID_ODDLY | frozenset(
    {
        FaultKind.HTML_504,
        FaultKind.HANG,
        FaultKind.RESET_AFTER_ACCEPT,
        FaultKind.GARBAGE,
        FaultKind.CUT,
        FaultKind.HUGE,
        FaultKind.SLOW,
        FaultKind.DRIP,
    }
)
"""Kinds that accept the job, so it costs money, and spoil only the answer."""

DEFAULT_ARGUMENTS: Final = {
    **dict.fromkeys(SAID_ODDLY, 200.0),
    FaultKind.ACCEPTED_STATUS: 500.0,
    FaultKind.CUT: 200.0,
    FaultKind.STATUS: 405.0,
    FaultKind.HANG: 600.0,
    FaultKind.HANG_BEFORE: 600.0,
    FaultKind.REDIRECT: 302.0,
    FaultKind.HUGE: 64.0,
    FaultKind.SLOW: 1000.0,
    FaultKind.DRIP: 1.0,
    FaultKind.WAITING: 0.0,
    FaultKind.RUNNING: 0.0,
    FaultKind.LINK_LIFE: 0.0,
}
"""Argument of a kind where the rule names none; see docs/sandbox.md for its unit."""

TAKES_ARGUMENT: Final = frozenset(DEFAULT_ARGUMENTS) | {
    FaultKind.THROTTLE,
    FaultKind.BUSY,
    FaultKind.UNKNOWN_CODE,
}
