"""The manifests: right by the schemas, at one with each other, and with no right too many."""

from __future__ import annotations

import re
import shlex
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions

from cacheapi import load
from cacheapi.registry.opening import open_registry
from tests.deploy.containerfile import CONTAINERFILE, parse
from tests.deploy.test_cache_servers import MEMCACHED, options
from tests.support.processes import REPOSITORY

DIRECTORY = REPOSITORY / "deploy" / "kubernetes"
FILES = sorted(DIRECTORY.glob("*.yaml"))
EXAMPLES = sorted(DIRECTORY.glob("examples/*.yaml"))
RESOURCES = [
    resource for file in (*FILES, *EXAMPLES) for resource in yaml.safe_load_all(file.read_text())
]
# From the oldest in which all of their kinds are stable, to the newest.
VERSIONS = [version for version in all_versions() if tuple(map(int, version.split("."))) >= (1, 25)]


def named(kind: str, name: str = "cacheapi") -> dict[str, Any]:
    (found,) = [
        resource
        for resource in RESOURCES
        if (resource["kind"], resource["metadata"]["name"]) == (kind, name)
    ]
    return found


def pod(kind: str, name: str) -> dict[str, Any]:
    return named(kind, name)["spec"]["template"]["spec"]


PODS = {
    name: pod(kind, name)
    for kind, name in (("Deployment", "cacheapi"), ("StatefulSet", "memcached"))
}


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_the_schemas_of_kubernetes_take_them(version: str) -> None:
    for resource in RESOURCES:
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_schemas_are_strict() -> None:
    wrong = {**named("Service"), "spec": {**named("Service")["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_each_kind_is_there_and_in_the_namespace_that_comes_first() -> None:
    assert {resource["kind"] for resource in RESOURCES} == {
        *("Namespace", "Deployment", "StatefulSet", "Service", "PodDisruptionBudget"),
        *("HorizontalPodAutoscaler", "NetworkPolicy", "ConfigMap", "Secret", "ServiceAccount"),
    }
    assert FILES[0].name == "00-namespace.yaml"
    namespaced = [resource for resource in RESOURCES if resource["kind"] != "Namespace"]
    assert {resource["metadata"]["namespace"] for resource in namespaced} == {"cacheapi"}


@pytest.mark.parametrize("name", PODS)
def test_the_pods_are_restricted_as_the_namespace_demands(name: str) -> None:
    labels = named("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = PODS[name]
    assert spec["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
    assert {next(iter(set(volume) - {"name"})) for volume in spec.get("volumes", [])} <= {
        "configMap",
        "emptyDir",
    }


def test_what_refers_to_another_finds_it() -> None:
    labels = named("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels == named("Deployment")["spec"]["selector"]["matchLabels"]
    assert labels == named("Service")["spec"]["selector"]
    assert labels == named("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert labels == named("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    target = named("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert named(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    # It decides how many there are.
    assert "replicas" not in named("Deployment")["spec"]
    spec = PODS["cacheapi"]
    assert named("ServiceAccount", spec["serviceAccountName"])
    (container,) = spec["containers"]
    for source in container["envFrom"]:
        ((reference, target),) = source.items()
        assert named(
            {"configMapRef": "ConfigMap", "secretRef": "Secret"}[reference], target["name"]
        )
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert named("ConfigMap", volumes["services"]["configMap"]["name"])
    assert named("Service")["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    memcached = named("StatefulSet", "memcached")["spec"]
    assert memcached["serviceName"] == named("Service", "memcached")["metadata"]["name"]


def test_the_settings_start_the_service(tmp_path: Any) -> None:
    settings = dict(named("ConfigMap")["data"])
    services = tmp_path / "services.toml"
    mount = next(
        m for m in PODS["cacheapi"]["containers"][0]["volumeMounts"] if m["name"] == "services"
    )
    assert settings["CACHEAPI_SERVICES_FILE"] == f"{mount['mountPath']}/{services.name}"
    text = named("ConfigMap", "cacheapi-services")["data"][services.name]
    for shown in (text, re.sub(r"^# ", "", text, flags=re.MULTILINE)):
        services.write_text(shown)
        secret = {**named("Secret")["stringData"], "CACHEAPI_DATABASE_URL": ""}
        changed = {"CACHEAPI_SERVICES_FILE": str(services), "CACHEAPI_DATA_DIR": str(tmp_path)}
        loaded = load({**settings, **secret, **changed}, None)
        assert loaded.warnings == ()
        registry = open_registry(loaded)
        assert (registry.find("sessions") is not None) is (shown != text)
        registry.close()


def test_the_pool_is_the_pods_that_there_are() -> None:
    servers = named("ConfigMap")["data"]["MEMCACHED_HOST"].split(",")
    memcached = named("StatefulSet", "memcached")
    name = memcached["spec"]["serviceName"]
    assert servers == [
        f"memcached-{number}.{name}.cacheapi.svc:11211"
        for number in range(memcached["spec"]["replicas"])
    ]
    (container,) = PODS["memcached"]["containers"]
    own = shlex.join(options(MEMCACHED.read_text()))
    elsewhere = own.replace("-l 127.0.0.1 ", "").replace("-u memcache ", "")
    assert shlex.join(container["args"]) == elsewhere


def test_it_is_asked_where_the_image_answers() -> None:
    image = dict(parse(CONTAINERFILE.read_text()))
    (container,) = PODS["cacheapi"]["containers"]
    assert str(container["ports"][0]["containerPort"]) == image["EXPOSE"]
    assert str(PODS["cacheapi"]["securityContext"]["runAsUser"]) == image["USER"]
    assert image["VOLUME"] in [mount["mountPath"] for mount in container["volumeMounts"]]
    paths = {
        name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")
    }
    assert paths == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    # Longer than the service waits for its caches.
    waits = load({}, None)["CACHEAPI_READY_TIMEOUT_MS"] / 1000
    assert container["readinessProbe"]["timeoutSeconds"] > waits


def test_the_caches_let_in_the_service_alone() -> None:
    policy = named("NetworkPolicy", "cacheapi-caches")["spec"]
    (expression,) = policy["podSelector"]["matchExpressions"]
    assert "memcached" in expression["values"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "cacheapi"}}}
    ]
    reached = {
        target["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for rule in named("NetworkPolicy")["spec"]["egress"]
        for target in rule["to"]
        if "podSelector" in target
    }
    assert reached == set(expression["values"])


def test_no_secret_is_applied_with_the_rest() -> None:
    assert [
        resource["kind"] for file in EXAMPLES for resource in yaml.safe_load_all(file.read_text())
    ] == ["Secret"]
    assert not any("kind: Secret" in file.read_text() for file in FILES)
