"""All errors that `tasks` raises on purpose have one root, and stay what they were."""

from __future__ import annotations

import ast
import builtins
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (tasks.InvalidPayload([("algoInput.seed", "must be an integer")]), ValueError),
        (tasks.SettingsError(["AIGC_QUEUE must be a name", "AIGC_RESULTS must be one"]), ValueError),
        (tasks.BrokerUnavailable("Redis is not available"), ConnectionError),
    ],
)
def test_one_root(error: tasks.AigcError, also: type[Exception]) -> None:
    """Caught as AigcError and as the builtin class of its kind; it survives a process pool."""
    assert isinstance(error, tasks.AigcError)
    assert isinstance(error, also)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def _bases() -> Iterator[tuple[str, list[str]]]:
    """Each public class of ours by its place, with what it derives from."""
    for package in ("tasks", "worker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", bases


def test_all_errors_have_one_root() -> None:
    """Whoever catches `tasks.AigcError` catches whatever is raised on purpose."""
    builtin = {name for name, each in vars(builtins).items() if isinstance(each, type)}
    errors = {name for name in builtin if issubclass(getattr(builtins, name), BaseException)}
    errors |= {"HTTPException", "RedisError"}
    rootless = [what for what, bases in _bases() if errors & {*bases} and "AigcError" not in bases]
    assert [what.rpartition(" ")[2] for what in rootless] == ["AigcError"]
