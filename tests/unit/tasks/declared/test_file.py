"""The file of declared workflows: what is right, and how a wrong one is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.declared.file import FILE_MAX_BYTES, load
from tests.unit.tasks.declared.entries import EXAMPLE, HEAD, read


def test_the_example_is_right() -> None:
    """It declares the older TEXT2IMAGE, and a private workflow in all versions."""
    declared, problems = load(str(EXAMPLE))
    assert problems == []
    assert set(declared.entries) == {("TEXT2IMAGE", "1.0.0"), ("LOOKBOOK", "*")}
    assert declared.names == {"TEXT2IMAGE", "LOOKBOOK"}


def test_an_exact_version_goes_before_any_version(tmp_path: Path) -> None:
    """And a version that the file does not name has no entry."""
    declared, problems = read(tmp_path, HEAD + HEAD.replace("1.0.0", "*") + HEAD.replace("FLOW", "OTHER"))
    assert problems == []
    found = [declared.find("FLOW", version) for version in ("1.0.0", "2", "*")]
    assert [each and each.version for each in found] == ["1.0.0", "*", "*"]
    assert declared.find("OTHER", "2") is None
    assert declared.find("flow", "1.0.0") is None
    assert declared.find([], {}) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "workflow must be one or more [[workflow]] tables"),
        ("workflow = 3", "workflow must be one or more [[workflow]] tables"),
        ("x = ", " must be TOML: Invalid value (at end of document)"),
        ("[[workflows]]", "'workflows' is unknown: the file has [[workflow]] tables"),
        (
            '[[workflow]]\nname = "A"',
            "[[workflow]] 1 (A): version must be a string of 1 to 100 printable"
            ' characters, or "*" for all others, got null',
        ),
        (
            '[[workflow]]\nname = "A"\nversion = 1',
            "[[workflow]] 1 (A): version must be a string of 1 to 100"
            ' printable characters, or "*" for all others, got 1',
        ),
        (
            '[[workflow]]\nversion = "1"',
            "[[workflow]] 1 (1): name must be a string of 1 to 100 printable characters, got null",
        ),
        (
            '[[workflow]]\nname = "A"\nversion = "1"',
            "[[workflow]] 1 (A 1): algoInput must be a table, a JSON Schema, got null",
        ),
        (
            '[[workflow]]\nname = "A"\nversion = "1"\nalgoinput = {}',
            "[[workflow]] 1 (A 1): 'algoinput' is"
            " unknown: a workflow has name, version, description, algoInput",
        ),
        (HEAD + HEAD, "[[workflow]] 2 (FLOW 1.0.0): is there twice; keep one"),
        (
            HEAD + "properties.x.type = 'strnig'",
            "[[workflow]] 1 (FLOW 1.0.0): algoInput.properties.x.type must"
            " be one of array, boolean, integer, null, number, object, string, or an array of these,"
            " got 'strnig'",
        ),
        (
            HEAD + "properties.x.maxLength = 'five'",
            "[[workflow]] 1 (FLOW 1.0.0):"
            " algoInput.properties.x.maxLength must be an integer of at least 0, got 'five'",
        ),
        (
            HEAD + "default = 2020-01-01",
            "[[workflow]] 1 (FLOW 1.0.0): algoInput.default must be a JSON value, got a date",
        ),
        (
            HEAD + "maximum = inf",
            "[[workflow]] 1 (FLOW 1.0.0): algoInput.maximum must be a finite number, got inf",
        ),
        (
            HEAD + "type = 'array'",
            "[[workflow]] 1 (FLOW 1.0.0): algoInput.type must be object: an algoInput is one",
        ),
    ],
)
def test_a_wrong_file_names_table_and_field(tmp_path: Path, text: str, problem: str) -> None:
    """Nothing of a file counts that is wrong in one place."""
    declared, problems = read(tmp_path, text)
    assert problem in problems
    assert not declared


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, a folder, other text than UTF-8, and one that is far too long."""
    assert load(str(tmp_path / "no"))[1] == [
        f"{tmp_path}/no must be a file that can be read: No such file or directory"
    ]
    assert "Is a directory" in load(str(tmp_path))[1][0]
    path = tmp_path / "x"
    path.write_bytes(b'name = "\xff"')
    assert load(str(path))[1] == [f"{path} must be UTF-8 text: byte 9 is none"]
    path.write_bytes(b"#" * (FILE_MAX_BYTES + 1))
    assert load(str(path))[1] == [
        f"{path} must be a file of workflows: it has more than {FILE_MAX_BYTES} bytes"
    ]
    path.write_text("x = " + "[" * 100_000)
    assert load(str(path))[1]
    assert "null" in load("a\0b")[1][0]


def test_the_digest_is_of_what_a_file_says(tmp_path: Path) -> None:
    """Not of blanks and comments, nor of the order of its tables."""
    other = HEAD.replace("FLOW", "OTHER")
    one, two = read(tmp_path, HEAD + other)[0], read(tmp_path, f"# a comment\n{other}\n{HEAD}")[0]
    assert one.digest == two.digest
    assert one.digest != read(tmp_path, HEAD)[0].digest
