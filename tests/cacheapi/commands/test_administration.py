"""``services`` and ``api-key``: what they change is what the service uses."""

from __future__ import annotations

import json

import pytest

from cacheapi import create_app, load
from tests.cacheapi.commands.conftest import Program
from tests.support.processes import Memcached, eventually, free_port
from tests.support.redis import redis_server


def status(program: Program, key: str, method: str, path: str) -> int:
    """Return what the service answers to somebody with a key."""
    client = create_app(load(program.settings, None)).test_client()
    answer = client.open(f"/api/v2/{path}", method=method, headers={"X-DreamFactory-API-Key": key})
    return answer.status_code


@pytest.fixture
def with_services(program: Program, memcached_server: Memcached) -> Program:
    (program.directory / "services.toml").write_text(
        f"""
        [[service]]
        name = "sessions"
        label = "Sessions"
        type = "cache_memcached"
        config = {{ host = "127.0.0.1", port = {memcached_server.port} }}
        [[service]]
        name = "gone"
        type = "cache_memcached"
        config = {{ host = "127.0.0.1", port = {free_port()} }}
        [[service]]
        name = "off"
        type = "cache_local"
        is_active = false
        """
    )
    program.settings["CACHEAPI_SERVICES_FILE"] = "services.toml"
    return program


def test_services_are_listed(with_services: Program) -> None:
    lines = with_services("services").splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "FROM", "STATE", "LABEL"]
    (sessions,) = (line for line in lines if line.startswith("sessions"))
    assert sessions.split() == [
        *("sessions", "cache_memcached", "file", "switched", "on", "Sessions")
    ]
    assert with_services("services", "list").splitlines() == lines
    assert any(line.split()[:1] == ["off"] and "switched off" in line for line in lines)
    found = {each["name"]: each for each in with_services.json("services")["resource"]}
    assert found.keys() == {"cache", "sessions", "gone", "off"}
    assert found["sessions"]["config"]["host"] == "127.0.0.1"
    assert "switched off" in with_services.fails("get", "a", "-s", "off", code=3)


def test_a_service_is_shown_with_its_settings(program: Program) -> None:
    settings = ("password=hidden", "default_ttl=2h", f"port={free_port()}")
    made = [part for text in settings for part in ("--set", text)]
    program("services", "create", "carts", "--type", "cache_redis", *made, "--label", "Carts")
    ended = program.run("services", "show", "carts")
    lines = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines() if line}
    assert lines["SERVICE"] == ["carts"]
    assert lines["type"] == ["cache_redis"]
    # Nobody answers there, and nothing is said of that.
    assert lines["state"] == ["switched", "on"]
    assert lines["default_ttl"] == ["120", "(2h)", "set", "Default", "TTL", "(min)"]
    assert lines["timeout_ms"] == ["500", "Timeout", "(ms)"]
    assert lines["password"] == ["**********", "set", "Password"]
    assert "hidden" not in ended.output
    assert program.json("services", "show", "carts")["config"]["default_ttl"] == 120
    ended = program.run("services", "show", "local")
    assert "SERVICE      cache\n" in ended.stdout
    assert "in the environment and .env, and are changed there, for the next start" in ended.stderr
    assert "there are: cache, carts" in program.fails("services", "show", "cats", code=2)


def test_what_the_environment_sets_is_shown_with_its_variables(program: Program) -> None:
    program.settings |= {
        "CACHE_DRIVER": "redis",
        "REDIS_URL": "redis://someone:hush-url@127.0.0.1:1/0",
        "REDIS_PASSWORD": "hush-word",
        "REDIS_PREFIX": "",
        "CACHE_DEFAULT_TTL": "120",
    }
    ended = program.run("services", "show", "cache")
    lines = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines() if line}
    assert lines["default_ttl"] == ["120", "(2h)", "set", "CACHE_DEFAULT_TTL"]
    assert lines["password"] == ["**********", "set", "REDIS_PASSWORD"]
    assert lines["url"] == ["**********", "set", "REDIS_URL"]
    # It is another one there than a service's own.
    assert lines["host"] == ["localhost", "REDIS_HOST"]
    assert "hush" not in ended.output
    config = program.json("services", "show", "redis")["config"]
    assert (config["prefix"], config["port"], config["tls"]) == ("", 6379, False)
    assert "hush" not in json.dumps(config)


def test_a_trial_calls_settings_as_the_service_does(program: Program) -> None:
    with redis_server("--requirepass", "the-tests", password="the-tests") as server:
        made = ("--type", "cache_redis", "--set", f"port={server.port}")
        program("services", "create", "carts", *made)
        told = program("services", "test", "carts", code=3)
        assert "wants a password, and none is set (password)." in told
        assert (
            "REDIS_PASSWORD" not in program.run("services", "create", "b", *made, "--test").output
        )
        # What the environment sets up has its names.
        program.settings |= {"CACHE_DRIVER": "redis", "REDIS_PORT": str(server.port)}
        assert "none is set (REDIS_PASSWORD)." in program("services", "test", "cache", code=3)


def test_a_service_is_tried(with_services: Program) -> None:
    done = with_services.json("services", "test", "sessions")
    assert (done["success"], done["cause"]) == (True, None)
    assert [step["name"] for step in done["steps"]][1:] == ["connect", "write", "read", "delete"]
    shown = with_services("services", "test", "gone", code=3)
    assert "FAILED" in shown
    assert "Likely: Nothing takes connections there" in shown


def test_that_it_was_tried_is_told(program: Program) -> None:
    made = ("services", "create", "more", "--type", "cache_local", "--test")
    tried = ", and every step of the test succeeded.\n"
    assert program.run(*made).stderr.endswith(f"cacheapi: Service 'more' is there{tried}")
    edited = program.run("services", "edit", "more", "--label", "More", "--test")
    assert edited.stderr.endswith(f"cacheapi: Service 'more' is changed{tried}")
    edited = program.run("services", "edit", "more", "--label", "Less")
    assert edited.stderr.endswith("cacheapi: Service 'more' is changed.\n")


def test_nobody_is_asked_about_a_service_that_cannot_be_deleted(program: Program) -> None:
    line = program.fails("services", "delete", "cache", code=2)
    assert "is set up in the environment and can only be deleted there" in line


def test_a_key_may_do_what_its_rules_say(program: Program) -> None:
    ended = program.run(
        *("api-key", "create", "shop", "--rule", "cache:get,POST:shop:*", "--rate", "100/60"),
        *("--expires", "2099-01-01T00:00:00Z"),
    )
    key = ended.stdout.strip()
    assert ended.stdout == f"{key}\n"
    assert "command line" in ended.stderr
    assert 'created API key 1 "shop"' in ended.stderr
    assert key not in ended.stderr
    assert status(program, key, "GET", "cache/shop:1") == 404
    assert status(program, key, "GET", "cache/other") == 403
    assert status(program, key, "DELETE", "cache/shop:1") == 403
    shown = program("api-key", "list")
    assert key not in shown
    assert key[:9] in shown
    assert "cache:GET,POST:shop:*" in shown
    assert "100/60 s" in shown
    (listed,) = program.json("api-key", "list")["resource"]
    assert listed["rate_limit"] == {"requests": 100, "seconds": 60}
    assert listed["expires"] == "2099-01-01T00:00:00Z"


def test_a_key_that_has_expired_is_marked(program: Program) -> None:
    program("api-key", "create", "ever", "--rule", "*:GET")
    ended = program.run("api-key", "create", "soon", "--rule", "*:GET", "--expires", "3s")
    assert ended.exit_code == 0
    eventually(lambda: "  expired 20" in program("api-key", "list"), 10)
    assert program("api-key", "list").count("expired") == 1
    past = ("--expires", "2020-01-01T00:00:00Z")
    line = program.fails("api-key", "create", "late", "--rule", "*:GET", *past, code=2)
    assert "expires: 2020-01-01T00:00:00Z is over" in line


def test_a_revoked_key_is_worth_nothing(program: Program) -> None:
    made = program.json("api-key", "create", "boss", "--administrator")
    assert made.keys() == {"id", "name", "api_key", "warnings"}
    assert status(program, made["api_key"], "GET", "system/api_key") == 200
    assert "everything" in program("api-key", "list")
    ended = program.run("api-key", "revoke", str(made["id"]))
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert 'revoked API key 1 "boss"' in ended.stderr
    assert status(program, made["api_key"], "GET", "system/api_key") == 401
    assert program.fails("api-key", "revoke", "1", code=1) == "API key 1 does not exist."


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ((), "give --rule or --administrator"),
        (("--rule", "cache"), "'cache' is no SERVICE:VERBS"),
        (("--rule", "cache:READ"), "'READ' is no verb; verbs are GET"),
        (("--rule", "no service:GET"), "--rule: 'no service:GET': A name starts"),
        (("--rule", "cache:GET:user"), "--rule: 'cache:GET:user': It must end in '*'"),
        (("--rule", "*:GET", "--rate", "many"), "'many' is no N/SECONDS"),
        (("--rule", "*:GET", "--rate", "0/60"), "--rate: requests: Must be"),
        (("--rule", "*:GET", "--expires", "soon"), "expires: It must be a time with its zone"),
    ],
)
def test_what_no_key_can_be_is_refused(
    program: Program, options: tuple[str, ...], named: str
) -> None:
    assert named in program.fails("api-key", "create", "n", *options, code=2)
    assert program.json("api-key", "list") == {"resource": []}


def test_a_database_that_is_away_is_told(program: Program) -> None:
    program.settings |= {
        "CACHEAPI_DATABASE_URL": f"postgresql://u:pl4nted@127.0.0.1:{free_port()}/n",
        "CACHEAPI_SECRET_KEY": "k" * 32,
    }
    ended = program.run("api-key", "list")
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert "cannot be reached" in ended.stderr
    assert "pl4nted" not in ended.stderr
