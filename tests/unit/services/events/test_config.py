"""EVENTS.toml and the files that it names: what is wrong is said by table and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.services.events.signing import PRODUCT, shopify
from worker.services.events.config import load
from worker.services.events.secret_files import LOOK_EVERY_S, SecretError, SecretFiles
from worker.services.events.tables import ConfigError
from worker.services.events.values import Event, EventDelivery

GENERIC = '[generic]\nsecret_files = ["secret"]\nsignature_header = "x"\n'
GOOD = '[shopify]\nsecret_files = ["secret"]\nmapping = "shopify"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    return tmp_path


def faults(folder: Path, text: str) -> list[str]:
    path = folder / "EVENTS.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(path)
    return [line.removeprefix(f"{path}: ") for line in str(raised.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no source: give at least one of shopify, woocommerce"),
        (GOOD + "[shopfy]", "[shopfy] is not known: there are events, shopify"),
        (GOOD + "[events]\nremember = 1", "[events]: remember: no such field; did you mean remember_s?"),
        (GOOD + "[events]\nremember_s = -1", "[events]: remember_s: must be a number of seconds from 0"),
        (GOOD + "[events]\nremember_s = nan", "[events]: remember_s: must be a number of seconds from 0"),
        (GOOD + '[events]\npriority = "urgent"', "[events]: priority: must be one of high, normal, low"),
        (GOOD + "events = 1", "[shopify]: events: no such field"),
        (GOOD + "debounce_s = true", "[shopify]: debounce_s: must be a number of seconds from 0 to 3600"),
        (GOOD + "shops = 1", "[shopify]: shops: must be a list of strings"),
        (GOOD + 'shops = ["https://a.example"]', "[shopify]: shops: 'https://a.example' must be"),
        (GOOD + 'shops = ["test-shop"]', "[shopify]: shops: 'test-shop' must be a host's name"),
        (GOOD + '[shopify.shops]\n"a.example" = ["secret"]', "[shopify]: secret_files: must be left out"),
        ('[shopify]\nmapping = "shopify"', "[shopify]: secret_files: must be a list of files"),
        (GOOD.replace('"secret"', '"none"'), "[shopify]: secret_files: {}/none cannot be read: No such file"),
        (GOOD.replace('"secret"', '"."'), "[shopify]: secret_files: {} cannot be read: Is a directory"),
        (GOOD.replace('"shopify"', '"shopfy"'), "[shopify]: mapping: "),
        (GOOD.replace('mapping = "shopify"', ""), "[shopify]: mapping: {}/EVENTS.toml: [[job]]: is missing"),
        ("shopify = 1", "[shopify]: must be a table"),
        ("[generic]", "[generic]: signature_header: is missing"),
        ('[generic]\nproduct = "bdy.x"', "[generic]: product: there is no 'bdy', but body"),
        ('[generic]\nkey = "product["', "[generic]: key: not JMESPath"),
        ('[generic]\nalgorithm = "md5"', "[generic]: algorithm: must be one of sha256"),
        ('[generic]\nevent_id = "body.id"\nevent_id_header = "X-Id"', "[generic]: event_id_header: must be"),
        ('[generic]\nshops = ["a"]', "[generic]: shops: no such field"),
        ('[s3]\nurl = "ftp://{key}"', "[s3]: url: must be an http(s) URL with {key} in it"),
        ('[s3]\nurl = "https://x/"', "[s3]: url: must be an http(s) URL with {key} in it"),
        ('[standard_webhooks]\nsecret_files = ["secret"]', "secret_files: {}/secret must be whsec_"),
        ("[shopify", "is no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Path, text: str, words: str) -> None:
    """With its table and its field, and what it must be."""
    told = faults(folder, text)
    assert any(words.replace("{}", str(folder)) in line for line in told), told


def test_all_that_is_wrong_is_told_at_once(folder: Path) -> None:
    """Nobody has to try ten times."""
    assert len(faults(folder, "[shopify]\ndebounce_s = -1\n[woocommerce]\ndebounce_s = -1\n[odd]\n")) >= 5


def test_each_shop_may_have_secrets_of_its_own(folder: Path) -> None:
    """And all that a configuration may say is read."""
    (folder / "EVENTS.toml").write_text(
        '[events]\nremember_s = 60\npriority = "low"\n'
        '[shopify]\nmapping = "shopify"\ndebounce_s = 5\n'
        '[shopify.shops]\n"A.example" = ["secret", "secret"]\n'
    )
    config = load(folder / "EVENTS.toml")
    (source,) = config.sources
    assert source.secrets.current() == {"a.example": ("s3cret", "s3cret")}
    assert (config.remember_s, config.priority, source.debounce_s, config.warnings) == (60, "low", 5, ())
    assert config.secrets() == ("s3cret", "s3cret")


def test_a_secret_that_everybody_can_read_is_warned_of(folder: Path) -> None:
    """It works all the same: Docker's secrets are such."""
    (folder / "secret").chmod(0o644)
    (folder / "EVENTS.toml").write_text(GOOD + 'shops = ["a.example"]')
    (warning,) = load(folder / "EVENTS.toml").warnings
    assert str(folder / "secret") in warning
    assert "s3cret" not in warning


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD, "[shopify]: names no shop, in `shops` or [mapping] shop: "),
        (GENERIC, "[generic]: names no shop, in `shop`"),
        (GOOD + 'shops = ["a.example"]', None),
        (GENERIC + 'shop = "pim"\n', None),
        ('[mapping]\nshop = "a"\n' + GENERIC, None),
        ('[s3]\nsecret_files = ["secret"]\n', None),
    ],
)
def test_a_source_that_names_no_shop_is_warned_of(folder: Path, text: str, words: str | None) -> None:
    """Where the purchase keys of its mapping have one, and a product alone does not tell shops apart."""
    job = '[[job]]\neach = "product"\nworkflow = "OWN"\nunlisted = true\n[job.input]\na = 1\n'
    (folder / "secret").chmod(0o600)
    (folder / "EVENTS.toml").write_text(text if "mapping =" in text else text + job)
    found = [each for each in load(folder / "EVENTS.toml").warnings if "names no shop" in each]
    assert len(found) == (words is not None)
    assert words is None or found[0].startswith(words)


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n", b"a\nb\n", b"\xff", b"a\0b"])
def test_a_file_without_a_secret_is_refused(folder: Path, content: bytes) -> None:
    """What was an empty secret would let everybody in."""
    (folder / "secret").write_bytes(content)
    with pytest.raises(SecretError, match="secret must"):
        SecretFiles({"": [folder / "secret"]})


def test_a_secret_is_read_again_when_its_file_changes(folder: Path) -> None:
    """Within a second; a file that is gone or empty for a moment leaves what was there."""
    now = [0.0]
    path = folder / "secret"
    files = SecretFiles({"": [path]}, clock=lambda: now[0])

    def later() -> tuple[str, ...]:
        now[0] += LOOK_EVERY_S
        return tuple(files.current()[""])

    path.write_text("another\r\n")
    assert files.current()[""] == ("s3cret",)
    assert later() == ("another",)
    path.write_text("")
    assert later() == ("another",)
    path.unlink()
    assert later() == ("another",)
    path.write_text("third")
    assert later() == ("third",)


def test_a_source_reads_what_its_secrets_sign(folder: Path) -> None:
    """Configuration, secrets and source fit together."""
    (folder / "secret").write_text("shpss_test\n")
    (folder / "EVENTS.toml").write_text(GOOD)
    (source,) = load(folder / "EVENTS.toml").sources
    headers = {name.lower(): value for name, value in shopify(PRODUCT).items()}
    found = source.read(EventDelivery(headers, PRODUCT), source.secrets.current())
    assert isinstance(found, Event)
    (job,) = source.map_product(found.products[0], found).jobs
    assert job.submission.dedupe_key
