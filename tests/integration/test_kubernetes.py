"""deploy/kubernetes, proven without a cluster: built by kustomize, its objects by Kubernetes' own schemas."""

from __future__ import annotations

import copy
import re
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.integration.manifests import BUILDS, FOLDER, Manifest, built, containers, found, pods
from tests.integration.native import ROOT
from tests.monitoring.files import dashboard_expressions, metrics_in
from tests.monitoring.rules import MANIFEST, manifest
from worker.config import settings
from worker.local.signals import EXTRA_GRACE_S
from worker.services.asgi import STOP_WITHIN_S

OLDEST, NEWEST = "1.30", "1.37"
"""Of Kubernetes; docs/how-to/deploy-kubernetes.md names them."""

OF_OPERATORS = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}
"""Kinds that Kubernetes itself does not know."""

PODS = [(build, name) for build in BUILDS for name, _ in pods(build)]
OURS = [(build, name) for build, name in PODS if name != "redis"]
PAGE = ROOT / "docs" / "how-to" / "deploy-kubernetes.md"


def objects(kind: str, build: str = "overlays/production") -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in built(build) if each["kind"] == kind}


def pod(build: str, name: str) -> Manifest:
    return dict(pods(build))[name]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("build", BUILDS)
def test_objects_fit_the_schemas_of_kubernetes(build: str, version: str) -> None:
    """Strictly: a field that is not there is an error, as is one of another type."""
    for each in built(build):
        if each["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(each, version, strict=True)


def test_a_field_that_is_not_there_would_be_told() -> None:
    """The check above is one: a slip of the pen in a pod's spec does not pass."""
    slip = copy.deepcopy(found("base", "Deployment", "aigc-worker"))
    spec = slip["spec"]["template"]["spec"]
    spec["terminationGraceSeconds"] = spec.pop("terminationGracePeriodSeconds")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(slip, NEWEST, strict=True)


@pytest.mark.parametrize(("build", "name"), PODS)
def test_pods_are_restricted(build: str, name: str) -> None:
    """By the pod security standard `restricted`, without a token, with a file system to read only."""
    spec = pod(build, name)

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    kinds = {kind for volume in spec["volumes"] for kind in volume}
    assert kinds <= {"name", "secret", "configMap", "emptyDir"}
    for container in containers(spec):
        allowed = container["securityContext"]
        assert allowed["allowPrivilegeEscalation"] is False
        assert allowed["readOnlyRootFilesystem"] is True
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])


@pytest.mark.parametrize(("build", "name"), OURS)
def test_the_environment_holds_settings_and_no_secret(build: str, name: str) -> None:
    """Secrets are files; no Service of a name like aigc-… puts variables beside the settings."""
    spec = pod(build, name)

    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsUser"] == 10001, "the user of the Dockerfile"
    for container in spec["containers"]:
        for each in container["env"]:
            assert each["name"].endswith("_FILE")
            assert each["value"].startswith("/run/secrets/")


@pytest.mark.parametrize(("build", "name"), PODS)
def test_what_a_pod_names_exists(build: str, name: str) -> None:
    """Its account and configuration; each mount is a volume; each secret is made, or the page says how."""
    spec = pod(build, name)
    configs, secrets = objects("ConfigMap", build), objects("Secret", build)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}

    assert spec.get("serviceAccountName", "default") in {"default", *objects("ServiceAccount", build)}
    for container in containers(spec):
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
        assert {each["configMapRef"]["name"] for each in container.get("envFrom", [])} <= set(configs)
    for volume in volumes.values():
        if "configMap" in volume:
            assert volume["configMap"]["name"] in configs
        if "secret" in volume:
            made, items = volume["secret"]["secretName"], volume["secret"].get("items", [])
            (told,) = re.findall(rf"secret generic {made} [^\n]*", PAGE.read_text()) or [""]
            assert made in secrets or told
            for item in items:
                assert item["key"] in secrets.get(made, {}).get("data", {}) or f"={item['key']}=" in told


@pytest.mark.parametrize("build", BUILDS)
def test_selectors_find_their_pods(build: str) -> None:
    """Of Services, budgets, network policies and spreads: a label that nobody has would be no protection."""
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in built(build)
        if each["kind"] == "Deployment"
    ]
    for each in built(build):
        spec = each.get("spec", {})
        wanted = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
        }.get(each["kind"])
        if wanted:
            assert any(wanted(spec).items() <= pod.items() for pod in labels), each["metadata"]
    for name, spec in pods(build):
        for spread in spec.get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}
            assert spread["whenUnsatisfiable"] == "ScheduleAnyway"


@pytest.mark.parametrize("build", BUILDS)
def test_a_worker_has_time_to_settle_what_is_in_flight(build: str) -> None:
    """By the defaults, and by what the manifests set: it is killed later than it may take."""
    given = found(build, "ConfigMap", "aigc-settings")["data"]
    read = settings.load({"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"} | given)
    spec = pod(build, "aigc-worker")

    longest_s = read.connect_timeout_s + read.read_timeout_s + EXTRA_GRACE_S
    assert spec["terminationGracePeriodSeconds"] >= longest_s + 10
    assert spec["containers"][0]["args"] == ["aigc", "worker"], (
        "no shell, which would keep the signal to itself"
    )


@pytest.mark.parametrize("name", ["aigc-ui", "aigc-events"])
def test_a_service_answers_what_it_was_asked(name: str) -> None:
    """It goes on for as long as requests may still be sent to it, and then for as long as an answer takes."""
    spec = pod("overlays/production", name)
    sleep_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert sleep_s >= 5
    assert spec["terminationGracePeriodSeconds"] >= sleep_s + STOP_WITHIN_S


@pytest.mark.parametrize("build", BUILDS)
def test_the_state_of_a_worker_outlives_its_container(build: str) -> None:
    """The folder that the image names is a volume of the pod, on disk; so is where files for a bucket lie."""
    (folder,) = re.findall(r"AIGC_STATE_DIR=(\S+)", (ROOT / "Dockerfile").read_text())
    spec = pod(build, "aigc-worker")
    mounted = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}

    for path in (folder, "/tmp"):
        assert volumes[mounted[path]]["emptyDir"].get("medium", "") == ""


def test_probes_wait_longer_than_health_takes() -> None:
    """The kubelet's one second would kill workers on a busy node; and a deaf one is not killed in haste."""
    container = pod("base", "aigc-worker")["containers"][0]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == ["aigc", "health"]
        assert container[probe]["timeoutSeconds"] >= 10
    assert container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"] >= 60
    assert "cpu" not in container["resources"]["limits"], "who is throttled misses its heartbeats"


def test_no_budget_keeps_a_node_from_being_drained() -> None:
    """Whatever the number of replicas, one pod may always go."""
    for budget in objects("PodDisruptionBudget").values():
        assert budget["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in budget["spec"]


def test_scaling_is_on_jobs_and_bounded() -> None:
    """KEDA alone sets the number, by metrics that exist, and never beyond what the shared limits let work."""
    spec = objects("ScaledObject")["aigc-worker"]["spec"]
    (trigger,) = spec["triggers"]
    given = found("overlays/production", "ConfigMap", "aigc-settings")["data"]
    concurrency, most = int(given["AIGC_CONCURRENCY"]), int(given["AIGC_MAX_INFLIGHT"])
    asked = trigger["metadata"]

    assert spec["scaleTargetRef"] == {"name": "aigc-worker"}
    assert "replicas" not in objects("Deployment")["aigc-worker"]["spec"]
    assert metrics_in(asked["query"]) == {"aigc_queue_jobs", "aigc_inflight_jobs"}
    assert metrics_in(asked["query"]) <= metrics_in(" ".join(dashboard_expressions()))
    assert int(asked["threshold"]) == 10 * concurrency
    assert asked["ignoreNullValues"] == "false", "no metrics is not no jobs"
    assert spec["maxReplicaCount"] * concurrency <= most
    assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    assert all(isinstance(text, str) for text in asked.values()), "KEDA takes strings alone"


def test_scaling_in_goes_slowly() -> None:
    """One pod at a time, no faster than it may take to stop; nothing flaps within five minutes."""
    spec = objects("ScaledObject")["aigc-worker"]["spec"]
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    grace_s = pod("overlays/production", "aigc-worker")["terminationGracePeriodSeconds"]

    assert down["stabilizationWindowSeconds"] >= 300
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": grace_s}]


def test_prometheus_scrapes_the_service_with_its_token() -> None:
    """By labels and a port that the Service has, with the token that `aigc ui` reads, and it is let in."""
    spec = objects("ServiceMonitor")["aigc"]["spec"]
    service = objects("Service")["aigc-ui"]
    (endpoint,) = spec["endpoints"]
    token = {volume["name"]: volume for volume in pod("overlays/production", "aigc-ui")["volumes"]}["token"]

    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert endpoint["authorization"]["credentials"] == {"name": token["secret"]["secretName"], "key": "token"}
    (rule,) = objects("NetworkPolicy")["aigc-ui"]["spec"]["ingress"]
    assert rule["ports"] == [{"port": 8090, "protocol": "TCP"}]


def test_the_operator_has_the_same_alerts() -> None:
    """The manifest is written from monitoring/alerts.yml."""
    assert MANIFEST.read_text() == manifest()
    alerts = yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text())
    spec = copy.deepcopy(objects("PrometheusRule")["aigc"]["spec"])
    for group in [*spec["groups"], *alerts["groups"]]:
        for rule in group["rules"]:
            rule["expr"] = " ".join(rule["expr"].split())  # kustomize folds lines in its own way
    assert spec == alerts


@pytest.mark.parametrize("build", BUILDS)
def test_nobody_asks_a_worker_and_it_asks_little(build: str) -> None:
    """In: nothing. Out: names and Redis for all, HTTPS for workers, never the cloud's metadata."""
    policies = objects("NetworkPolicy", build)
    of_all, of_workers = policies["aigc"]["spec"], policies["aigc-worker"]["spec"]

    assert (of_all["ingress"], of_all["policyTypes"]) == ([], ["Ingress", "Egress"])
    assert {port["port"] for rule in of_all["egress"] for port in rule["ports"]} == {53, 6379, 26379}
    (https,) = of_workers["egress"]
    assert https["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert "169.254.0.0/16" in https["to"][0]["ipBlock"]["except"]
    assert "Ingress" not in of_workers["policyTypes"]


def test_the_image_is_this_version() -> None:
    """The example of your own names the version that it is shipped with."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    images = {each["image"] for _, spec in pods("overlays/production") for each in containers(spec)}
    assert images == {f"registry.example/aigc-worker:{project['version']}"}


def test_no_redis_but_for_a_trial() -> None:
    """Where it is, it is said loudly what it is not for."""
    assert "redis" not in objects("Deployment", "base") | objects("Deployment")
    for name in ("kustomization.yaml", "redis.yaml"):
        assert "# NOT FOR PRODUCTION" in (FOLDER / "overlays" / "trial" / name).read_text()
