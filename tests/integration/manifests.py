"""The manifests of deploy/kubernetes, built by kustomize, and their containers, run on this machine."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.conditions import PATIENCE_S
from tests.integration.native import ROOT, SCRIPTS, Native, running
from tests.substitution import substituted

FOLDER = ROOT / "deploy" / "kubernetes"
BUILDS = ("base", "overlays/trial", "overlays/production")
Manifest = dict[str, Any]


@cache
def built(name: str) -> tuple[Manifest, ...]:
    """All objects of a kustomization."""
    command = [f"{SCRIPTS}/kubectl", "kustomize", str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def found(build: str, kind: str, name: str) -> Manifest:
    """The one object of this kind and name; a digest at the name's end is passed over."""
    names = re.compile(rf"{re.escape(name)}(-[a-z0-9]{{10}})?")
    (one,) = [
        each for each in built(build) if each["kind"] == kind and names.fullmatch(each["metadata"]["name"])
    ]
    return one


def pods(build: str) -> Iterator[tuple[str, Manifest]]:
    """Each Deployment's name, and the spec of its pods."""
    for each in built(build):
        if each["kind"] == "Deployment":
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def decoded(data: Mapping[str, str]) -> dict[str, str]:
    """What is in a secret."""
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


class NativePod:
    """A Deployment's pod, its volumes as folders of this machine.

    Args:
        secrets: what is in those that a person makes, by name and key.
        instead: what stands here for what is there: ports, addresses.
    """

    def __init__(
        self,
        build: str,
        deployment: str,
        folder: Path,
        *,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        instead: Mapping[str, str] | None = None,
    ) -> None:
        self._build, self._folder = build, folder / deployment
        self.spec = dict(pods(build))[deployment]
        self._instead = dict(instead or {})
        mounts = [each for one in containers(self.spec) for each in one.get("volumeMounts", [])]
        for mount in mounts:
            self._instead[mount["mountPath"]] = str(self._folder / mount["name"])
        for volume in self.spec["volumes"]:
            (self._folder / volume["name"]).mkdir(parents=True)
            for key, text in self._files(volume, secrets or {}).items():
                (self._folder / volume["name"] / key).write_text(self._here(text))

    def _files(self, volume: Manifest, secrets: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        if "configMap" in volume:
            config = found(self._build, "ConfigMap", volume["configMap"]["name"])
            return dict[str, str](config["data"])
        if "secret" in volume:
            name = volume["secret"]["secretName"]
            made = secrets.get(name)
            data = made if made is not None else decoded(found(self._build, "Secret", name)["data"])
            items = volume["secret"].get("items") or [{"key": key, "path": key} for key in data]
            return {item["path"]: data[item["key"]] for item in items}
        return {}

    def _here(self, text: str) -> str:
        return substituted(text, self._instead)

    @contextmanager
    def running(self, number: int = 0) -> Iterator[NativeContainer]:
        """Run the container of this number, those that go before the pod's own first."""
        container = containers(self.spec)[number]
        environment = {"HOME": str(self._folder), "TMPDIR": str(self._folder)}
        for source in container.get("envFrom", []):
            environment |= found(self._build, "ConfigMap", source["configMapRef"]["name"])["data"]
        environment |= {each["name"]: each["value"] for each in container.get("env", [])}
        environment = {name: self._here(text) for name, text in environment.items()}
        command = [
            re.sub(r"\$\((\w+)\)", lambda variable: environment[variable[1]], self._here(argument))
            for argument in container["args"]
        ]
        with running(command, environment, self._folder / f"{container['name']}.log") as native:
            yield NativeContainer(native, container, self._here)


class NativeContainer:
    """One of a pod's containers that runs here."""

    def __init__(self, native: Native, container: Manifest, here: Any) -> None:
        self.native, self._container, self._here = native, container, here

    @property
    def url(self) -> str:
        (port,) = self._container["ports"]
        return f"http://127.0.0.1:{self._here(str(port['containerPort']))}"

    def passes(self, probe: str) -> bool:
        """Whether the probe succeeds: ``startupProbe``, ``readinessProbe``, ``livenessProbe``."""
        asked = self._container[probe]
        if "exec" in asked:
            return self.native.succeeds([self._here(part) for part in asked["exec"]["command"]])
        try:
            return requests.get(f"{self.url}{asked['httpGet']['path']}", timeout=asked["timeoutSeconds"]).ok
        except requests.RequestException:
            return False

    def wait(self) -> None:
        """Until it has started, and is ready."""
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in self._container:
                self.native.wait(lambda probe=probe: self.passes(probe))  # type: ignore[misc]
