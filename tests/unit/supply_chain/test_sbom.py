"""`./dev sbom`: how the lock's hashes and the environment's licences become one document."""

from __future__ import annotations

from typing import Any

import pytest

from supply_chain.sbom import merged

HASHES = [{"alg": "SHA-256", "content": "0" * 64}]
DIST = {"type": "distribution", "url": "https://example.com/a/", "hashes": HASHES}
LICENCES = [{"license": {"id": "MIT"}}]


def component(name: str, version: str = "1", **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "bom-ref": f"{name}=={version}", "licenses": LICENCES, **more}


def installed(*components: dict[str, Any]) -> dict[str, Any]:
    depends = [
        {"ref": "root", "dependsOn": ["B_b==1", "dev==1"]}, {"ref": "B_b==1", "dependsOn": ["a==1"]},
        {"ref": "a==1"}, {"ref": "dev==1", "dependsOn": ["a==1"]},
    ]  # fmt: skip
    root = {"name": "aigc-worker", "bom-ref": "root"}
    return {"components": list(components), "dependencies": depends, "metadata": {"component": root}}


def locked(*names: str, version: str = "1") -> dict[str, Any]:
    return {"components": [component(name, version, externalReferences=[DIST]) for name in names]}


def test_each_locked_package_has_hash_and_licence() -> None:
    """By the name that indexes compare; what is installed beside the lock is left out."""
    environment = installed(component("dev"), component("B_b"), component("a"))
    document = merged(locked("b-b", "a"), environment)
    assert [each["name"] for each in document["components"]] == ["a", "B_b"]
    for each in document["components"]:
        assert each["externalReferences"][0]["hashes"] == HASHES
        assert each["licenses"] == LICENCES
    assert document["dependencies"] == [
        {"ref": "B_b==1", "dependsOn": ["a==1"]}, {"ref": "a==1"}, {"ref": "root", "dependsOn": ["B_b==1"]}
    ]  # fmt: skip


@pytest.mark.parametrize("lock", [locked("a", version="2"), locked("gone")])
def test_what_is_not_installed_as_it_is_locked_is_no_document(lock: dict[str, Any]) -> None:
    """A licence of another version would be a guess."""
    with pytest.raises(SystemExit, match="is not installed"):
        merged(lock, installed(component("a")))
