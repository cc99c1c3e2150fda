"""Alerts and dashboard: right by Prometheus's own tool, and of figures that the service has."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.http.conftest import PATIENT
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Memcached, eventually, free_port, service
from tests.support.tools import run, tool

PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
ALERTS = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"][0]["rules"]
NAMES = [alert["alert"] for alert in ALERTS]
TESTS = yaml.safe_load((PROMETHEUS / "alerts.test.yaml").read_text())["tests"]
DASHBOARD = json.loads((REPOSITORY / "deploy" / "grafana" / "cacheapi.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {"$__rate_interval": "1m", "$service": ".*", "$instance": ".*"}


def promtool(*arguments: object) -> str:
    """Run it; return what it said, which was that all is well."""
    done = run(tool("promtool"), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    copied = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, copied)
    (copied / "cacheapi-key").write_text("a-key")
    return copied


def test_prometheus_takes_the_alerts_and_the_example_of_its_settings(directory: Path) -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", directory / "alerts.yaml")
    promtool("check", "config", directory / "scrape.yaml")


def test_each_alert_fires_on_what_it_is_for(directory: Path) -> None:
    promtool("test", "rules", directory / "alerts.test.yaml")
    cases = [case for test in TESTS for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(NAMES)
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("expression", ["vector(0) > 1", "vector(1)"])
def test_an_alert_that_never_or_always_fires_would_be_noticed(
    directory: Path, name: str, expression: str
) -> None:
    path = directory / "alerts.yaml"
    document = yaml.safe_load(path.read_text())
    for alert in document["groups"][0]["rules"]:
        if alert["alert"] == name:
            alert["expr"] = expression
    path.write_text(yaml.safe_dump(document))
    done = run(tool("promtool"), "test", "rules", directory / "alerts.test.yaml")
    assert done.returncode != 0
    assert name in done.stdout + done.stderr


def test_each_alert_says_what_is_wrong_and_most_what_to_do() -> None:
    for alert in ALERTS:
        assert alert["annotations"]["summary"], alert
        assert alert["labels"]["severity"] in ("critical", "warning", "info"), alert
        assert ("action" in alert["annotations"]) is (alert["labels"]["severity"] != "info"), alert


def expressions() -> list[str]:
    found = [target["expr"] for panel in PANELS for target in panel["targets"]]
    for variable, value in VARIABLES.items():
        found = [expression.replace(variable, value) for expression in found]
    return found


def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


def test_the_panels_have_a_place_a_name_and_a_reason() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "service", "instance"}


def named(text: str) -> set[str]:
    """Return the families of metrics that a text names."""
    names: set[str] = set(re.findall(r"\bcacheapi_[a-z_]+", text))
    return {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in names}


def labels(text: str) -> set[str]:
    """Return the labels that a text groups or selects by."""
    grouped = re.findall(r"\bby \(([a-z_, ]+)\)", text)
    selected = re.findall(r"[{,]\s*([a-z_]+)\s*(?:=~|!~|!=|=)", text)
    shown = re.findall(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}", text)
    return {label.strip() for group in grouped for label in group.split(",")} | {*selected, *shown}


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, memcached_server: Memcached
) -> dict[str, set[str]]:
    """The families that a live service has at /metrics, each with its labels."""
    driver = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}"}
    directory = tmp_path_factory.mktemp("live")
    services = directory / "services.toml"
    services.write_text(
        '[[service]]\nname = "away"\ntype = "rws"\n'
        f'[service.config]\nbase_url = "http://127.0.0.1:{free_port()}"\n'
    )
    driver["CACHEAPI_SERVICES_FILE"] = str(services)
    with service(directory, WEB_CONCURRENCY="1", **PATIENT, **driver) as live:
        call(live.port, "GET", "/api/v2/away/no-answer")
        call(live.port, "DELETE", "/api/v2/away")
        call(live.port, "POST", CACHE, {"resource": [{"key": "a", "value": 1, "ttl": 60}]})
        call(live.port, "GET", f"{CACHE}/a")
        call(live.port, "GET", f"{CACHE}?keys=a,absent")
        call(live.port, "GET", CACHE, key="nobody's")
        # A value over the server's item limit.
        call(live.port, "POST", CACHE, {"key": "large", "value": "v" * 1_500_000})
        found: dict[str, set[str]] = {}

        def has_all() -> bool:
            # As scrape.yaml says.
            text = run(
                *(tool("curl"), "-sf", "-H", f"Authorization: Bearer {live.api_key}"),
                f"{live.url}/metrics",
            ).stdout
            for family in text_string_to_metric_families(text):
                have = found.setdefault(family.name, set())
                have.update(label for sample in family.samples for label in sample.labels)
            # The worker hands its counts over several times a second.
            late = {"backend_errors", "backend_items", "batch_size", "hits", "refused", "requests"}
            late |= {"responses", "origin_seconds", "origin_errors", "purges"}
            return {f"cacheapi_{name}" for name in late} <= found.keys()

        eventually(has_all, 60)
    return found


def test_the_alerts_and_the_dashboard_name_what_the_service_exports(
    exported: dict[str, set[str]],
) -> None:
    known = {label for have in exported.values() for label in have} | {"instance", "job"}
    alerts = " ".join(str(alert) for alert in ALERTS)
    # Their names are labels of the series ALERTS.
    dashboard = json.dumps(DASHBOARD).replace("alertname", "").replace("alertstate", "")
    for text in (alerts, dashboard.replace('"uid": "cacheapi"', "")):
        names = {re.sub(r"_total$", "", name) for name in named(text)}
        assert names <= exported.keys()
        assert labels(text) <= known | {"severity"}
    # And leave out nothing.
    own = {name for name in exported if name.startswith("cacheapi_")}
    assert own == {re.sub(r"_total$", "", name) for name in named(dashboard)}
