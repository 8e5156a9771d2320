"""Known workflows: the vendor's, those of a file, and who obeys it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tasks
from tasks.declared import current
from tasks.listed import INPUTS, LISTED, input_schema
from tasks.payload import doubts, image_urls, parse
from tasks.workflows import known
from tests.unit.tasks import samples
from tests.unit.tasks.declared.entries import EXAMPLE, HEAD, entry

OLDER = {"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": {"prompt": "a cat", "seed": 7}}


@pytest.fixture
def declared() -> Iterator[None]:
    """The workflows of the example, for this process."""
    tasks.configure(workflows_file=str(EXAMPLE))
    yield
    tasks.configure()


@pytest.fixture(autouse=True)
def _without_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AIGC_WORKFLOWS_FILE", raising=False)
    current.use(None)
    yield
    current.use(None)


def lookbook(**changes: Any) -> dict[str, Any]:
    algo_input = {"title": "Spring", "images": [samples.IMAGE], **changes}
    return {"workflow": "LOOKBOOK", "version": "3", "algoInput": algo_input}


def refusal(payload: Any) -> dict[str, str]:
    with pytest.raises(tasks.InvalidPayload) as caught:
        parse(payload)
    return dict(caught.value.errors)


def test_without_a_file_the_vendors_are_known() -> None:
    """In any version, with the schema that their model's fields make."""
    assert [(each.name, each.version, each.source) for each in known()] == [
        (model.workflow, "*", "vendor") for model in LISTED
    ]


@pytest.mark.usefixtures("declared")
def test_a_file_adds_and_replaces() -> None:
    """A version of the vendor's goes by the file, its others as before; the old shape is refused."""
    assert parse(OLDER) is OLDER
    assert parse({**samples.text_to_image(), "version": "1.0.1"})
    wrong = {
        "algoInput.prompt": "is missing: must be a string of at most 500 characters",
        "algoInput.seed": "is missing: must be an integer from 0 to 2147483647",
        **dict.fromkeys(
            ("algoInput.inputText", "algoInput.width", "algoInput.height"),
            "unknown field: TEXT2IMAGE takes prompt, seed",
        ),
    }
    assert refusal(samples.text_to_image()) == wrong
    assert refusal(tasks.TextToImage(input_text="a cat", width=9, height=9).to_wire()) == wrong
    assert parse(lookbook())
    assert [(each.name, each.version, each.source) for each in known()][:3] == [
        ("TEXT2IMAGE", "1.0.0", "file"),
        ("LOOKBOOK", "*", "file"),
        ("TEXT2IMAGE", "*", "vendor"),
    ]


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize("payload", [OLDER, samples.text_to_image(), samples.image_to_video()])
def test_submit_and_signature_go_by_the_file(payload: dict[str, Any]) -> None:
    """What they refuse is what `parse` refuses, and nothing is queued then."""
    try:
        parse(payload)
    except tasks.InvalidPayload:
        for queue in (tasks.submit, tasks.signature, lambda each: list(tasks.submit_many([each]))):
            with pytest.raises(tasks.InvalidPayload, match="is missing: must be"):
                queue(payload)
    else:
        assert tasks.signature(payload).args == (payload,)


@pytest.mark.usefixtures("declared")
def test_an_unknown_name_is_told_all_that_are_known() -> None:
    """Those of the file, too, and the ways out."""
    assert refusal({**lookbook(), "workflow": "LOOKBOK"}) == {
        "workflow": "must be one of TEXT2IMAGE, IMAGE2VIDEO, CATVTON, LOOKBOOK, got 'LOOKBOK'; to send"
        " another one, declare it in AIGC_WORKFLOWS_FILE, or mark it unlisted"
    }


def test_a_version_that_the_file_does_not_name_is_refused(tmp_path: Path) -> None:
    """Of a workflow that only the file has."""
    path = tmp_path / "workflows.toml"
    path.write_text(HEAD + HEAD.replace("1.0.0", "1.1.0"))
    tasks.configure(workflows_file=str(path))
    payload = {"workflow": "FLOW", "version": "2.0.0", "algoInput": {}}
    assert refusal(payload) == {"version": "must be one of 1.0.0, 1.1.0 for FLOW, got '2.0.0'"}
    assert parse({**payload, "version": "1.1.0"})
    assert list(refusal({**payload, "version": 5})) == ["version"]


def test_any_version_of_the_file_replaces_all_of_the_vendors(tmp_path: Path) -> None:
    """Then nothing is left of the built-in one."""
    path = tmp_path / "workflows.toml"
    path.write_text(HEAD.replace("FLOW", "CATVTON").replace("1.0.0", "*") + "required = ['x']")
    tasks.configure(workflows_file=str(path))
    assert refusal(samples.virtual_try_on()) == {
        "algoInput.x": "is missing: must be a value that fits its schema"
    }
    assert [each.source for each in known() if each.name == "CATVTON"] == ["file"]


@pytest.mark.usefixtures("declared")
def test_images_and_doubts_go_by_the_file() -> None:
    """Also of a payload that is marked unlisted."""
    doubtful = "https://shop.example.com/logo.webp?x=1"
    payload = lookbook(logo={"url": doubtful})
    assert list(image_urls(payload)) == [
        ("algoInput.images[0]", samples.IMAGE),
        ("algoInput.logo.url", doubtful),
    ]
    assert [doubt.partition(":")[0] for doubt in doubts(payload)] == ["algoInput.logo.url"]
    assert list(image_urls(parse(lookbook(images=samples.IMAGE), unlisted=True))) == []
    assert list(image_urls(samples.image_to_video())) == [("algoInput.inputImage", samples.IMAGE)]


def test_a_wrong_file_is_a_settings_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the variable at the first payload, of the argument at once, and what was before stays."""
    path = tmp_path / "workflows.toml"
    path.write_text(HEAD + "requird = ['x']")
    tasks.configure(workflows_file=str(EXAMPLE))
    with pytest.raises(tasks.SettingsError) as caught:
        tasks.configure(workflows_file=str(path))
    where = f"{path}: [[workflow]] 1 (FLOW 1.0.0): algoInput.requird is no keyword that is checked here"
    assert caught.value.problems == (f"workflows_file: {where}: did you mean required?",)
    assert parse(OLDER)
    tasks.configure()
    monkeypatch.setenv("AIGC_WORKFLOWS_FILE", str(path))
    for _ in range(2):
        with pytest.raises(tasks.SettingsError, match="AIGC_WORKFLOWS_FILE: "):
            parse(OLDER)
    assert parse(OLDER, unlisted=True)
    path.write_text(HEAD)
    with pytest.raises(tasks.InvalidPayload):
        parse(OLDER)


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes in it later has no effect on this process."""
    path = tmp_path / "workflows.toml"
    path.write_text(EXAMPLE.read_text())
    monkeypatch.setenv("AIGC_WORKFLOWS_FILE", str(path))
    assert parse(OLDER)
    path.write_text("rubbish")
    assert parse(OLDER)
    path.unlink()
    assert parse(OLDER)


def test_jsonschema_is_imported_for_a_file_only() -> None:
    """A producer without one does not pay for it."""
    program = (
        "import sys, tasks; from tasks.payload import parse; from tasks.workflows import known; known()\n"
        f"parse({samples.text_to_image()!r}); print('jsonschema' in sys.modules)\n"
        f"tasks.configure(workflows_file={str(EXAMPLE)!r}); print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1, -1, 2**31 - 1, 2**31, 1.0, 0.5, "", "x", "x" * 500, "x" * 501, "upper", "Upper",
     samples.IMAGE, "HTTPS://a.example.com/x", "ftp://a.example.com/x.jpg", "http://127.0.0.1/x.jpg",
     "https://a.example.com/x.webp", "https://a.example.com/" + "x" * 2048, [], {}, ["x"]]
)  # fmt: skip

GENERATED = {model.workflow: entry(input_schema(model)) for model in LISTED}


@pytest.mark.parametrize(
    ("model", "sample"),
    [
        (tasks.TextToImage, samples.text_to_image),
        (tasks.ImageToVideo, samples.image_to_video),
        (tasks.VirtualTryOn, samples.virtual_try_on),
    ],
)
@given(data=st.data())
def test_a_built_in_workflow_and_its_schema_judge_alike(
    model: Any, sample: Callable[[], dict[str, Any]], data: st.DataObject
) -> None:
    """The schema is generated from the model: in each field it takes what the model takes, and no more."""
    algo_input = sample()["algoInput"]
    name = data.draw(st.sampled_from([*algo_input, "other"]))
    if data.draw(st.booleans()):
        algo_input[name] = data.draw(SCALARS)
    else:
        algo_input.pop(name, None)
    faults = dict(GENERATED[model.workflow].faults(algo_input))
    try:
        INPUTS[model.workflow].model_validate(algo_input)
    except ValueError:
        assert list(faults) == [f"algoInput.{name}"]
    else:
        assert faults == {}
