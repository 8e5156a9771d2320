"""What a refusal of Redis's means: for what only somebody can mend there is a remedy, for the rest none."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError

from tasks.redis_errors import refusal

LASTING = {
    "NOAUTH Authentication required.": "wants a password",
    "NOAUTH HELLO must be called with the client already authenticated, otherwise": "wants a password",
    "WRONGPASS invalid username-password pair or user is disabled.": "does not take the user or the password",
    "ERR invalid password": "does not take the user or the password",
    "ERR AUTH <password> called without any password configured for the default user.": "leave it out there",
    "ERR DB index is out of range": "/0 is always there",
    "ERR invalid DB index": "/0 is always there",
    "NOPERM User shop has no permissions to run the 'lpush' command": "the 'lpush' command",
    "The user executing the script can't run this command or subcommand script: 48d0": "lacks a right",
    "The user executing the script can't access at least one of the keys mentioned": "lacks a right",
    "DENIED Redis is running in protected mode because protected mode is enabled": "its own machine only",
    "MOVED 866 127.0.0.1:7001": "a Redis Cluster",
    "ERR SELECT is not allowed in cluster mode": "a Redis Cluster",
}
PASSING = [
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "NOREPLICAS Not enough good replicas to write.",
    "BUSY Redis is busy running a script.",
    "ERR max number of clients reached",
    "ERR something nobody has heard of",
]


def _as_redis_py_has_it(text: str) -> Exception:
    parse_error: Any = redis._parsers.BaseParser.parse_error
    error: Exception = parse_error(text)
    return error


def _as_kombu_raises_it(error: Exception) -> Exception:
    raised = OperationalError(str(error))
    raised.__cause__ = error
    return raised


@pytest.mark.parametrize(("text", "words"), LASTING.items())
def test_what_only_somebody_can_mend_is_told_with_the_remedy(text: str, words: str) -> None:
    """By whichever library it is raised, and though redis-py takes the first word off."""
    error = _as_redis_py_has_it(text)
    assert words in refusal(error)
    assert words in refusal(_as_kombu_raises_it(error))
    assert "HELLO" not in refusal(error)


@pytest.mark.parametrize("text", PASSING)
def test_what_may_pass_is_none(text: str) -> None:
    """Whoever gets it waits, or says what Redis said."""
    assert refusal(_as_redis_py_has_it(text)) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: expired", "expired"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "does not speak TLS"),
        ("Connection refused.", ""),
        ("Timeout connecting to server", ""),
    ],
)
def test_a_connection_that_cannot_be_made(text: str, words: str) -> None:
    """What the other side is, and not that it is away, is a matter for somebody."""
    found = refusal(redis.ConnectionError(f"Error 1 connecting to h:6379. {text}"))
    assert (words in found) if words else found == ""


def test_an_error_that_was_raised_from_itself_has_an_end() -> None:
    """As the store raises again what it has caught."""
    error = redis.ConnectionError("Connection refused.")
    error.__cause__ = error
    assert refusal(error) == ""


def _raised_handling(first: Exception, words: str) -> redis.ConnectionError:
    try:
        try:
            raise first
        except type(first):
            raise redis.ConnectionError(words)  # noqa: B904
    except redis.ConnectionError as error:
        return error


def test_an_error_of_tls_of_which_redis_py_gives_the_number_only_is_named() -> None:
    """As the asyncio client of redis-py 5 does."""
    of_tls = ssl.SSLError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: expired")
    assert "expired" in refusal(_raised_handling(of_tls, "Error 1 connecting to h:6379. 1."))


@pytest.mark.parametrize(
    "own",
    [
        ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
        PermissionError("User bob has no permissions to read orders.csv"),
        RuntimeError("NOAUTH"),
    ],
)
@pytest.mark.parametrize(
    "words", ["Error 111 connecting to h:6379. Connection refused.", "Timeout connecting to server"]
)
def test_an_error_of_the_callers_own_is_none_of_redis(own: Exception, words: str) -> None:
    """Who submits while handling it is told of Redis."""
    assert refusal(_raised_handling(own, words)) == ""
