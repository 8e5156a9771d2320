"""A catalogue into the queue, and a quote of it: `aigc submit --map` and `--dry-run`, `aigc map`."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

import tasks
from tests.conditions import until
from tests.integration.desk import Done
from tests.integration.stage import CAT, staged
from tests.redis_server import RedisServer
from worker.cli import run

SHOP = Path(__file__).parents[1] / "data" / "shop"
WOO = str(SHOP / "woocommerce_catalogue.csv")


def aigc(server: RedisServer, *args: str, **settings: str) -> Done:
    """A command in this process, with these settings by their names without ``AIGC_``."""
    environ = {"AIGC_REDIS_URL": server.url} | {f"AIGC_{name}": value for name, value in settings.items()}
    out, err = StringIO(), StringIO()
    with patch.dict(os.environ, environ), redirect_stdout(out), redirect_stderr(err):
        tasks.configure()
        try:
            code = run(args)
        finally:
            tasks.configure()
    return Done(code, out.getvalue(), err.getvalue())


def catalogue(path: Path, *rows: list[str]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["sku", "image", "prompt"], *rows])
    return str(path)


def row(name: str, prompt: str = "it turns") -> list[str]:
    return [name, f"https://s.example/{name}.jpg", prompt]


def test_a_shops_export_is_two_purchases(redis_server: RedisServer) -> None:
    """Variations repeat their parent's pictures; a row without one is said, and no fault; again buys none."""
    done = aigc(redis_server, "submit", WOO, "--map", "woocommerce", "--shop", "s")
    assert done.code == 0
    assert f"aigc: {WOO}: line 5: no job: no picture" in done.err
    assert "queued 2 jobs of 4 products\nleft out 2 that were queued before" in done.err
    assert len(set(done.out.split())) == redis_server.client().llen("aigc") == 2
    again = aigc(redis_server, "submit", WOO, "--map", "woocommerce", "--shop", "s")
    assert (again.code, again.out) == (0, done.out)
    assert "queued 0 jobs" in again.err


def test_a_bad_row_is_named_by_its_line(redis_server: RedisServer, tmp_path: Path) -> None:
    """And the rest is queued; exit 1."""
    path = catalogue(tmp_path / "c.csv", row("a"), ["b"], row("c", ""), row("d"))
    done = aigc(redis_server, "submit", path, "--map", "csv")
    assert done.code == 1
    told = [line.split(": ", 3) for line in done.err.splitlines()]
    assert [line[2] for line in told[:2]] == ["line 3", "line 4"]
    assert "[job.input] inputText: is empty" in done.err
    assert done.err.endswith("aigc: 2 of 4 products were not queued\n")
    assert redis_server.client().llen("aigc") == 2


@pytest.mark.parametrize(
    "args",
    [
        ["submit", WOO, "--map", "csv", "--dedupe"],
        ["submit", WOO, "--map", "csv", "--metadata", "{}"],
        ["submit", WOO, "--shop", "s"],
        ["submit", WOO, "--json"],
        ["map"],
        ["map", "--show", "nonsense"],
        ["map", "--show", "csv", "--check", "csv", WOO],
    ],
)
def test_options_that_do_not_go_together(args: list[str], redis_server: RedisServer) -> None:
    """Exit 2, and nothing is queued."""
    assert aigc(redis_server, *args).code == 2
    assert redis_server.client().dbsize() == 0


def test_a_mapping_that_is_wrong_queues_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    """Exit 1, naming table and field."""
    (tmp_path / "m.toml").write_text('[[job]]\neach = "image"\n', "utf-8")
    done = aigc(redis_server, "submit", WOO, "--map", str(tmp_path / "m.toml"))
    assert (done.code, done.out) == (1, "")
    assert "m.toml: [[job]] 1: workflow: is missing" in done.err


def test_a_mapping_for_another_file_is_a_failure(redis_server: RedisServer) -> None:
    """No row has a picture where it looks for one: most likely not what was meant."""
    done = aigc(redis_server, "submit", WOO, "--map", "csv")
    assert (done.code, done.out) == (1, "")
    assert "no product in it has a picture: is the mapping one for this file?" in done.err


def test_a_shop_that_nobody_names_is_told(redis_server: RedisServer, tmp_path: Path) -> None:
    """Events name theirs: the same pictures would be bought once more, and not in silence."""
    words = "no shop is named"
    assert words in aigc(redis_server, "submit", WOO, "--map", "woocommerce", "--dry-run").err
    named = aigc(redis_server, "submit", WOO, "--map", "woocommerce", "--shop", "s", "--dry-run")
    of_csv = aigc(
        redis_server, "submit", catalogue(tmp_path / "c.csv", row("a")), "--map", "csv", "--dry-run"
    )
    assert words not in named.err + of_csv.err


def test_a_catalogue_without_a_shop_is_refused_where_all_was_bought_for_shops(
    redis_server: RedisServer,
) -> None:
    """It would buy everything again; that it is for none can be said, and is known from then on."""
    redis_server.client().flushall()
    woo = ("submit", WOO, "--map", "woocommerce")
    assert aigc(redis_server, *woo, "--shop", "A.example", "--dry-run").code == 0
    assert aigc(redis_server, *woo, "--dry-run").code == 0, "a dry run asks for nothing"
    assert aigc(redis_server, *woo, "--shop", "https://A.example/").code == 0
    for more in ((), ("--dry-run",)):
        refused = aigc(redis_server, *woo, *more)
        assert (refused.code, refused.out) == (1, "")
        assert "purchases were asked for for a.example, and no shop is named now" in refused.err
    another = aigc(redis_server, *woo, "--shop", "b.example", "--dry-run")
    assert "nothing was asked for for the shop b.example so far, but for a.example" in another.err
    assert "asked for" not in aigc(redis_server, *woo, "--shop", "a.example", "--dry-run").err
    assert aigc(redis_server, *woo, "--shop", "").code == 0
    assert aigc(redis_server, *woo).code == 0


def test_files_that_are_not_what_was_said(redis_server: RedisServer, tmp_path: Path) -> None:
    """In words: an unknown encoding; a product in a job's place; a mapping that finds nothing."""
    done = aigc(redis_server, "submit", WOO, "--map", "csv", "--encoding", "klingon")
    assert (done.code, "--encoding: must be the name of one" in done.err) == (1, True)
    done = aigc(redis_server, "submit", str(SHOP / "shopify_products_create.json"))
    assert (done.code, "is no job: it has no workflow" in done.err) == (1, True)
    done = aigc(redis_server, "map", "--check", "csv", WOO)
    assert (done.code, "no job of any product: is the mapping one for this file?" in done.err) == (1, True)


def test_the_quote_of_a_catalogue(redis_server: RedisServer, tmp_path: Path) -> None:
    """Valid, invalid, duplicates, bought, cost, time behind the backlog; nothing is queued; exit 1."""
    path = catalogue(tmp_path / "c.csv", row("a"), row("b"), row("b"), row("c"), ["d"])
    aigc(redis_server, "submit", catalogue(tmp_path / "before.csv", row("a")), "--map", "csv")
    settings = {"PRICE__IMAGE2VIDEO": "0.05", "CURRENCY": "USD", "RATE_PER_S": "0.01"}
    done = aigc(redis_server, "submit", path, "--map", "csv", "--dry-run", "--json", **settings)
    assert done.code == 1
    found = json.loads(done.out)
    assert found["notes"] == ["no worker consumes this queue: jobs wait until one does"]
    assert {name: found[name] for name in found if name != "notes"} == {
        "products": 5, "valid": 4, "invalid": 1, "skipped": {}, "duplicates": 1, "repeated": 0,
        "boughtAlready": 1, "badPictures": None, "toBuy": {"IMAGE2VIDEO": 2},
        "cost": {"byWorkflow": {"IMAGE2VIDEO": "0.10"}, "total": "0.10", "currency": "USD"},
        "ahead": 1, "seconds": 300.0, "limit": "AIGC_RATE_PER_S=0.01",
    }  # fmt: skip
    assert redis_server.client().llen("aigc") == 1


def test_the_quote_of_plain_jobs(redis_server: RedisServer, tmp_path: Path) -> None:
    """By id where they have one; without one the whole file was submitted before, or was not."""
    redis_server.client().hset("aigc:job:bought", mapping={"s": "accepted"})
    redis_server.client().hset("aigc:job:rejected", mapping={"s": "rejected"})
    redis_server.client().hset("aigc:job:doubt", mapping={"s": "exhausted", "d": "1"})
    jobs = [{"payload": CAT, "id": name} for name in ("bought", "rejected", "doubt", "new", "new")]
    path = tmp_path / "jobs.ndjson"
    path.write_text("\n".join(map(json.dumps, [*jobs, CAT, CAT, {"workflow": 1}])), "utf-8")
    done = aigc(redis_server, "submit", str(path), "--dry-run")
    assert done.code == 1
    assert f"aigc: {path}: line 8: workflow: must be" in done.err
    for line in (
        "valid       7 jobs of 8 jobs",
        "invalid     1 job",
        "duplicates  1 within the file",
        "repeated    1 without an id",
        "bought      2 already",
        "to buy      4 jobs: TEXT2IMAGE 4",
        "TEXT2IMAGE: not known, for AIGC_PRICE__TEXT2IMAGE is not set",
        "nothing was queued",
    ):
        assert line in done.out
    assert "submitted before" not in done.out
    aigc(redis_server, "submit", str(path))
    assert (
        "note        the same was submitted before, at 20"
        in aigc(redis_server, "submit", str(path), "--dry-run").out
    )


def test_the_quote_with_pictures(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certain fault is not bought, exit 1; one that may pass is told; what was bought is not asked."""
    asked: list[str] = []

    def check_urls(urls: Iterable[str]) -> dict[str, object]:
        asked.extend(urls)
        faults = {"b": True, "c": False}
        return {
            f"https://s.example/{name}.jpg": SimpleNamespace(code="AIGC_IMAGE_X", words="no", certain=certain)
            for name, certain in faults.items()
        }

    monkeypatch.setattr("worker.preflight.check_urls", check_urls, raising=False)
    aigc(redis_server, "submit", catalogue(tmp_path / "before.csv", row("a")), "--map", "csv")
    path = catalogue(tmp_path / "c.csv", row("a"), row("b"), row("c"), row("d"))
    done = aigc(redis_server, "submit", path, "--map", "csv", "--dry-run", "--preflight")
    assert done.code == 1
    assert "pictures    1 job with a picture that would be refused" in done.out
    assert "to buy      2 jobs" in done.out
    assert f"aigc: {path}: line 3: algoInput.inputImage: AIGC_IMAGE_X: no\n" in done.err
    assert "line 4: algoInput.inputImage: AIGC_IMAGE_X: no (may pass)" in done.err
    assert sorted(asked) == [f"https://s.example/{name}.jpg" for name in "bcd"]


def test_a_quote_with_redis_away(own_redis_server: RedisServer, tmp_path: Path) -> None:
    """It says what it can, and what it cannot; exit 0, for nothing is invalid."""
    own_redis_server.kill()
    path = catalogue(tmp_path / "c.csv", row("a"), row("a"))
    done = aigc(own_redis_server, "submit", path, "--map", "csv", "--dry-run", PRICE__IMAGE2VIDEO="0.05")
    assert (done.code, done.err) == (0, "")
    assert "duplicates  1 within" in done.out
    assert "bought      not known" in done.out
    assert "1 x 0.05 = 0.05" in done.out
    assert "are not known: Redis is not available" in done.out


def test_checking_a_mapping_prints_its_jobs(redis_server: RedisServer, tmp_path: Path) -> None:
    """With metadata and purchase key, a line each; nothing is queued; a problem is exit 1."""
    product = str(SHOP / "shopify_products_create.json")
    done = aigc(redis_server, "map", "--check", "shopify", product, "--shop", "s.example")
    assert (done.code, done.err) == (0, "")
    (job,) = done.documents
    assert job["payload"]["algoInput"]["inputImage"].endswith("shirt.jpg?v=1")
    assert job["metadata"]["shop"] == json.loads(job["purchaseKey"])["shop"] == "s.example"
    own = tmp_path / "m.toml"
    shown = aigc(redis_server, "map", "--show", "shopify").out
    own.write_text(shown.replace("{{ image }}", "{{ product.title }}"), "utf-8")
    done = aigc(redis_server, "map", "--check", str(own), product)
    assert (done.code, done.out) == (1, "")
    assert "job clip, image 1: [job.input] inputImage: must be a public" in done.err
    assert redis_server.client().dbsize() == 0


def test_killed_halfway_and_run_again_buys_each_row_once(redis_server: RedisServer, tmp_path: Path) -> None:
    """SIGKILL while it queues; the second run queues what is missing, and a worker buys each row once."""
    rows = 2000
    path = catalogue(tmp_path / "c.csv", *(row(f"p{number}") for number in range(rows)))
    command = [sys.executable, "-c", "from worker.cli import main; main()", "submit", path, "--map", "csv"]
    with staged(redis_server) as stage:
        stage.worker()
        environment = stage.env()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as first:
            assert first.stdout is not None
            first.stdout.readline()  # an id: so its message is in the queue
            first.send_signal(signal.SIGKILL)
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0
        assert len(set(done.stdout.split())) == rows
        until(lambda: len(stage.results()) >= rows, "all results", 100)
        stage.drain()
        bought = [result["metadata"]["sku"] for result in stage.results()]
        assert (stage.vendor.posts, len(bought), len(set(bought))) == (rows, rows, rows)
