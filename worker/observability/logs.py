"""Logging of the whole process: one handler, one line a record, secrets redacted at every level.

The thread that logs makes the line, for only it knows the job in hand; line_writer.py writes it.

A record of ours carries its ids as ``extra={"fields": {…}}``; other libraries' extras are not shown,
since Celery puts a message's arguments there.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Literal, TextIO

from tasks.json_text import dumps
from worker.observability.line_writer import LineWriter
from worker.observability.redact import Redactor

FREE_TEXT: Final = "error"
"""The one field that may quote a job."""

DROPPED: Final = "%d log lines before this one are lost: whoever reads them was too slow, or had stopped"

_CELERY_CHATTER: Final = (
    "celery.worker.strategy",
    "celery.app.trace",
    "kombu.connection",
    "celery.worker.consumer.connection",
)
"""The first two log each message as received and succeeded: two lines a job beside our one. The others speak
of a connection that our transport only seems to have."""

log = logging.getLogger(__name__)


def setup_logging(
    level: str, style: Literal["auto", "human", "json"], redactor: Redactor, stream: TextIO | None = None
) -> LineWriter | None:
    """Send all logging of the process to one stream; may be called again.

    Returns what writes it, or None for a stream that is no file: that blocks nobody.

    Args:
        level: name of the least level that is shown.
        style: ``auto`` is human on a terminal and JSON elsewhere.
        redactor: what takes the secrets out.
        stream: where to write, standard error where None.
    """
    stream = stream or sys.stderr
    human = style == "human" or (style == "auto" and stream.isatty())
    formatter = HumanFormatter(redactor) if human else JsonFormatter(redactor)
    handler = _handler(stream, formatter)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CELERY_CHATTER:
        logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" else "ERROR")
    logging.captureWarnings(True)
    # Its complaint about a record that cannot be written would show the record's arguments.
    logging.raiseExceptions = False
    # No line shows these, nor where it was logged; to find them out takes 2 µs a record.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    return handler.writer if isinstance(handler, LineHandler) else None


class LineHandler(logging.Handler):
    """Gives each record's line to a writer."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
        else:
            self.writer.put(line, weighs=record.levelno >= logging.ERROR)

    def flush(self) -> None:
        """Wait for a while until all lines are written; `logging` calls it when the process ends."""
        self.writer.flush()


def _handler(stream: TextIO, formatter: logging.Formatter) -> logging.Handler:
    try:
        stream.flush()
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return logging.StreamHandler(stream)

    def line_about(dropped: int) -> str:
        args = (dropped,)
        return formatter.format(log.makeRecord(log.name, logging.WARNING, "", 0, DROPPED, args, None))

    return LineHandler(LineWriter(descriptor, line_about))


class _Formatter(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def _message(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        try:
            message = record.getMessage()
        except Exception:
            message = f"{record.msg} (its arguments do not fit)"
        return self._redactor.text(message) if fields is None else self._redactor.shown(message)

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = _given(getattr(record, "fields", None) or {})
        redact = self._redactor
        return {
            name: redact.text(str(value)) if name == FREE_TEXT else redact.value(value)
            for name, value in fields.items()
        }

    def _traceback(self, record: logging.LogRecord) -> str:
        parts = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            parts.append(record.stack_info)
        return self._redactor.text("\n".join(parts)) if parts else ""


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, logger, message, our fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        shown = self._as_it_is(record) or self._redacted(record)
        return f'{{"time":"{_second(int(record.created))}.{int(record.msecs):03}Z",{shown[1:]}'

    def _as_it_is(self, record: logging.LogRecord) -> str | None:
        """The short way for the line of ids that most records are, if there is nothing to take out of it."""
        fields = getattr(record, "fields", None)
        if fields is None or fields.get(FREE_TEXT) is not None or record.exc_info or record.stack_info:
            return None
        try:
            shown = dumps(_entry(record, record.getMessage(), _given(fields))).decode("ascii")
        except Exception:
            return None
        return shown if self._redactor.leaves(shown) else None

    def _redacted(self, record: logging.LogRecord) -> str:
        entry = _entry(record, self._message(record), self._fields(record))
        traceback = self._traceback(record)
        if traceback:
            entry["traceback"] = traceback
        return _encode(entry)


class HumanFormatter(_Formatter):
    """Time, level, message, then our fields as ``name=value``; a traceback on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        words = [time, f"{record.levelname:<8}", _one_line(self._message(record))]
        words += [f"{name}={_quoted(str(value))}" for name, value in self._fields(record).items()]
        return "\n".join(filter(None, (" ".join(words), self._traceback(record))))


_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def _entry(record: logging.LogRecord, message: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"level": record.levelname, "logger": record.name, "message": message, **fields}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


@lru_cache(maxsize=2)
def _second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _quoted(text: str) -> str:
    plain = text.isprintable() and not set(text) & set(" \"'=")
    return text if plain else json.dumps(text)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else "?"
        log.critical(
            "uncaught exception in thread %s",
            name,
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
