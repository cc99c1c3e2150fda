"""compose.yaml: right by its schema, and its commands start what they say."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cacheapi import load
from tests.deploy.containerfile import CONTAINERFILE, parse
from tests.deploy.test_cache_servers import MEMCACHED, options, stopped
from tests.support.processes import REPOSITORY, Memcached
from tests.support.redis import Redis
from tests.support.tools import run

COMPOSE = REPOSITORY / "deploy" / "compose.yaml"
PASSWORD = "s3cr-3t of the test"


@pytest.fixture
def services() -> dict[str, Any]:
    return described("")["services"]


def described(password: str) -> dict[str, Any]:
    """Return what the file describes, with its variables put in."""
    text = re.sub(r"\$\{REDIS_PASSWORD:-\}", password, COMPOSE.read_text())
    return yaml.safe_load(re.sub(r"\$\{\w+:-(\w*)\}", r"\1", text))


def test_it_is_right_by_the_schema_of_compose() -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed (`make test` installs it)")
    schema = ("--builtin-schema", "vendor.compose-spec")
    checked = run(sys.executable, "-m", "check_jsonschema", *schema, COMPOSE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_nothing_runs_as_root_of_a_writable_root_or_gains_rights(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service), name
        assert service["mem_limit"], name


def test_no_cache_publishes_a_port_or_is_in_a_network_with_a_way_out(
    services: dict[str, Any],
) -> None:
    assert described("")["networks"]["caches"] == {"internal": True}
    for name in ("memcached", "redis"):
        assert "ports" not in services[name]
        assert services[name]["networks"] == ["caches"]
        assert services[name]["profiles"] == [name]
        assert services[name]["healthcheck"]["test"]
        assert services["cacheapi"]["depends_on"][name] == {
            "condition": "service_healthy",
            "required": False,
        }
    assert services["cacheapi"]["ports"] == ["127.0.0.1:8000:8000"]


def test_its_settings_are_ones_that_there_are_and_its_health_check_the_images(
    services: dict[str, Any],
) -> None:
    service = services["cacheapi"]
    settings = load(service["environment"], None)
    assert settings.warnings == ()
    assert settings["CACHE_DRIVER"] == "file"
    assert "healthcheck" not in service
    instructions = dict(parse(CONTAINERFILE.read_text()))
    assert "/health/live" in instructions["HEALTHCHECK"]
    assert service["volumes"] == [f"data:{instructions['VOLUME']}"]
    assert (COMPOSE.parent / service["build"]["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / service["build"]["dockerfile"]) == CONTAINERFILE


def test_memcached_has_the_options_of_its_file_but_listens_to_its_network(
    services: dict[str, Any],
) -> None:
    program, *given = services["memcached"]["command"]
    own = shlex.join(options(MEMCACHED.read_text()))
    elsewhere = own.replace("-l 127.0.0.1 ", "").replace("-u memcache ", "")
    assert (program, shlex.join(given)) == ("memcached", elsewhere)


class InCompose(Redis):
    """Redis with the command of the compose file."""

    def __init__(self, directory: Path, password: str) -> None:
        self._tmp = directory
        self._command = described(password)["services"]["redis"]["command"]
        super().__init__(password=password)

    def start(self) -> None:
        program, path, *arguments = self._command
        assert path == "/usr/local/etc/redis/redis.conf"
        moved = [argument.replace("--dir /tmp", f"--dir {self._tmp}") for argument in arguments]
        # The tests listen on this machine only.
        moved = [argument.replace("0.0.0.0", "127.0.0.1") for argument in moved]
        self._run([program, str(COMPOSE.parent / "redis.conf"), *moved, "--port", str(self.port)])


@pytest.mark.parametrize("password", ["", PASSWORD.replace(" ", "-")])
def test_redis_takes_its_command_and_its_health_check_asks_it(
    services: dict[str, Any], tmp_path: Path, password: str
) -> None:
    kind, check = services["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    server = InCompose(tmp_path, password)
    with stopped(server):
        said = server.call("CONFIG", "GET", "maxmemory-policy")
        assert said == [b"maxmemory-policy", b"allkeys-lru"]
        asked = check.replace("redis-cli", f"redis-cli -p {server.port}")
        environ = {"REDISCLI_AUTH": password} if password else {}
        healthy = run("sh", "-c", asked, env={"PATH": "/usr/bin:/bin", **environ})
        assert healthy.returncode == 0
    assert run("sh", "-c", asked, env={"PATH": "/usr/bin:/bin", **environ}).returncode != 0


def test_what_the_health_check_of_memcached_says_is_understood(
    services: dict[str, Any], memcached_server: Memcached
) -> None:
    kind, check = services["memcached"]["healthcheck"]["test"]
    said, _, _ = check.partition(" | ")
    assert kind == "CMD-SHELL"
    sent = run("sh", "-c", said, text=False).stdout
    assert sent == b"version\r\nquit\r\n"
    assert memcached_server.say(sent).startswith(b"VERSION")
