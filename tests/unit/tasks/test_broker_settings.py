"""The broker's settings: producers and workers read them alike, arguments are checked as variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tasks
from tasks import broker, results
from tasks.settings import BrokerSettings
from worker.config.settings import load

KEYS = {"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
FILE = "AIGC_REDIS_URL_FILE"
Outcome = BrokerSettings | tuple[str, ...]


@pytest.fixture(autouse=True)
def _as_started() -> Iterator[None]:
    tasks.configure()
    yield
    tasks.configure()


def _producer(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """What a producer makes of it: its settings, or what is wrong."""
    for name in [name for name in os.environ if name.startswith("AIGC_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    try:
        return broker.settings()
    except tasks.SettingsError as error:
        return error.problems


def _worker(environ: dict[str, str]) -> Outcome:
    try:
        settings = load(KEYS | environ)
    except tasks.SettingsError as error:
        return error.problems
    return BrokerSettings(settings.redis_url, settings.queue, settings.results, settings.outputs)


GOOD: list[dict[str, str]] = [
    {},
    {"AIGC_REDIS_URL": "", "AIGC_QUEUE": "", "AIGC_RESULTS": "  ", FILE: ""},
    {"AIGC_REDIS_URL": "rediss://user:p%40ss@h:6380/3?ssl_cert_reqs=none"},
    {"AIGC_REDIS_URL": "redis://[::1]"},
    {"AIGC_QUEUE": " mine ", "AIGC_RESULTS": "r"},
    {"AIGC_QUEUE": "mine", "AIGC_OUTPUTS": " o "},
    {"AIGC_QUEUE": "q" * 200},
    {"AIGC_QUEUE": "aigc:results"},
    {FILE: "redis://:pw@h/1"},
    {FILE: "redis://:pw@h/1\n"},
    {FILE: "redis://:pw@h/1\r\n"},
    {FILE: "redis://:pw@h/1\n", "AIGC_REDIS_URL": ""},
]
BAD: list[dict[str, str]] = [
    {"AIGC_REDIS_URL": url}
    for url in (
        *("http://:s3cret@h", "127.0.0.1:6379", "redis://", "redis://:s3cret@h:port", "redis://h:0"),
        *("redis://:s3cret@h/db", "redis://h/0/1", "redis://:s3cret#x@h", "redis://h /0", " redis://h"),
        *("redis://h\n", "   ", "redis://h_/0", "unix:///tmp/redis.sock", "redis://[::1"),
    )
] + [
    {"AIGC_REDIS_URL": "redis://h", FILE: "redis://:s3cret@h"},
    {FILE: "redis://:s3cret@h\n\n"},
    {FILE: " redis://:s3cret@h"},
    {FILE: "\n"},
    {FILE: ""},
    {FILE: "\udcff"},
    {FILE: "missing"},
    {"AIGC_QUEUE": "a b"},
    {"AIGC_QUEUE": "q" * 201},
    {"AIGC_QUEUE": "a\x07b"},
    {"AIGC_RESULTS": "a\u2003b"},
    {"AIGC_QUEUE": "same", "AIGC_RESULTS": "same"},
    {"AIGC_QUEUE": "shop", "AIGC_RESULTS": "shop.high"},
    {"AIGC_OUTPUTS": "a\u2003b"},
    {"AIGC_QUEUE": "shop", "AIGC_OUTPUTS": "shop"},
    {"AIGC_OUTPUTS": "aigc:results"},
    {"AIGC_REDIS_URL": "s3cret", "AIGC_QUEUE": "a b", "AIGC_RESULTS": "c d"},
]


def _with_file(environ: dict[str, str], folder: Path) -> dict[str, str]:
    """The same with a file's content in a file, but for the empty variable among the good ones."""
    if not environ.get(FILE) and environ.keys() != {FILE}:
        return environ
    path = folder / "url"
    if environ[FILE] != "missing":
        path.write_bytes(environ[FILE].encode("utf-8", "surrogateescape"))
    return environ | {FILE: str(path)}


@pytest.mark.parametrize("environ", GOOD + BAD)
def test_producer_and_worker_read_alike(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same settings, or a refusal in the same words, which name the variable and show no value."""
    environ = _with_file(environ, tmp_path)
    found = _producer(environ, monkeypatch)
    assert found == _worker(environ)
    assert "s3cret" not in repr(found)
    if not isinstance(found, BrokerSettings):
        assert all(problem.startswith("AIGC_") for problem in found)


@pytest.mark.parametrize(("table", "accepted"), [(GOOD, True), (BAD, False)], ids=["good", "bad"])
def test_the_table_is_accepted_and_refused_as_it_says(
    table: list[dict[str, str]], accepted: bool, tmp_path: Path
) -> None:
    """Agreement alone would not show that a worker refuses anything."""
    for index, environ in enumerate(table):
        folder = tmp_path / str(index)
        folder.mkdir()
        assert isinstance(_worker(_with_file(environ, folder)), BrokerSettings) is accepted, environ


@pytest.mark.parametrize(
    ("give", "named"),
    [
        (lambda: tasks.configure(redis_url="http://:s3cret@h"), {"redis_url"}),
        (lambda: tasks.configure(redis_url=""), {"redis_url"}),
        (lambda: tasks.configure(queue="a b"), {"queue"}),
        (lambda: tasks.configure(queue=""), {"queue"}),
        (lambda: tasks.configure(results="r" * 201), {"results"}),
        (lambda: tasks.configure(queue="same", results="same"), {"results"}),
        (lambda: tasks.configure(outputs="o o"), {"outputs"}),
        (lambda: tasks.configure(queue="same", outputs="same"), {"outputs"}),
        (lambda: tasks.configure(results="same", outputs="same"), {"outputs"}),
        (
            lambda: tasks.configure(redis_url="s3cret", queue="a b", results="c d"),
            {"redis_url", "queue", "results"},
        ),
        (lambda: results.listen("redis://:s3cret@h/db"), {"redis_url"}),
        (lambda: results.consume("g", redis_url="s3cret"), {"redis_url"}),
        (lambda: results.replay(redis_url="s3cret"), {"redis_url"}),
    ],
)
def test_a_wrong_argument_is_named(give: Callable[[], object], named: set[str]) -> None:
    """By its own name, at once, as a ValueError, without the value."""
    with pytest.raises(ValueError, match="must") as caught:
        give()
    assert isinstance(caught.value, tasks.SettingsError)
    assert {problem.split()[0] for problem in caught.value.problems} == named
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "arguments", "results_name"),
    [
        ({}, {}, "aigc:results"),
        ({"AIGC_QUEUE": "shop"}, {}, "shop:results"),
        ({"AIGC_QUEUE": "shop", "AIGC_RESULTS": "aigc:results"}, {}, "aigc:results"),
        ({"AIGC_QUEUE": "shop"}, {"queue": "other"}, "other:results"),
        ({"AIGC_QUEUE": "shop", "AIGC_RESULTS": "mine"}, {"queue": "other"}, "mine"),
        ({"AIGC_QUEUE": "shop"}, {"results": "mine"}, "mine"),
    ],
)
def test_results_are_named_after_the_queue(
    environ: dict[str, str], arguments: dict[str, str], results_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless they are given a name: two queues on one Redis do not share their results."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    tasks.configure(**arguments)
    assert broker.settings().results == results_name
    if not arguments:
        assert load(KEYS | environ).results == results_name


@pytest.mark.parametrize(
    ("environ", "arguments", "outputs_name"),
    [
        ({}, {}, "aigc:outputs"),
        ({"AIGC_QUEUE": "shop"}, {}, "shop:outputs"),
        ({"AIGC_QUEUE": "shop", "AIGC_OUTPUTS": "mine"}, {}, "mine"),
        ({"AIGC_QUEUE": "shop"}, {"queue": "other"}, "other:outputs"),
        ({"AIGC_OUTPUTS": "theirs"}, {"outputs": "mine"}, "mine"),
    ],
)
def test_so_are_outputs(
    environ: dict[str, str], arguments: dict[str, str], outputs_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the queue, unless they are given a name."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    tasks.configure(**arguments)
    assert broker.settings().outputs == outputs_name
    if not arguments:
        assert load(KEYS | environ).outputs == outputs_name


@pytest.mark.parametrize("name", ["aigc:workers", "aigc:tasks:open", "aigc:job:a", "aigc:forward:state:x"])
def test_a_name_that_the_queue_keeps_something_else_under_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At start: Redis would refuse the first result once its job was bought. Another queue may have it."""
    for variable in ("AIGC_RESULTS", "AIGC_OUTPUTS"):
        with pytest.raises(tasks.SettingsError, match=f"{variable} must be another name than {name}: "):
            load(KEYS | {variable: name})
        assert load(KEYS | {variable: name, "AIGC_QUEUE": "shop"})
    monkeypatch.setenv("AIGC_QUEUE", "aigc")
    with pytest.raises(tasks.SettingsError, match="outputs must be another name than"):
        tasks.configure(queue="aigc", outputs=name)


def test_what_was_refused_changes_nothing() -> None:
    """A wrong call of configure leaves what an earlier one gave."""
    tasks.configure(queue="mine")
    with pytest.raises(tasks.SettingsError):
        tasks.configure(queue="a b")
    assert broker.settings().queue == "mine"


def test_an_argument_replaces_its_variable_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says wrongly does not matter where an argument stands in its place."""
    monkeypatch.setenv("AIGC_QUEUE", "a b")
    monkeypatch.setenv("AIGC_RESULTS", "from-environment")
    tasks.configure(redis_url="redis://h", queue="mine")
    assert broker.settings() == BrokerSettings("redis://h", "mine", "from-environment", "mine:outputs")


def test_an_argument_and_a_variable_that_clash_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by the name under which it was given."""
    monkeypatch.setenv("AIGC_RESULTS", "mine")
    tasks.configure(queue="mine")
    with pytest.raises(tasks.SettingsError, match="AIGC_RESULTS must differ from queue"):
        broker.settings()
