"""`aigc check`: pictures by URL, on this machine, of jobs in a file, and in a list of URLs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.picture_host import SHOP, Host, hosting, jpg, says, serves
from worker.cli import run
from worker.preflight import check_urls


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("AIGC_FETCH_ALLOW", "127.0.0.0/8")
    webp = (SHOP / "really_webp.jpg").read_bytes()
    with hosting(ok_jpg=serves(jpg()), webp_jpg=serves(webp), later_jpg=says(503)) as host:
        yield host


def test_urls_are_told_one_a_line_in_the_order_they_were_given(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong ones with what they must be; what nobody knows counts as wrong, and is told apart."""
    urls = [f"{host.url}/{name}.jpg" for name in ("webp", "ok", "later", "ok")]
    assert run(["check", *urls]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        f"WRONG   {urls[0]}  AIGC_IMAGE_FORMAT: is webp by its first bytes: must be jpg, png or bmp"
    )
    assert lines[1] == lines[3] == f"ok      {urls[1]}"
    assert lines[2] == f"unsure  {urls[2]}  AIGC_IMAGE_UNREACHABLE: is answered HTTP 503"
    assert run(["check", urls[1]]) == 0
    assert host.paths().count("/ok.jpg") == 2  # once in each run


def test_programs_get_json(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """An object a line; no fault is null."""
    assert run(["check", "--json", f"{host.url}/ok.jpg", f"{host.url}/webp.jpg"]) == 1
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert good == {"place": None, "url": f"{host.url}/ok.jpg", "fault": None}
    message = "is webp by its first bytes: must be jpg, png or bmp"
    assert bad["fault"] == {"code": "AIGC_IMAGE_FORMAT", "message": message, "certain": True}


def test_pictures_on_this_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By their bytes; a name of a picture's decides that it is meant as one."""
    good = tmp_path / "good.jpg"
    good.write_bytes(jpg())
    json_named = tmp_path / "answer.jpg"
    json_named.write_text('{"error": 404}')
    names = ["149x160.jpg", "html_named.jpg", "really_webp.jpg"]
    assert run(["check", str(good), str(json_named), *(str(SHOP / name) for name in names)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "WRONG", "WRONG", "WRONG", "WRONG"]
    assert "is JSON" in lines[1]
    assert "AIGC_IMAGE_DIMENSIONS: has 149 x 160 px" in lines[2]


def test_a_catalogue_is_not_taken_for_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """What looks at the pictures of one is named: it needs a mapping."""
    assert run(["check", str(SHOP / "woocommerce_catalogue.csv")]) == 1
    assert "is a catalogue: aigc submit FILE --map" in capsys.readouterr().err


def test_the_pictures_of_jobs_in_a_file(
    host: Host, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By line and field; one without pictures is fine, what is no job is not."""
    jobs = [
        film(f"{host.url}/webp.jpg"),
        {"payload": film(f"{host.url}/ok.jpg"), "id": "a"},
        {
            "workflow": "TEXT2IMAGE",
            "version": "1.0.0",
            "algoInput": {"inputText": "x", "width": 9, "height": 9},
        },
        {"workflow": "IMAGE2VIDEO"},
    ]
    file = tmp_path / "jobs.ndjson"
    file.write_text("\n".join(map(json.dumps, jobs)))
    assert run(["check", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    field = "algoInput.inputImage"
    assert lines[0].startswith(
        f"WRONG   {file}: line 1: {field}  {host.url}/webp.jpg  AIGC_IMAGE_FORMAT: is webp"
    )
    assert lines[1] == f"ok      {file}: line 2: {field}  {host.url}/ok.jpg"
    assert lines[2] == f"ok      {file}: line 3  has no picture"
    assert lines[3].startswith(f"WRONG   {file}: line 4  AIGC_INVALID_PAYLOAD: ")


def film(image: str) -> dict[str, object]:
    algo_input = {"inputText": "a cat", "inputImage": image}
    return {"workflow": "IMAGE2VIDEO", "version": "1.0.0", "algoInput": algo_input}


def test_a_list_of_urls(host: Host, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Awkward ones too: what no job could have is told without asking anybody."""
    file = tmp_path / "urls.txt"
    lines = [line for line in (SHOP / "urls.txt").read_text("utf-8").splitlines() if "%26" not in line]
    file.write_text("\n".join([*lines, "", f"{host.url}/ok.jpg"]), encoding="utf-8")
    assert run(["check", "--json", str(file)]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    codes = [each["fault"] and each["fault"]["code"].removeprefix("AIGC_IMAGE_") for each in found]
    assert codes == ["UNREACHABLE", "UNREACHABLE", "URL_EXPIRED", "URL_EXPIRED", None]
    assert "put https: before it" in found[0]["fault"]["message"]
    assert "is a space" in found[1]["fault"]["message"]
    assert found[-1]["place"] == f"{file}: line 6"


def test_bad_usage_and_bad_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there, no argument, a network that is none."""
    assert run(["check", "no-such-file"]) == 2
    assert run(["check"]) == 2
    monkeypatch.setenv("AIGC_FETCH_ALLOW", "everything")
    assert run(["check", "http://127.0.0.1/a.jpg"]) == 1
    assert "AIGC_FETCH_ALLOW must be networks" in capsys.readouterr().err


def test_many_urls_are_checked_at_once(host: Host) -> None:
    """Each once, though it is asked for more often; in the order of asking."""
    urls = [f"{host.url}/{name}.jpg?{number}" for number in range(150) for name in ("ok", "webp")]
    found = check_urls(urls * 3)
    assert list(found) == urls
    assert [fault is None for fault in found.values()] == [True, False] * 150
    assert len(host.asked) == 300


def test_an_expiring_url_is_judged_by_when_it_is_going_to_be_sent(host: Host) -> None:
    """Which a dry run knows best."""
    url = f"{host.url}/ok.jpg?Expires=4000000000&Signature=s"
    assert check_urls([url]) == {url: None}
    fault = check_urls([url], sent_at=4_000_000_001.0)[url]
    assert fault is not None
    assert fault.code == "AIGC_IMAGE_URL_EXPIRED"
