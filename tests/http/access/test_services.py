"""``/api/v2/system/service``: services made, changed, tried and deleted over the API."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi import SettingsError, create_app, load
from cacheapi.registry.vault import MASK
from tests.http.client import API_KEY, AppApi, FileStore
from tests.http.conftest import make_app_api
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    eventually,
    free_port,
    memcached,
)

SERVICES = "/api/v2/system/service"
HUSH = "hush-hush-7"


def open_api(directory: Path, **settings: str) -> AppApi:
    return make_app_api("file", FileStore(directory), directory, **settings)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[AppApi]:
    made = open_api(tmp_path)
    yield made
    made.close()


def make(api: AppApi, **fields: Any) -> int:
    answer = api.call("POST", SERVICES, body={"resource": [fields]})
    assert answer.status == 201, answer
    (made,) = answer.json["resource"]
    assert list(made) == ["id", "name", "warnings"]
    assert made["name"] == fields["name"]
    number: int = made["id"]
    return number


def get(api: AppApi, reference: object) -> dict[str, Any]:
    answer = api.call("GET", f"{SERVICES}/{reference}")
    assert answer.status == 200
    shown: dict[str, Any] = answer.json
    return shown


def names(api: AppApi, query: str | None = None) -> list[str]:
    listed = api.call("GET", SERVICES, query=query).json["resource"]
    return [service["name"] for service in listed]


def faults(api: AppApi, method: str, path: str, body: Any) -> list[tuple[int | None, str]]:
    answer = api.call(method, path, body=body)
    assert answer.status == 400, answer
    errors = answer.error["context"]["errors"]
    assert errors[0]["message"] in answer.message
    return [(error["index"], error["field"]) for error in errors]


def test_a_service_is_a_cache_at_once(api: AppApi, memcached_server: Memcached) -> None:
    number = make(
        api,
        name="sessions",
        label="Sessions",
        description="Who is signed in.",
        type="cache_memcached",
        config={"port": memcached_server.port, "prefix": "s:"},
    )
    assert get(api, "sessions") == get(api, number)
    assert get(api, number) == {
        "id": number,
        "name": "sessions",
        "aliases": [],
        "label": "Sessions",
        "description": "Who is signed in.",
        "type": "cache_memcached",
        "is_active": True,
        "config": {
            "host": "127.0.0.1",
            "port": memcached_server.port,
            "ketama_compatible": False,
            "discovery": "off",
            "username": None,
            "password": None,
            "auth": "sasl",
            "tls": False,
            "tls_ca": None,
            "tls_cert": None,
            "tls_key": None,
            "tls_verify": True,
            "persistent_id": None,
            "prefix": "s:",
            "timeout_ms": 250,
            "default_ttl": 300,
            "values": "json",
            "json_flags": None,
            "raw_bytes": False,
        },
        "source": "database",
        "fault": None,
        "warnings": [],
    }
    assert api.call("POST", "/api/v2/sessions", body={"key": "k", "value": [1]}).status == 201
    assert memcached_server.say(b"get s:k\r\n").split()[4:] == [b"[1]", b"END"]
    assert "sessions" in [
        service["name"] for service in api.call("GET", "/api/v2").json["services"]
    ]
    assert api.call("GET", f"{SERVICES}/sessions/capabilities").status == 200


def test_the_form_is_that_of_the_document(api: AppApi) -> None:
    types = api.call("GET", "/api/v2/system/service_type").json["resource"]
    forms = {kind["name"]: kind["config_schema"] for kind in types}
    fields = {field["name"]: field for field in forms["cache_memcached"]}
    assert fields["host"]["default"] == "127.0.0.1"
    assert fields["port"]["default"] == 11211
    assert fields["default_ttl"]["default"] == 300
    assert fields["port"]["type"] == fields["default_ttl"]["type"] == "integer"
    assert fields["password"]["secret"] is True
    local = {field["name"]: field["unit"] for field in forms["cache_local"]}
    assert local == {"max_mb": "MiB", "default_ttl": "min", "values": None, "raw_bytes": None}
    assert {field["name"]: field["unit"] for field in forms["rws"] if field["unit"]} == {
        **dict.fromkeys(("cache_ttl", "stale_while_revalidate", "stale_if_error"), "s"),
        **dict.fromkeys(("connect_timeout_ms", "read_timeout_ms", "local_ms"), "ms"),
        "max_body_kb": "KiB",
    }
    for form in forms.values():
        for field in form:
            assert list(field) == [
                *("name", "label", "type", "required", "default", "description", "allowed"),
                *("unit", "secret"),
            ]
            # Whose number has a unit says it to people too.
            label, _, unit = field["label"].partition(" (")
            assert label
            assert unit.removesuffix(")") == (field["unit"] or "")
            assert field["description"].endswith(".")
    # What a form shows is what it may send.
    for kind, form in forms.items():
        if kind == "rws":
            # It must have an address.
            continue
        config = {field["name"]: field["default"] for field in form}
        made = make(api, name="s", type=kind, config=config)
        own = {"prefix": "s:"} if "prefix" in config else {}
        assert get(api, made)["config"] == {**config, **own}
        assert api.call("DELETE", f"{SERVICES}/{made}").status == 200


def test_services_are_listed_by_type(api: AppApi) -> None:
    make(api, name="b", type="cache_memcached")
    make(api, name="a", type="cache_local")
    assert names(api) == ["a", "b", "cache"]
    assert names(api, "filter=type%3Dcache_memcached") == ["b"]
    assert names(api, "filter=(type='cache_local')") == ["a", "cache"]
    assert names(api, "filter=type=cache_none") == []
    assert api.call("GET", SERVICES, query="filter=name=a").status == 400


def test_the_default_lifetime_is_in_minutes(api: AppApi, memcached_server: Memcached) -> None:
    config = {"port": memcached_server.port, "prefix": "ttl:", "default_ttl": 2}
    config["timeout_ms"] = 3000
    make(api, name="s", type="cache_memcached", config=config)
    api.call("POST", "/api/v2/s", body={"key": "k", "value": 1})
    (_, mark) = memcached_server.say(b"mg ttl:k t\r\n").split()
    # memcached gets two seconds more, lest the value be gone before its time.
    assert 110 < int(mark[1:]) <= 122


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Upper"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "system"}, "name"),
        ({"name": "docs"}, "name"),
        ({"name": "cache"}, "name"),
        ({"name": "local"}, "name"),
        ({"name": 7}, "name"),
        ({"type": "cache_none"}, "type"),
        ({"type": None}, "type"),
        ({"label": "a\x00b"}, "label"),
        ({"label": "x" * 1001}, "label"),
        ({"description": 1}, "description"),
        ({"is_active": "yes"}, "is_active"),
        ({"config": []}, "config"),
        ({"configs": {}}, "configs"),
        ({"id": 7}, "id"),
        ({"config": {"port": 0}}, "config.port"),
        ({"config": {"port": True}}, "config.port"),
        ({"config": {"port": 1.5}}, "config.port"),
        ({"config": {"port": 10**400}}, "config.port"),
        ({"config": {"host": "a b"}}, "config.host"),
        ({"config": {"host": ["a"]}}, "config.host"),
        ({"config": {"hosts": "a"}}, "config.hosts"),
        ({"config": {"default_ttl": -1}}, "config.default_ttl"),
        ({"config": {"password": "x"}}, "config.username"),
        ({"config": {"username": "x", "password": MASK}}, "config.password"),
        ({"config": {"prefix": "a b"}}, "config.prefix"),
        ({"config": {"data_dir": "/etc"}}, "config.data_dir"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    api: AppApi, fields: dict[str, Any], field: str
) -> None:
    good = {"name": "good", "type": "cache_memcached"}
    bad = {"name": "bad", "type": "cache_memcached", **fields}
    body = {"resource": [good, bad]}
    assert faults(api, "POST", SERVICES, body)[0] == (1, field)
    assert names(api) == ["cache"]
    assert api.call("GET", "/api/v2/good/k").status == 404


def test_every_fault_of_every_item_is_named(api: AppApi) -> None:
    make(api, name="a", type="cache_local")
    body = {
        "resource": [
            {"name": "a", "type": "cache_local"},
            {"type": "cache_local"},
            {"name": "b", "type": "cache_local", "config": {"max_mb": "x", "y": 1}},
            {"name": "c", "type": "cache_local"},
            {"name": "c", "type": "cache_local"},
        ]
    }
    assert faults(api, "POST", SERVICES, body) == [
        (0, "name"),
        (1, "name"),
        (2, "config.max_mb"),
        (2, "config.y"),
        (4, "name"),
    ]


@pytest.mark.parametrize("body", [[], {"resource": []}, {"resource": [1]}, "x", {"resource": {}}])
def test_a_body_of_another_shape_is_refused(api: AppApi, body: Any) -> None:
    assert api.call("POST", SERVICES, body=body).status == 400


def test_a_change_leaves_what_is_not_given(api: AppApi, memcached_server: Memcached) -> None:
    config = {"port": 1, "prefix": "x:"}
    number = make(api, name="s", label="S", type="cache_memcached", config=config)
    assert api.call("GET", "/api/v2/s/k").status == 500
    change = {"config": {"port": memcached_server.port}}
    assert api.call("PATCH", f"{SERVICES}/s", body=change).status == 200
    assert get(api, "s")["label"] == "S"
    assert get(api, "s")["config"]["prefix"] == "x:"
    assert api.call("GET", "/api/v2/s/k").status == 404
    assert api.call("PATCH", f"{SERVICES}/s", body={"config": {"prefix": None}}).status == 200
    assert get(api, "s")["config"]["prefix"] == "s:"
    assert api.call("PUT", f"{SERVICES}/s", body={"label": "new"}).status == 200
    assert get(api, "s")["config"]["port"] == 11211
    assert get(api, "s")["label"] == "new"
    assert get(api, "s")["id"] == number
    for body, field in [
        ({"type": "cache_local"}, "type"),
        ({"name": "cache"}, "name"),
        ({"config": {"port": 0}}, "config.port"),
        ({"config": {"username": "x"}}, "config.username"),
        ({"x": 1}, "x"),
    ]:
        assert faults(api, "PATCH", f"{SERVICES}/s", body) == [(None, field)]


def test_a_service_may_get_another_name_and_keeps_its_values(api: AppApi) -> None:
    number = make(api, name="old", type="cache_local")
    api.call("POST", "/api/v2/old", body={"key": "k", "value": 1})
    assert api.call("PATCH", f"{SERVICES}/{number}", body={"name": "new"}).status == 200
    assert api.call("GET", "/api/v2/new/k").json["value"] == 1
    assert api.call("GET", "/api/v2/old/k").status == 404


def test_a_service_that_is_not_active_is_a_404_that_says_so(api: AppApi) -> None:
    make(api, name="s", type="cache_local", is_active=False)
    answer = api.call("GET", "/api/v2/s/k")
    assert (answer.status, answer.message) == (404, "Service 's' is not active.")
    # Programs can tell it from a miss, and from a name that is misspelt.
    assert answer.error["context"] == {"reason": "service_off"}
    unknown = api.call("GET", "/api/v2/q/k")
    assert (unknown.status, unknown.error["context"]) == (404, {"reason": "unknown_service"})
    missed = api.call("GET", "/api/v2/cache/k")
    assert (missed.status, missed.error["context"]) == (404, None)
    listed = api.call("GET", "/api/v2").json["services"]
    assert [service["name"] for service in listed] == ["cache"]
    api.call("PATCH", f"{SERVICES}/s", body={"is_active": True})
    assert api.call("GET", "/api/v2/s/k").message == "Key 'k' does not exist."


def test_files_of_services_are_apart_and_go_with_them(
    api: AppApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cacheapi.registry.retired.SECONDS", 0.1)
    numbers = [make(api, name=name, type="cache_local") for name in ("a", "b")]
    for name in ("a", "b", "cache"):
        api.call("POST", f"/api/v2/{name}", body={"key": "k", "value": name})
    for name in ("a", "b", "cache"):
        assert api.call("GET", f"/api/v2/{name}/k").json["value"] == name
    kept = tmp_path / "services"
    assert sorted(path.name for path in kept.iterdir()) == [str(number) for number in numbers]
    assert api.call("DELETE", f"{SERVICES}/a").status == 200
    assert api.call("GET", "/api/v2/a/k").status == 404
    eventually(lambda: [path.name for path in kept.iterdir()] == [str(numbers[1])])
    assert make(api, name="a", type="cache_local") > max(numbers)
    assert api.call("GET", "/api/v2/a/k").message == "Key 'k' does not exist."
    assert api.call("GET", "/api/v2/b/k").json["value"] == "b"


def test_a_deleted_service_closes_its_connections(
    api: AppApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with memcached() as server:
        make(api, name="s", type="cache_memcached", config={"port": server.port})
        assert api.call("GET", "/api/v2/s/k").status == 404

        def connections() -> int:
            # One is that of the question.
            return int(server.statistics()["curr_connections"]) - 1

        before = connections()
        assert api.call("DELETE", f"{SERVICES}/s").status == 200
        eventually(lambda: connections() == before - 1)


def test_a_change_of_words_keeps_the_connections(api: AppApi) -> None:
    with memcached() as server:
        make(api, name="s", type="cache_memcached", config={"port": server.port})
        api.call("GET", "/api/v2/s/k")
        opened = int(server.statistics()["total_connections"])
        api.call("PATCH", f"{SERVICES}/s", body={"label": "words", "name": "t"})
        api.call("GET", "/api/v2/t/k")
        assert int(server.statistics()["total_connections"]) == opened + 1


@pytest.mark.parametrize("reference", ["nothing", "999", "0", "-1", "9" * 400, "S"])
def test_what_there_is_not_is_a_404(api: AppApi, reference: str) -> None:
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = api.call(method, f"{SERVICES}/{reference}", body={"label": "x"})
        assert answer.status == 404, method
        assert answer.message == f"Service '{reference}' does not exist."
    assert api.call("POST", f"{SERVICES}/{reference}/test").status == 404


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_what_the_environment_sets_up_is_changed_there(api: AppApi, method: str) -> None:
    answer = api.call(method, f"{SERVICES}/cache", body={"label": "x"})
    assert answer.status == 400
    assert "set up in the environment" in answer.message
    assert get(api, "cache")["source"] == "environment"
    assert get(api, "cache")["id"] is None


# Secrets


def test_a_secret_is_kept_but_never_shown(
    tmp_path: Path, sasl_server: Memcached, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = open_api(tmp_path)
    config = {"port": sasl_server.port, "username": SASL_USER, "password": SASL_PASSWORD}
    answers = [
        api.call("POST", SERVICES, body={"name": "s", "type": "cache_memcached", "config": config})
    ]
    assert api.call("GET", "/api/v2/s/never-stored").status == 404
    for body in ({"config": {"password": MASK}}, {"label": "x"}, {"config": {"timeout_ms": 999}}):
        answers.append(api.call("PATCH", f"{SERVICES}/s", body=body))
        assert answers[-1].json["config"]["password"] == MASK
        assert api.call("GET", "/api/v2/s/never-stored").status == 404
    answers.append(api.call("PUT", f"{SERVICES}/s", body={"config": {**config, "password": MASK}}))
    assert api.call("GET", "/api/v2/s/never-stored").status == 404
    answers.append(api.call("GET", SERVICES))
    answers.append(api.call("POST", f"{SERVICES}/s/test"))
    assert answers[-1].json["success"] is True
    answers.append(api.call("POST", f"{SERVICES}/s/test", body={"config": {"timeout_ms": 900}}))
    assert answers[-1].json["success"] is True
    answers.append(api.call("POST", f"{SERVICES}/s/test", body={"config": {"password": HUSH}}))
    assert answers[-1].json["success"] is False
    assert "user name and password" in answers[-1].json["cause"]
    api.close()
    for answer in answers:
        assert SASL_PASSWORD.encode() not in answer.body
        assert HUSH.encode() not in answer.body
    assert SASL_PASSWORD not in caplog.text
    assert HUSH not in caplog.text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SASL_PASSWORD.encode() not in path.read_bytes()
    again = open_api(tmp_path)
    assert again.call("GET", "/api/v2/s/never-stored").status == 404
    again.close()


def test_with_another_secret_key_a_service_says_why_and_the_others_work(tmp_path: Path) -> None:
    config = {"username": "u", "password": HUSH, "port": free_port()}
    api = open_api(tmp_path, CACHEAPI_SECRET_KEY="1" * 32)
    make(api, name="sealed", type="cache_memcached", config=config)
    make(api, name="plain", type="cache_local")
    api.close()
    api = open_api(tmp_path, CACHEAPI_SECRET_KEY="2" * 32)
    assert "another secret key" in get(api, "sealed")["fault"]
    assert get(api, "sealed")["config"]["password"] is None
    assert get(api, "plain")["fault"] is None
    assert api.call("GET", "/api/v2/plain/k").status == 404
    answer = api.call("GET", "/api/v2/sealed/k")
    assert answer.status == 500
    assert "settings that cannot be used" in answer.message
    # Other fields can change, and the secret waits for its key.
    assert api.call("PATCH", f"{SERVICES}/sealed", body={"label": "x"}).status == 200
    assert faults(api, "PATCH", f"{SERVICES}/sealed", {"config": {"password": MASK}}) == [
        (None, "config.password")
    ]
    api.close()
    api = open_api(tmp_path, CACHEAPI_SECRET_KEY="1" * 32)
    assert get(api, "sealed")["fault"] is None
    assert get(api, "sealed")["label"] == "x"
    assert get(api, "sealed")["config"]["password"] == MASK
    api.close()


# Trials


def steps(outcome: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(step["name"], step["success"]) for step in outcome["steps"]]


ALL_STEPS = [(name, True) for name in ("configure", "connect", "write", "read", "delete")]


def test_a_trial_leaves_nothing(api: AppApi, memcached_server: Memcached) -> None:
    before = int(memcached_server.statistics()["curr_items"])
    body = {"type": "cache_memcached", "config": {"port": memcached_server.port}}
    outcome = api.call("POST", f"{SERVICES}/test", body=body).json
    assert steps(outcome) == ALL_STEPS
    assert outcome["success"] is True
    assert outcome["cause"] is None
    assert all(step["ms"] >= 0 for step in outcome["steps"])
    assert int(memcached_server.statistics()["curr_items"]) == before
    assert names(api) == ["cache"]


@pytest.mark.parametrize("name", ["cache", "s", "inactive"])
def test_a_saved_service_is_tried_as_it_is(api: AppApi, tmp_path: Path, name: str) -> None:
    make(api, name="s", type="cache_local")
    make(api, name="inactive", type="cache_local", is_active=False)
    assert steps(api.call("POST", f"{SERVICES}/{name}/test").json) == ALL_STEPS
    assert api.call("POST", f"{SERVICES}/{name}/test", body={}).json["success"] is True
    assert not list(tmp_path.glob("trial.*"))


def test_a_trial_says_what_is_likely_wrong(api: AppApi) -> None:
    make(api, name="s", type="cache_memcached", config={"port": free_port()})
    outcome = api.call("POST", f"{SERVICES}/s/test").json
    assert steps(outcome) == [("configure", True), ("connect", False)]
    assert outcome["success"] is False
    assert "Connection refused" in outcome["steps"][1]["message"]
    assert "is the server running" in outcome["cause"]
    with memcached() as server:
        server.pause()
        body = {"config": {"port": server.port, "timeout_ms": 50}}
        outcome = api.call("POST", f"{SERVICES}/s/test", body=body).json
        server.resume()
    assert "Nothing answered in time" in outcome["cause"]
    body = {"config": {"username": "x"}}
    outcome = api.call("POST", f"{SERVICES}/s/test", body=body).json
    assert steps(outcome) == [("configure", False)]
    assert "do not go together" in outcome["cause"]
    assert "MEMCACHED" not in str(outcome)


def test_a_trial_of_bad_fields_is_a_400(api: AppApi) -> None:
    make(api, name="s", type="cache_local")
    body = {"config": {"max_mb": 0}}
    assert faults(api, "POST", f"{SERVICES}/s/test", body) == [(None, "config.max_mb")]
    assert faults(api, "POST", f"{SERVICES}/test", {"type": "x"}) == [(None, "type")]
    for wrong in ([], {"config": 1}, {"x": {}}, {"config": {}, "x": 1}):
        assert api.call("POST", f"{SERVICES}/s/test", body=wrong).status == 400


# The file


FILE = """
[[service]]
name = "declared"
label = "Declared"
type = "cache_memcached"
[service.config]
port = {port}
default_ttl = 5

[[service]]
name = "other"
type = "cache_local"
"""


def test_a_file_declares_services(tmp_path: Path, memcached_server: Memcached) -> None:
    file = tmp_path / "services.toml"
    file.write_text(FILE.format(port=memcached_server.port))
    api = open_api(tmp_path / "data", CACHEAPI_SERVICES_FILE=str(file))
    assert names(api) == ["cache", "declared", "other"]
    assert get(api, "declared")["source"] == "file"
    assert get(api, "declared")["config"]["default_ttl"] == 5
    assert api.call("POST", "/api/v2/declared", body={"key": "k", "value": 1}).status == 201
    answer = api.call("PATCH", f"{SERVICES}/declared", body={"label": "x"})
    assert answer.status == 400
    assert "CACHEAPI_SERVICES_FILE" in answer.message
    assert faults(api, "POST", SERVICES, {"name": "other", "type": "cache_local"}) == [(0, "name")]

    file.write_text('[[service]]\nname = "later"\ntype = "cache_local"\n')
    eventually(lambda: names(api) == ["cache", "later"], 2)
    file.write_text("nonsense")
    eventually(lambda: api.call("GET", "/api/v2/later/k").status == 404, 2)
    assert names(api) == ["cache", "later"]
    api.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[service]", "is not TOML"),
        ("service = 1", "must have tables"),
        ("[[services]]", "must have tables"),
        ("service = [1]", "must be a table"),
        ('[[service]]\ntype = "cache_local"', "service 1: name: It must be given"),
        ('[[service]]\nname = "a"\ntype = "x"', "service 'a': type: There is no type 'x'"),
        ('[[service]]\nname = "cache"\ntype = "cache_local"', "'cache' is given to two"),
        ('[[service]]\nname = "a"\ntype = "cache_local"\n' * 2, "'a': the name is there twice"),
        (
            '[[service]]\nname="a"\ntype="cache_memcached"\nconfig={password="hush"}',
            "service 'a': username and password: set both of them",
        ),
        (
            '[[service]]\nname="a"\ntype="cache_redis"\nconfig={url="hush"}',
            "service 'a': config.url: The given value is not allowed",
        ),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_stops_the_start_with_one_line(
    tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "services.toml"
    if text is not None:
        file.write_text(text)
    environ = {"CACHEAPI_DATA_DIR": str(tmp_path), "CACHEAPI_SERVICES_FILE": str(file)}
    with pytest.raises(SettingsError) as raised:
        create_app(load(environ, None))
    line = str(raised.value)
    assert message in line
    assert "\n" not in line
    assert "hush" not in line


def test_a_name_of_two_sources_stops_the_start(tmp_path: Path) -> None:
    api = open_api(tmp_path)
    make(api, name="redis", type="cache_local")
    api.close()
    file = tmp_path / "services.toml"
    file.write_text('[[service]]\nname = "redis"\ntype = "cache_local"\n')
    for settings in ({"CACHEAPI_SERVICES_FILE": str(file)}, {"CACHE_DRIVER": "redis"}):
        environ = {"CACHEAPI_DATA_DIR": str(tmp_path), "CACHEAPI_API_KEY": API_KEY, **settings}
        with pytest.raises(SettingsError, match="'redis' is given to two services"):
            create_app(load(environ, None))


def test_what_the_environment_says_is_shown_and_its_secrets_go_nowhere(tmp_path: Path) -> None:
    variables = {"CACHE_DRIVER": "redis", "REDIS_PASSWORD": HUSH, "REDIS_TIMEOUT_MS": "700"}
    variables |= {"REDIS_URL": f"redis://someone:{HUSH}@127.0.0.1:1/0"}
    with contextlib.closing(open_api(tmp_path, **variables)) as api:
        shown = api.call("GET", f"{SERVICES}/cache")
        assert HUSH not in shown.body.decode()
        config = shown.json["config"]
        assert (config["password"], config["url"], config["timeout_ms"]) == (MASK, MASK, 700)
        # A mask is no password that could be tried elsewhere.
        elsewhere = {"host": "127.0.0.1", "port": 1, "password": MASK}
        body = {"name": "cache", "type": "cache_redis", "config": elsewhere}
        assert api.call("POST", f"{SERVICES}/test", body=body).status == 400
        body = {"config": {"port": 1}}
        assert api.call("POST", f"{SERVICES}/cache/test", body=body).status == 400


def test_changes_are_in_the_audit_log(api: AppApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    make(api, name="s", type="cache_memcached", config={"username": "u", "password": HUSH})
    api.call("PATCH", f"{SERVICES}/s", body={"config": {"password": "hush-2"}})
    api.call("PATCH", f"{SERVICES}/s", body={"config": {"password": ""}})
    api.call("PATCH", f"{SERVICES}/s", body={"is_active": False})
    # What changes nothing is no change.
    assert api.call("PATCH", f"{SERVICES}/s", body={"is_active": False}).status == 200
    api.call("PATCH", f"{SERVICES}/s", body={"is_active": True, "label": "New"})
    same = {"label": "New", "config": {"username": "u"}}
    assert api.call("PATCH", f"{SERVICES}/s", body=same).status == 200
    api.call("DELETE", f"{SERVICES}/s")
    make(api, name="t", type="cache_local")
    assert api.call("DELETE", "/api/v2/t").status == 200
    assert api.call("DELETE", "/api/v2/cache").status == 200
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f'API key "CACHEAPI_API_KEY" {what}'
        for what in (
            'created service 1 "s"',
            'changed service 1 "s" (password)',
            'changed service 1 "s" (switched off)',
            'changed service 1 "s" (label, is_active)',
            'deleted service 1 "s"',
            'created service 2 "t"',
            'flushed service 2 "t"',
            'flushed service "cache"',
        )
    ]


def pages(api: AppApi, path: str, query: str = "") -> list[list[Any]]:
    """Return all pages of a list, following ``meta.next``."""
    found, cursor = [], ""
    while True:
        answer = api.call("GET", path, query="&".join(filter(None, (query, cursor))))
        assert answer.status == 200, answer.body
        found.append(answer.json["resource"])
        if answer.json["meta"]["next"] is None:
            return found
        cursor = f"cursor={answer.json['meta']['next']}"


def test_services_come_in_pages(api: AppApi) -> None:
    items = [{"name": f"s{n}", "type": "cache_local", "label": f"Nº {n % 3}"} for n in range(7)]
    api.call("POST", SERVICES, body={"resource": items})
    found = pages(api, SERVICES, "limit=3")
    assert [len(page) for page in found] == [3, 3, 2]
    listed = [each["name"] for page in found for each in page]
    assert listed == ["cache", *(f"s{n}" for n in range(7))]
    assert pages(api, SERVICES, "limit=8") == [[each for page in found for each in page]]
    answer = api.call("GET", SERVICES, query="limit=2&search=n%C2%BA%201")
    assert [each["name"] for each in answer.json["resource"]] == ["s1", "s4"]
    assert answer.json["meta"] == {"next": None, "count": 2}
    answer = api.call("GET", SERVICES, query="limit=1&search=S&filter=type=cache_local")
    # The label of the system cache has one too.
    assert answer.json["meta"] == {"next": "cache", "count": 8}
    answer = api.call("GET", SERVICES, query="search=s&filter=type=cache_redis")
    assert answer.json["meta"] == {"next": None, "count": 0}
    # A page after a name that is gone meanwhile is the one that would have followed it.
    api.call("DELETE", f"{SERVICES}/s2")
    answer = api.call("GET", SERVICES, query="limit=2&cursor=s2")
    assert [each["name"] for each in answer.json["resource"]] == ["s3", "s4"]
    for query in ("limit=0", "limit=1001", "limit=x"):
        assert api.call("GET", SERVICES, query=query).status == 400


def test_api_keys_come_in_pages(api: AppApi) -> None:
    path = "/api/v2/system/api_key"
    rules = [{"service": "cache", "verbs": ["PUT", "GET"], "keys": "u:*"}]
    limit = {"requests": 5, "seconds": 60}
    items = [{"name": f"Key 1{n}%", "rules": rules, "rate_limit": limit} for n in range(5)]
    made = api.call("POST", path, body={"resource": items}).json["resource"]
    found = pages(api, path, "limit=2")
    assert [len(page) for page in found] == [2, 2, 1]
    assert [each["id"] for page in found for each in page] == [each["id"] for each in made]
    for page in found:
        for each in page:
            assert api.call("GET", f"{path}/{each['id']}").json == each
            assert each["rules"] == [{"service": "cache", "verbs": ["GET", "PUT"], "keys": "u:*"}]
            assert each["rate_limit"] == limit
    answer = api.call("GET", path, query="search=kEY%2013%25&limit=1")
    assert [each["name"] for each in answer.json["resource"]] == ["Key 13%"]
    assert answer.json["meta"] == {"next": None, "count": 1}
    answer = api.call("GET", path, query=f"search={made[2]['api_key'][:9]}")
    assert [each["id"] for each in answer.json["resource"]] == [made[2]["id"]]
    assert api.call("GET", path, query="search=_").json["meta"]["count"] < 5
    for cursor in ("x", "-1", "9" * 30, str(2**31)):
        assert api.call("GET", path, query=f"cursor={cursor}").status == 400, cursor
