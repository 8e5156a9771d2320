"""Settings: what is read, what is refused, and that no message shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.declared import NONE
from tasks.exceptions import SettingsError
from tasks.prices import Prices
from worker.config.settings import Settings, forward_secrets_from_environ, load
from worker.domain.query_signing import DEFAULT_FORM, FORMS

KEYS = {"AIGC_ACCESS_KEY": "the-access-key", "AIGC_SECRET_KEY": "the-secret-key"}
DOCS = Path(__file__).parents[3] / "docs" / "settings.md"


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(KEYS | environ)
    return caught.value.problems


def test_defaults_are_those_of_the_public_table() -> None:
    """With nothing but the keys, every setting has its promised default."""
    settings = load(KEYS)
    assert settings == Settings(
        redis_url="redis://127.0.0.1:6379/0",
        queue="aigc",
        results="aigc:results",
        outputs="aigc:outputs",
        endpoint="https://industrysolutions.alibabacloud.com",
        access_key="the-access-key",
        secret_key="the-secret-key",
        concurrency=32,
        connect_timeout_s=5,
        read_timeout_s=30,
        keep_alive=True,
        max_attempts=6,
        retry_base_s=1,
        retry_cap_s=60,
        job_deadline_s=86400,
        on_unknown="hold",
        rate_per_s=None,
        workflow_rates={},
        max_inflight=None,
        breaker_after=5,
        breaker_window_s=30,
        probe_max_s=4,
        log_level="INFO",
        log_format="auto",
        results_maxlen=1_000_000,
        journal_ttl_s=604800,
        state_dir="/tmp/aigc-worker",
        callback_queue="celery",
        workflows=NONE,
        preflight=False,
        fetch_allow=(),
        query_form=DEFAULT_FORM,
        store=None,
        prices=Prices(),
        follow=None,
        sentry_dsn=None,
        warnings=(),
    )


def test_every_setting_can_be_set() -> None:
    """Each variable reaches its field, surrounding blanks and the case of a choice aside."""
    settings = load(
        KEYS
        | {
            "AIGC_REDIS_URL": "rediss://user:p%40ss@redis.example:6380/3?ssl_cert_reqs=none",
            "AIGC_QUEUE": "q",
            "AIGC_RESULTS": "r",
            "AIGC_OUTPUTS": "o",
            "AIGC_ENDPOINT": "https://vendor.example:8443/",
            "AIGC_CONCURRENCY": " 64 ",
            "AIGC_QUERY_SIGNATURE": " GET-query-HEX-xid",
            "AIGC_CONNECT_TIMEOUT_S": "2.5",
            "AIGC_READ_TIMEOUT_S": "10",
            "AIGC_MAX_ATTEMPTS": "1",
            "AIGC_RETRY_BASE_S": ".25",
            "AIGC_RETRY_CAP_S": "1e1",
            "AIGC_JOB_DEADLINE_S": "60",
            "AIGC_ON_UNKNOWN": "Resubmit",
            "AIGC_RATE_PER_S": "0.5",
            "AIGC_RATE_PER_S__IMAGE2VIDEO": "2",
            "AIGC_MAX_INFLIGHT": "4",
            "AIGC_LOG_LEVEL": "debug",
            "AIGC_LOG_FORMAT": "json",
            "AIGC_RESULTS_MAXLEN": "10",
            "AIGC_JOURNAL_TTL_S": "3600",
            "AIGC_PREFLIGHT": "On",
            "AIGC_FETCH_ALLOW": "127.0.0.0/8, fd00::/8,10.1.2.3",
            "SENTRY_DSN": "https://public@sentry.example/path/42",
        }
    )
    assert settings.redis_url == "rediss://user:p%40ss@redis.example:6380/3?ssl_cert_reqs=none"
    assert (settings.queue, settings.results, settings.outputs) == ("q", "r", "o")
    assert settings.endpoint == "https://vendor.example:8443"
    assert (settings.concurrency, settings.max_inflight, settings.max_attempts) == (64, 4, 1)
    assert (settings.connect_timeout_s, settings.read_timeout_s) == (2.5, 10)
    assert (settings.retry_base_s, settings.retry_cap_s, settings.job_deadline_s) == (0.25, 10, 60)
    assert settings.on_unknown == "resubmit"
    assert (settings.rate_per_s, settings.workflow_rates) == (0.5, {"IMAGE2VIDEO": 2})
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    assert (settings.results_maxlen, settings.journal_ttl_s) == (10, 3600)
    assert settings.preflight
    assert str(settings.query_form) == "get-query-hex-xid"
    assert [str(each) for each in settings.fetch_allow] == ["127.0.0.0/8", "fd00::/8", "10.1.2.3/32"]
    assert settings.sentry_dsn == "https://public@sentry.example/path/42"
    assert settings.warnings == ()


def test_a_form_that_nobody_knows_is_refused_with_all_that_there_are() -> None:
    """The variable is named, and each form that it may name."""
    (problem,) = problems(AIGC_QUERY_SIGNATURE="get")
    assert problem.startswith("AIGC_QUERY_SIGNATURE must be one of get-path-base64-acs, ")
    assert all(str(form) in problem for form in FORMS)


def test_a_file_of_workflows_is_read(tmp_path: Path) -> None:
    """What is wrong with it is one problem among the others, and what is right is there."""
    example = DOCS.parents[1] / "examples" / "workflows.toml"
    assert load(KEYS | {"AIGC_WORKFLOWS_FILE": str(example)}).workflows.names == {"TEXT2IMAGE", "LOOKBOOK"}
    wrong = tmp_path / "workflows.toml"
    wrong.write_text("[[workflow]]\nname = 'A'\nversion = '1'\nalgoInput.type = 'objekt'")
    assert problems(AIGC_WORKFLOWS_FILE=str(wrong), AIGC_QUEUE="a b") == (
        "AIGC_QUEUE must be 1 to 200 characters without blanks or control characters",
        f"AIGC_WORKFLOWS_FILE: {wrong}: [[workflow]] 1 (A 1): algoInput.type must be one of array, boolean,"
        " integer, null, number, object, string, or an array of these, got 'objekt'",
    )


def test_a_cap_below_the_default_base_lowers_the_base() -> None:
    """Setting only a small cap is not a contradiction."""
    assert load(KEYS | {"AIGC_RETRY_CAP_S": "0.2"}).retry_base_s == 0.2


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    """Compose files pass empty strings for what their user left out."""
    names = ("AIGC_QUEUE", "AIGC_CONCURRENCY", "AIGC_RATE_PER_S", "AIGC_LOG_LEVEL", "AIGC_ENDPOINT")
    assert load(KEYS | dict.fromkeys(names, empty)) == load(KEYS)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:8081",
        "http://127.9.9.9",
        "http://[::1]:80",
        "http://localhost:1",
        "https://[2001:db8::1]",
    ],
)
def test_possible_endpoints(endpoint: str) -> None:
    """Plain HTTP is for loopback addresses, HTTPS for any host."""
    assert load(KEYS | {"AIGC_ENDPOINT": endpoint}).endpoint == endpoint


BAD_VALUES = {
    "AIGC_ENDPOINT": [
        "http://vendor.example",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://localhost.example",
        "vendor.example",
        "ftp://vendor.example",
        "https://",
        "https://vendor.example/openapi",
        "https://vendor.example?x=1",
        "https://vendor.example#x",
        "https://user@vendor.example",
        "https://vendor.example:0",
        "https://vendor.example:65536",
        "https://[::1",
    ],
    "AIGC_REDIS_URL": [
        "127.0.0.1:6379",
        "http://127.0.0.1",
        "redis://",
        "redis://h:port",
        "redis://h:0",
        "redis://h/x",
        "redis://:a#b@h",
        "unix:///tmp/redis.sock",
        "redis://h /0",
    ],
    "AIGC_CONCURRENCY": ["0", "-1", "1025", "1.5", "many", "1_0", "٣", "9" * 5000],
    "AIGC_MAX_ATTEMPTS": ["0", "-1", "1.5"],
    "AIGC_READ_TIMEOUT_S": ["0", "-1", "nan", "inf", "1e999", "1_0", "5s", "0x10"],
    "AIGC_RETRY_BASE_S": ["0"],
    "AIGC_RETRY_CAP_S": ["-0.5"],
    "AIGC_JOB_DEADLINE_S": ["never"],
    "AIGC_ON_UNKNOWN": ["retry"],
    "AIGC_RATE_PER_S": ["0"],
    "AIGC_RATE_PER_S__TEXT2IMAGE": ["fast"],
    "AIGC_MAX_INFLIGHT": ["0"],
    "AIGC_LOG_LEVEL": ["LOUD"],
    "AIGC_LOG_FORMAT": ["xml"],
    "AIGC_RESULTS_MAXLEN": ["0"],
    "AIGC_JOURNAL_TTL_S": ["0"],
    "AIGC_QUEUE": ["a b", "q" * 201],
    "AIGC_PREFLIGHT": ["yes"],
    "AIGC_FETCH_ALLOW": ["localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8;::1"],
    "AIGC_RESULTS": ["a\tb"],
    "AIGC_OUTPUTS": ["a b"],
    "AIGC_ACCESS_KEY": ["two words", "ключ"],
    "AIGC_SECRET_KEY": ["line\nline"],
    "SENTRY_DSN": [
        "sentry",
        "https://sentry.example/1",
        "https://key@sentry.example",
        "https://key@sentry.example/project",
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_VALUES.items() for value in values]
)
def test_what_cannot_be_right_is_refused_by_name(name: str, value: str) -> None:
    """One wrong variable makes one line, which begins with its name and does not show the value."""
    (line,) = problems(**{name: value})
    assert line.startswith(f"{name} must be ")
    assert len(value) < 9 or value not in line


def test_all_problems_are_reported_at_once() -> None:
    """A user mends everything in one go."""
    with pytest.raises(SettingsError) as caught:
        load({"AIGC_CONCURRENCY": "x", "AIGC_REDIS_URL": "x"})
    names = {line.split()[0] for line in caught.value.problems}
    assert names == {"AIGC_ACCESS_KEY", "AIGC_SECRET_KEY", "AIGC_CONCURRENCY", "AIGC_REDIS_URL"}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"AIGC_RETRY_BASE_S": "5", "AIGC_RETRY_CAP_S": "4"}, "AIGC_RETRY_CAP_S"),
        ({"AIGC_CONNECT_TIMEOUT_S": "300", "AIGC_READ_TIMEOUT_S": "301"}, "AIGC_READ_TIMEOUT_S"),
        ({"AIGC_QUEUE": "same", "AIGC_RESULTS": "same"}, "AIGC_RESULTS"),
        ({"AIGC_QUEUE": "same", "AIGC_OUTPUTS": "same.low"}, "AIGC_OUTPUTS"),
        ({"AIGC_RESULTS": "same", "AIGC_OUTPUTS": "same"}, "AIGC_OUTPUTS"),
    ],
)
def test_contradictions_are_refused(environ: dict[str, str], named: str) -> None:
    """Values that are possible alone and not together are named."""
    (line,) = problems(**environ)
    assert named in line


@pytest.mark.parametrize("name", ["AIGC_ACCESS_KEY", "AIGC_SECRET_KEY", "AIGC_REDIS_URL", "SENTRY_DSN"])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_may_come_from_a_file(name: str, ending: str, tmp_path: Path) -> None:
    """`<name>_FILE` names a file; its trailing newline is dropped."""
    secret = {"AIGC_REDIS_URL": "redis://:pw@h/1", "SENTRY_DSN": "http://k@h/1"}.get(name, "from-a-file")
    file = tmp_path / "secret"
    file.write_bytes((secret + ending).encode())
    environ = {key: value for key, value in KEYS.items() if key != name} | {f"{name}_FILE": str(file)}
    settings = load(environ)
    assert getattr(settings, name.removeprefix("AIGC_").lower()) == secret
    assert settings.warnings == ()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"key\n\n", None])
def test_a_secret_file_that_cannot_be_right_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """Missing, empty, binary or with more than one newline: one line, naming the variable."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load({"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY_FILE": str(file)})
    (line,) = caught.value.problems
    assert line.startswith("AIGC_SECRET_KEY")


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    """The value and the file together leave open which one counts."""
    file = tmp_path / "secret"
    file.write_text("other")
    (line,) = problems(AIGC_SECRET_KEY_FILE=str(file))
    assert "AIGC_SECRET_KEY and AIGC_SECRET_KEY_FILE" in line


def test_no_secret_in_the_repr() -> None:
    """A logged or printed Settings shows no key, no DSN and no Redis password."""
    settings = load(
        KEYS
        | {"AIGC_REDIS_URL": "redis://:redis-pw@h/0", "SENTRY_DSN": "https://sentry-key@sentry.example/1"}
    )
    shown = repr(settings)
    assert not any(secret in shown for secret in (*KEYS.values(), "redis-pw", "sentry-key"))


def test_secrets_are_listed_for_redaction() -> None:
    """The password counts in the URL's spelling and in its own."""
    settings = load(KEYS | {"AIGC_REDIS_URL": "redis://:p%40ss@h/0"})
    assert set(settings.secrets()) == {*KEYS.values(), "p%40ss", "p@ss"}


ONE, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
SHORT, LONG = "whsec_" + "QUJD" * 7, "whsec_" + "QUJD" * 22


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        (ONE, (ONE,)),
        (f"{ONE} {OTHER}", (ONE, OTHER)),
        (f" {ONE},\n{OTHER}\n", (ONE, OTHER)),
    ],
)
def test_webhooks_have_one_secret_or_several(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, secrets: tuple[str, ...]
) -> None:
    """Parted by blanks, commas or lines, with the standard's prefix or without; in a file as well."""
    monkeypatch.setenv("AIGC_FORWARD_SECRET", text)
    assert forward_secrets_from_environ() == secrets
    (tmp_path / "secrets").write_text(text)
    monkeypatch.delenv("AIGC_FORWARD_SECRET")
    monkeypatch.setenv("AIGC_FORWARD_SECRET_FILE", str(tmp_path / "secrets"))
    assert forward_secrets_from_environ() == secrets


@pytest.mark.parametrize(
    "text", ["", " ", "whsec_", f"{ONE} no-base64", "whsec_Ä", "whsec_QUJ$", "hunter2hunter2", SHORT, LONG]
)
def test_what_is_no_secret_of_webhooks_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """By the variable's name, without the value."""
    monkeypatch.setenv("AIGC_FORWARD_SECRET", text)
    with pytest.raises(SettingsError, match="AIGC_FORWARD_SECRET must be") as caught:
        forward_secrets_from_environ()
    assert not text.strip() or text.strip() not in str(caught.value).replace("whsec_ and base64", "")


def test_a_worker_takes_no_secret_of_webhooks_for_a_misspelling() -> None:
    """One environment may be for all services."""
    assert load(KEYS | {"AIGC_FORWARD_SECRET": ONE}).warnings == ()


@given(st.dictionaries(st.sampled_from(["AIGC_REDIS_URL", "AIGC_ENDPOINT", "SENTRY_DSN"]), st.text()))
def test_any_text_is_read_or_refused_without_being_shown(environ: dict[str, str]) -> None:
    """Whatever an URL variable holds, loading gives settings or names the variable."""
    named: set[str] = set()
    try:
        load(KEYS | environ)
    except SettingsError as error:
        named = {line.split()[0] for line in error.problems}
    assert named <= set(environ)


def test_a_misspelt_name_is_pointed_out() -> None:
    """An unknown AIGC_ variable is a warning with the nearest known name, not an error."""
    (warning,) = load(KEYS | {"AIGC_CONCURENCY": "8", "HOME": "/home/shop"}).warnings
    assert warning == "AIGC_CONCURENCY is not a setting: did you mean AIGC_CONCURRENCY?"


def test_the_documentation_names_every_setting() -> None:
    """docs/settings.md lists each variable that the worker reads."""
    asked: set[str] = set()

    class Recording(dict[str, str]):
        def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
            asked.add(key)
            return super().get(key, default)

    load(Recording(KEYS))
    page = DOCS.read_text(encoding="utf-8")
    assert asked >= {*KEYS, "SENTRY_DSN"}
    assert [name for name in sorted(asked) if f"`{name}`" not in page] == []
