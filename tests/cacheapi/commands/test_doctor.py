"""``cacheapi doctor`` with servers that are well, and with each way in which they are not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import types
from pathlib import Path
from typing import Any

import pytest

from cacheapi.commands.diagnosis import interpreter
from tests.cacheapi.commands.conftest import Program
from tests.support.certificates import Certificates, make_certificates
from tests.support.nutcracker import nutcracker
from tests.support.processes import (
    REPOSITORY,
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    Server,
    free_port,
    memcached,
    service,
)
from tests.support.program import run
from tests.support.redis import Redis, redis_server
from tests.support.redis_groups import Cluster, SentinelGroup

pytestmark = pytest.mark.usefixtures("well_built")

WAITING = {"MEMCACHED_TIMEOUT_MS": "3000", "REDIS_TIMEOUT_MS": "3000"}
STEPS = ["resolve", "connect", "login", "write", "read", "delete"]


def on_memcached(*servers: Memcached) -> dict[str, str]:
    return {
        **WAITING,
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": ",".join(f"127.0.0.1:{server.port}" for server in servers),
    }


def on_redis(target: Redis | SentinelGroup | Cluster, **settings: str) -> dict[str, str]:
    return {**WAITING, "CACHE_DRIVER": "redis", **target.settings, **settings}


@pytest.fixture
def well_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the tests may have been built without optimisations, which is told."""
    monkeypatch.setattr(interpreter, "optimised", lambda: True)


@pytest.fixture
def doctor(program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program after a first start; that this machine is busy is nothing to tell."""
    monkeypatch.setattr("cacheapi.commands.diagnosis.services.SLOW_MS", 60_000.0)
    program("services")
    return program


def failures(doctor: Program, **settings: str) -> list[dict[str, str]]:
    """Return the failures that the doctor finds with other settings, each with an action."""
    doctor.settings |= settings
    found = [
        finding
        for finding in doctor.json("doctor", code=3)["findings"]
        if finding["level"] == "failure"
    ]
    assert found
    assert all(finding["action"] for finding in found)
    return found


def failure(doctor: Program, **settings: str) -> dict[str, str]:
    """Return the only failure that the doctor finds."""
    (found,) = failures(doctor, **settings)
    return found


def well(doctor: Program, **settings: str) -> list[dict[str, Any]]:
    """Return the servers of a service that has no failure."""
    doctor.settings |= settings
    ended = doctor.run("doctor", "--json")
    seen = json.loads(ended.stdout)
    assert [each for each in seen["findings"] if each["level"] == "failure"] == []
    assert ended.exit_code in (0, 1)
    (service,) = seen["services"]
    assert service["success"] is True
    for server in service["servers"]:
        assert all(step["success"] for step in server["steps"])
    return list(service["servers"])


# Well


def test_a_file_that_is_well_leaves_nothing_to_do(doctor: Program) -> None:
    seen = doctor.json("doctor")
    assert seen["findings"] == []
    (service,) = seen["services"]
    assert service["names"] == ["cache", "local"]
    (server,) = service["servers"]
    assert server["latency_ms"]["round_trips"] == 100
    assert 0 <= server["latency_ms"]["p50"] <= server["latency_ms"]["p99"]
    assert seen["data_directory"]["writable"] is True
    assert seen["database"] == {
        "place": "cacheapi.sqlite3",
        "readable": True,
        "services": 0,
        "api_keys": 0,
    }
    shown = doctor("doctor")
    assert shown.rstrip().endswith("Nothing: all is well.")
    assert "Settings that differ from their defaults" in shown
    assert "CACHEAPI_DATA_DIR" in shown
    assert "CACHE_DRIVER" not in shown
    assert "cache = local" in shown
    shown = doctor("doctor", "--all")
    assert "CACHE_DRIVER" in shown
    for heading in ("Settings", "Data directory and database", "Service cache = local"):
        assert f"\n{heading}" in f"\n{shown}"
    # It begins with what it says, and no line is filled up with blanks.
    assert shown.startswith("Settings")
    assert [line for line in shown.splitlines() if line.endswith(" ")] == []


def test_each_server_of_a_pool_is_looked_at(
    doctor: Program, memcached_pool: list[Memcached]
) -> None:
    servers = well(doctor, **on_memcached(*memcached_pool))
    assert {each["server"] for each in servers} == {
        f"127.0.0.1:{server.port}" for server in memcached_pool
    }
    for server in servers:
        assert [step["name"] for step in server["steps"]] == STEPS
        assert server["version"].startswith("1.")
        assert abs(server["clock_offset"]) < 2
        assert server["stats"]["limit_bytes"] > 0
        assert server["latency_ms"]["round_trips"] > 0
    # Each had the key that was tried on it.
    for server in memcached_pool:
        assert int(server.statistics()["cmd_set"]) > 0


@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_a_proxy_in_front_is_named_and_no_failure(
    doctor: Program, memcached_server: Memcached, redis_one: Redis, kind: str
) -> None:
    server: Server = memcached_server if kind == "memcached" else redis_one
    with nutcracker([server], redis=kind == "redis") as proxy:
        (seen,) = well(doctor, **WAITING, CACHE_DRIVER=kind, **proxy.settings)
        assert seen["latency_ms"]["round_trips"] > 0
        findings = doctor.json("doctor", code=0)["findings"]
    assert any(finding["message"].startswith("A proxy is in front") for finding in findings)


def test_a_valkey_is_named(doctor: Program, valkey_one: Redis) -> None:
    (server,) = well(doctor, **on_redis(valkey_one))
    assert server["version"].startswith("Valkey 9.")


def test_servers_with_logins_are_looked_at(
    doctor: Program, sasl_server: Memcached, redis_locked: Redis, redis_acl: Redis
) -> None:
    settings = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": SASL_PASSWORD}
    (server,) = well(doctor, **on_memcached(sasl_server), **settings)
    assert server["version"]
    (server,) = well(doctor, **on_redis(redis_locked))
    assert abs(server["clock_offset"]) < 2
    # A user who may do no more than the service needs.
    well(doctor, **on_redis(redis_acl))


def test_tls_is_looked_at(doctor: Program, redis_tls: Redis) -> None:
    (server,) = well(doctor, **on_redis(redis_tls))
    (step,) = (step for step in server["steps"] if step["name"] == "tls")
    assert step["message"].startswith("TLSv1.")
    assert "the certificate ends on " in step["message"]
    (server,) = well(doctor, REDIS_TLS_VERIFY="false")
    (step,) = (step for step in server["steps"] if step["name"] == "tls")
    assert "is not checked" in step["message"]


def test_sentinels_and_their_master_are_looked_at(
    doctor: Program, redis_sentinels: SentinelGroup
) -> None:
    servers = well(doctor, **on_redis(redis_sentinels))
    assert len(servers) == len(redis_sentinels.settings["REDIS_SENTINEL_HOST"].split(",")) + 1
    assert [len(server["steps"]) for server in servers] == [2] * (len(servers) - 1) + [6]


def test_all_masters_of_a_cluster_are_looked_at(doctor: Program, redis_nodes: Cluster) -> None:
    servers = well(doctor, **on_redis(redis_nodes))
    assert len(servers) == 3
    for server in servers:
        assert [step["name"] for step in server["steps"]] == STEPS


def test_a_unix_socket_is_looked_at(doctor: Program, redis_one: Redis) -> None:
    settings = {"REDIS_URL": f"unix://{redis_one.socket}"}
    (server,) = well(doctor, CACHE_DRIVER="redis", **WAITING, **settings)
    assert server["server"] == "Unix socket"
    assert [step["name"] for step in server["steps"]] == STEPS[1:]


def test_advice_is_given_and_is_no_warning(doctor: Program) -> None:
    with memcached() as server:
        doctor.settings |= on_memcached(server)
        doctor.run("get", *(f"absent-{number}" for number in range(2000)))
        seen = doctor.json("doctor")
        assert {each["level"] for each in seen["findings"]} == {"advice"}
        assert any("were hits; a healthy cache" in each["message"] for each in seen["findings"])
        assert "ADVICE" in doctor("doctor")


# Not well


@pytest.mark.parametrize("driver", ["memcached", "redis"])
def test_a_server_that_is_stopped(doctor: Program, driver: str) -> None:
    port = str(free_port())
    upper = driver.upper()
    found = failure(
        doctor,
        **{"CACHE_DRIVER": driver, f"{upper}_HOST": "127.0.0.1", f"{upper}_PORT": port},
    )
    assert found["where"].endswith(f"server 127.0.0.1:{port}")
    assert found["message"] == "It cannot be connected to: Connection refused."
    assert found["action"].startswith("Nothing takes connections there: is the server running")
    assert f"127.0.0.1:{port}" in doctor("doctor", code=3)


def test_servers_that_hang(doctor: Program) -> None:
    with memcached() as server, redis_server() as other:
        server.pause()
        other.pause()
        found = failure(doctor, **{**on_memcached(server), "MEMCACHED_TIMEOUT_MS": "250"})
        assert found["message"].startswith("Connection timed out: memcached at 127.0.0.1:")
        assert found["action"].startswith("It takes connections and does not answer")
        found = failure(doctor, **{**on_redis(other), "REDIS_TIMEOUT_MS": "250"})
        assert found["message"].startswith("Connection timed out: Redis at 127.0.0.1:")
        assert found["action"].startswith("It takes connections and does not answer")


def test_one_of_a_pool_that_is_away(doctor: Program) -> None:
    with memcached() as one, memcached() as two, memcached() as three:
        two.kill()
        found = failure(doctor, **on_memcached(one, two, three))
        assert found["where"].endswith(f"server 127.0.0.1:{two.port}")
        timed = {
            server["server"]: server["latency_ms"] is not None
            for server in doctor.json("doctor", code=3)["services"][0]["servers"]
        }
        assert timed.pop(f"127.0.0.1:{two.port}") is False
        assert set(timed.values()) == {True}
        three.pause()
        found, other = failures(doctor, MEMCACHED_TIMEOUT_MS="250")
        assert {each["where"].rpartition(":")[2] for each in (found, other)} == {
            str(two.port),
            str(three.port),
        }


def test_servers_that_are_out_of_memory(doctor: Program) -> None:
    with memcached("-M", "-m", "2") as server:
        doctor.settings |= on_memcached(server)
        # As large as what the trial stores: each size has memory of its own.
        lines = [f'{{"key":"fill-{number:026}","value":{10**15}}}\n' for number in range(40_000)]
        assert doctor.run("import", "-", stdin="".join(lines).encode()).exit_code == 3
        found = failure(doctor)
        assert "out of memory" in found["message"]
        assert found["action"] == "The server has no room left and may not evict."
    with redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        found = failure(doctor, **on_redis(server))
        assert "out of memory" in found["message"]
        assert found["action"] == "The server has no room left and may not evict."


def test_servers_that_are_out_of_connections(doctor: Program) -> None:
    with memcached("-c", "64") as server, server.full_of_clients(64):
        # What it says when it closes a connection may come late.
        found = failure(doctor, **on_memcached(server))
        assert "clients" in found["action"]
    with redis_server() as server, server.client(single_connection_client=True) as held:
        held.config_set("maxclients", 1)
        found = failure(doctor, **on_redis(server))
        assert "clients" in found["message"] + found["action"]


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({"REDIS_PASSWORD": "pl4nted-wrong"}, "does not accept this user name and password"),
        ({"REDIS_PASSWORD": ""}, "wants a password, and the service has none"),
    ],
)
def test_a_password_that_redis_refuses(
    doctor: Program, redis_locked: Redis, given: dict[str, str], action: str
) -> None:
    found = failure(doctor, **{**on_redis(redis_locked), **given})
    assert found["message"].startswith("Authentication failed: Redis at 127.0.0.1:")
    assert action in found["action"]
    assert "pl4nted" not in doctor("doctor", code=3)


def test_a_password_that_memcached_refuses(doctor: Program, sasl_server: Memcached) -> None:
    wrong = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": "pl4nted-wrong"}
    found = failure(doctor, **on_memcached(sasl_server), **wrong)
    assert found["message"].startswith("Authentication failed: memcached at 127.0.0.1:")
    assert "does not accept this user name and password" in found["action"]
    assert "pl4nted" not in doctor("doctor", "--all", code=3)


@pytest.mark.parametrize(
    ("driver", "module", "package"),
    [("redis", "redis", "'redis[hiredis]'"), ("memcached", "_pylibmc", "pylibmc")],
    ids=["redis", "memcached"],
)
def test_a_driver_that_is_not_installed(
    tmp_path: Path, driver: str, module: str, package: str
) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / f"{module}.py").write_text("raise ImportError('not here')\n")
    (tmp_path / "data" / "services").mkdir(mode=0o700, parents=True)
    path = f"{tmp_path / 'without'}:{REPOSITORY}"
    # memcached's is needed for a login alone.
    login = {"MEMCACHED_USERNAME": "user", "MEMCACHED_PASSWORD": "pl4nted"}
    given = login if driver == "memcached" else {}
    ended = run(tmp_path, "doctor", "--json", CACHE_DRIVER=driver, PYTHONPATH=path, **given)
    assert ended.returncode == 3
    (found,) = json.loads(ended.stdout)["findings"]
    assert f"pip install {package}" in found["message"]


def test_settings_that_are_wrong_are_all_told(doctor: Program) -> None:
    (doctor.directory / ".env").write_text("PORT=x\nCACHE_DRIVR=redis\n")
    doctor.settings |= {"CACHE_DEFAULT_TTL": "-5", "REDIS_PASSWORD": "pl4nted"}
    seen = doctor.json("doctor", code=3)
    assert [(each["level"], each["message"][:17]) for each in seen["findings"]] == [
        ("failure", "CACHE_DEFAULT_TTL"),
        ("failure", "PORT: 'x' is not "),
        ("warning", "CACHE_DRIVR is se"),
    ]
    assert "in the environment" in seen["findings"][0]["action"]
    assert "in the file .env" in seen["findings"][1]["action"]
    by_name = {each["name"]: each for each in seen["settings"]}
    assert by_name["CACHE_DEFAULT_TTL"]["source"] == "environment"
    assert (by_name["PORT"]["value"], by_name["PORT"]["source"]) == ("x", ".env")
    assert (by_name["HOST"]["value"], by_name["HOST"]["source"]) == ("127.0.0.1", "default")
    assert by_name["REDIS_PASSWORD"]["value"] == "**********"
    assert by_name["CACHEAPI_API_KEY"]["value"] == "**********"
    shown = doctor("doctor", code=3)
    assert "pl4nted" not in shown
    assert "REDIS_HOST" not in shown
    assert "REDIS_HOST" in doctor("doctor", "--all", code=3)


def test_settings_that_do_not_go_together(doctor: Program) -> None:
    doctor.settings |= {"CACHE_DRIVER": "memcached", "MEMCACHED_USERNAME": "u"}
    found = failure(doctor)
    assert "set both of them, or neither" in found["message"]
    doctor.settings["CACHE_DRIVER"] = "nonsense"
    assert "CACHE_DRIVER: 'nonsense' is not allowed" in failure(doctor)["message"]


def test_a_name_that_nobody_knows(doctor: Program) -> None:
    found = failure(doctor, CACHE_DRIVER="memcached", MEMCACHED_HOST="no-such-host.invalid")
    assert "'no-such-host.invalid'" in found["message"]


def test_a_certificate_that_is_not_trusted(
    doctor: Program, redis_tls: Redis, tmp_path: Path, certificates: Certificates
) -> None:
    other = make_certificates(tmp_path / "other")
    found = failure(doctor, **on_redis(redis_tls, REDIS_TLS_CA=str(other.authority)))
    assert found["message"].startswith("Its certificate is not accepted: ")
    assert "REDIS_TLS_CA" in found["action"]
    found = failure(doctor, REDIS_TLS_CA=str(tmp_path / "absent"))
    assert found["message"].startswith("TLS failed: ")


def test_a_server_that_speaks_no_tls(doctor: Program, redis_one: Redis) -> None:
    found = failure(doctor, **on_redis(redis_one), REDIS_TLS="true")
    assert found["message"].startswith("TLS failed: ")


def test_a_cache_file_that_cannot_be_used(doctor: Program) -> None:
    file = doctor.directory / "data" / "cache.sqlite3"
    for name in ("", "-wal", "-shm"):
        file.with_name(f"{file.name}{name}").unlink(missing_ok=True)
    file.mkdir()
    assert "the cache file cannot be used" in failures(doctor)[0]["message"]


def test_something_else_listens_there(doctor: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        found = failure(
            doctor, CACHE_DRIVER="memcached", MEMCACHED_HOST="127.0.0.1", MEMCACHED_PORT=port
        )
        assert found["where"].endswith(port)


def test_what_a_memcached_wants_or_is_instead_is_named(
    doctor: Program, memcached_server: Memcached, redis_one: Redis, tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("user:password\n")
    with memcached("-Y", str(tmp_path / "users")) as server:
        found = failure(doctor, **on_memcached(server))
    assert "unauthenticated" in found["message"]
    assert "-Y" in found["action"]
    there = {"MEMCACHED_HOST": f"127.0.0.1:{redis_one.port}"}
    assert "is Redis" in failure(doctor, **there)["action"]
    login = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": "pl4nted-wrong"}
    found = failure(doctor, **on_memcached(memcached_server), **login)
    assert "no login was sent" in found["message"]
    assert "takes no logins" in found["action"]
    assert "does not accept this user name" not in found["action"]


def test_a_memcached_without_cas_is_told(doctor: Program) -> None:
    with memcached("-C") as server:
        doctor.settings |= on_memcached(server)
        seen = doctor.json("doctor", code=0)
    (found,) = (each for each in seen["findings"] if each["level"] == "advice")
    assert "-C" in found["message"]


# The machine


def test_a_directory_that_is_not_there_is_not_made(program: Program, redis_one: Redis) -> None:
    shutil.rmtree(program.directory / "data")
    seen = program.json("doctor", code=1)
    (found,) = seen["findings"]
    assert found["message"].startswith("There is no service here: ")
    assert not (program.directory / "data").exists()
    (program.directory / "data").mkdir()
    (found,) = program.json("doctor", code=1)["findings"]
    assert found["message"].startswith("There is no service here: ")
    assert list((program.directory / "data").iterdir()) == []
    (program.directory / "data").rmdir()
    # A server is looked at all the same.
    program.settings |= on_redis(redis_one)
    (service,) = program.json("doctor", code=1)["services"]
    assert service["success"] is True
    assert not (program.directory / "data").exists()
    program.settings |= {"MEMCACHED_USERNAME": "u", "CACHE_DRIVER": "memcached"}
    assert "set both of them" in program("doctor", code=3)


def test_a_python_without_optimisations(doctor: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "optimised", lambda: False)
    # It serves all the same: the exit code is that of one that is well.
    (found,) = doctor.json("doctor", code=0)["findings"]
    assert (found["level"], found["where"]) == ("advice", "Python")
    assert "--enable-optimizations" in found["action"]


def test_no_api_key_is_made_by_who_only_looks(program: Program) -> None:
    del program.settings["CACHEAPI_API_KEY"]
    program("set", "k", "1")
    assert program.json("doctor")["findings"] == []
    assert not (program.directory / "data" / "api-key").exists()


def test_secrets_that_others_may_read(doctor: Program) -> None:
    (doctor.directory / ".env").write_text("CACHEAPI_SECRET_KEY=" + "k" * 32)
    (doctor.directory / ".env").chmod(0o644)
    (doctor.directory / "data" / "cacheapi.sqlite3").chmod(0o640)
    found = doctor.json("doctor", code=1)["findings"]
    assert [each["action"][:9] for each in found] == ["chmod 600"] * 2


def test_a_directory_of_somebody_else(doctor: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(doctor.directory / "data", 12345, 12345)
    for file in (doctor.directory / "data").rglob("*"):
        os.chown(file, 12345, 12345)
    # What root makes there is theirs.
    assert doctor.json("doctor")["findings"] == []
    (doctor.directory / "data" / "tail").mkdir()
    (found,) = doctor.json("doctor", code=1)["findings"]
    assert "tail' belongs to root" in found["message"]
    assert found["action"].startswith("chown -R --reference=")
    os.chown(doctor.directory / "data" / "cacheapi.sqlite3", 0, 0)
    (found,) = doctor.json("doctor", code=1)["findings"]
    assert found["message"].startswith("2 files in it belong to root")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    messages = [each["message"] for each in doctor.json("doctor", code=1)["findings"]]
    assert any("belongs to user 12345" in message for message in messages)


def test_a_disk_that_is_full_or_far_away(doctor: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "cacheapi.commands.diagnosis.machine"
    monkeypatch.setattr(f"{module}._filesystem", lambda path: "nfs4")
    monkeypatch.setattr(
        f"{module}.shutil.disk_usage", lambda path: types.SimpleNamespace(free=300 * 2**20)
    )
    full, far = sorted(
        doctor.json("doctor", code=1)["findings"], key=lambda each: "network" in each["message"]
    )
    assert "has 300 MiB left" in full["message"]
    assert "network file system (nfs4)" in far["message"]
    monkeypatch.setattr(
        f"{module}.shutil.disk_usage", lambda path: types.SimpleNamespace(free=2**20)
    )
    assert "has 1 MiB left" in failure(doctor)["message"]


def test_a_database_that_is_away(doctor: Program) -> None:
    port = free_port()
    doctor.settings["CACHEAPI_DATABASE_URL"] = f"postgresql://u:pl4nted@127.0.0.1:{port}/n"
    seen = doctor.json("doctor", code=3)
    assert seen["database"]["readable"] is False
    levels = [(each["level"], each["where"]) for each in seen["findings"]]
    assert levels == [("failure", "database"), ("warning", "settings")]
    assert "pl4nted" not in json.dumps(seen)


def test_a_clock_that_is_wrong(
    doctor: Program, memcached_server: Memcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    late = types.SimpleNamespace(
        time=lambda: time.time() + 100,
        monotonic=time.monotonic,
        perf_counter=time.perf_counter,
    )
    monkeypatch.setattr("cacheapi.commands.diagnosis.services.time", late)
    doctor.settings |= on_memcached(memcached_server)
    seen = doctor.json("doctor", code=1)
    (offset,) = (server["clock_offset"] for server in seen["services"][0]["servers"])
    # A busy memcached's own clock may be late by a second and more.
    assert -130 < offset < -70
    assert any("s apart" in each["message"] for each in seen["findings"])


def test_a_slow_server(
    doctor: Program, memcached_server: Memcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cacheapi.commands.diagnosis.services.SLOW_MS", 0.0)
    monkeypatch.setattr("cacheapi.commands.diagnosis.services.LATENCY_SECONDS", 0.0)
    doctor.settings |= on_memcached(memcached_server)
    seen = doctor.json("doctor", code=1)
    assert any("Half of its round trips" in each["message"] for each in seen["findings"])
    (server,) = seen["services"][0]["servers"]
    assert server["latency_ms"]["round_trips"] == 1


def test_services_of_the_file_are_looked_at_too(
    doctor: Program, memcached_server: Memcached
) -> None:
    gone = free_port()
    (doctor.directory / "services.toml").write_text(
        f"""
        [[service]]
        name = "sessions"
        type = "cache_memcached"
        config = {{ host = "127.0.0.1", port = {memcached_server.port} }}
        [[service]]
        name = "gone"
        type = "cache_redis"
        config = {{ host = "127.0.0.1", port = {gone}, password = "pl4nted" }}
        """
    )
    found = failure(doctor, CACHEAPI_SERVICES_FILE="services.toml")
    assert found["where"] == f"service gone, server 127.0.0.1:{gone}"
    shown = doctor("doctor", code=3)
    assert "FAILED" in shown
    assert "pl4nted" not in shown
    shown = doctor("doctor", "--all", code=3)
    assert "Service sessions (cache_memcached)" in shown
    assert "pl4nted" not in shown


def test_services_in_front_of_an_api_are_looked_at(program: Program) -> None:
    away = free_port()
    with socket.create_server(("127.0.0.1", 0)) as there:
        (program.directory / "services.toml").write_text(
            "".join(
                f'[[service]]\nname = "{name}"\ntype = "rws"\n[service.config]\n'
                f'base_url = "http://127.0.0.1:{port}"\ncache_enabled = {on}\n'
                for name, port, on in (
                    ("shop", there.getsockname()[1], "true"),
                    ("gone", away, "false"),
                )
            )
        )
        program.settings["CACHEAPI_SERVICES_FILE"] = "services.toml"
        found = program.json("doctor", code=3)
        whole = program("doctor", "--all", code=3)
        short = program("doctor", code=3)
    told = {name: each for each in found["services"] for name in each["names"]}
    assert (told["shop"]["success"], told["gone"]["success"]) == (True, False)
    assert told["shop"]["about"].startswith("stored in ")
    assert told["gone"]["about"] == "the cache is disabled"
    (failed,) = (each for each in found["findings"] if "gone" in each["where"])
    assert f"http://127.0.0.1:{away}" in failed["where"]
    assert "Service shop (rws): stored in " in whole
    assert "FAILED, the cache is disabled" in short


def test_a_service_that_runs_with_another_cache_is_told(
    program: Program, memcached_server: Memcached
) -> None:
    def told() -> list[str]:
        found = program.json("doctor", code=program.run("doctor").exit_code)["findings"]
        return [each["message"] for each in found if each["where"].startswith("service at ")]

    with service(program.directory / "running", WEB_CONCURRENCY="1") as live:
        program.settings |= {"PORT": str(live.port), "CACHEAPI_API_KEY": live.api_key}
        program("set", "k", "1")
        assert told() == []
        program.settings |= on_memcached(memcached_server)
        (message,) = told()
        assert message.endswith("its system cache is cache_local, theirs is cache_memcached.")
        # That of another directory.
        program.settings["CACHEAPI_API_KEY"] = "another"
        assert told() == []
    program.settings["CACHEAPI_API_KEY"] = live.api_key
    assert told() == []


def test_no_key_is_shown_to_what_is_no_service_nor_is_it_waited_for_long(program: Program) -> None:
    program("set", "k", "1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program.settings["PORT"] = str(listening.getsockname()[1])
        program("doctor")
        asked, _ = listening.accept()
        with asked:
            assert b"the-key" not in asked.recv(65536)


def test_services_that_share_keys_are_told_once(program: Program) -> None:
    (program.directory / "services.toml").write_text(
        "".join(
            f'[[service]]\nname = "{name}"\ntype = "cache_memcached"\n[service.config]\n'
            f'host = "127.0.0.1"\nport = {port}\nprefix = "p"\n'
            for port in [free_port()]
            for name in ("one", "two")
        )
    )
    program.settings["CACHEAPI_SERVICES_FILE"] = "services.toml"
    found = program.json("doctor", code=3)["findings"]
    assert [each["where"] for each in found if "shares keys" in each["message"]] == ["service one"]


def test_a_data_directory_that_is_a_file_is_reported(
    doctor: Program, tmp_path: Path, memcached_server: Memcached
) -> None:
    file = tmp_path / "taken"
    file.write_text("")
    found = failure(doctor, CACHEAPI_DATA_DIR=str(file), **on_memcached(memcached_server))
    assert found["where"] == "data directory"
    assert "is a file and no directory" in found["message"]
    seen = doctor.json("doctor", code=3)
    # The cache is looked at all the same.
    (service,) = seen["services"]
    assert service["success"] is True
    assert "is a file and no directory" in doctor("doctor", code=3)
    doctor.settings["CACHE_DRIVER"] = "file"
    assert failure(doctor)["where"] == "data directory"


def test_a_data_directory_without_rights_is_reported(
    doctor: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may enter all; so the system's refusal is what is made up here.
    closed = tmp_path / "closed"
    real = os.stat

    def refuse(path: Any, *arguments: Any, **named: Any) -> os.stat_result:
        if str(path).startswith(str(closed)):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", refuse)
    found = failure(doctor, CACHEAPI_DATA_DIR=str(closed / "data"))
    assert found["where"] == "data directory"
    assert "cannot be looked into (Permission denied)" in found["message"]
    assert "cannot be looked into" in doctor("doctor", code=3)


def test_a_line_of_the_settings_that_is_none_is_named(
    doctor: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("CACHE_DRIVER=file\nREDIS_HOST redis\n")
    found = failure(doctor)
    assert "The file .env, line 2: it is not NAME=value." in found["message"]


def test_a_misspelt_setting_is_a_warning(doctor: Program) -> None:
    doctor.settings["MEMCACHE_HOST"] = "10.0.0.8"
    (found,) = doctor.json("doctor", code=1)["findings"]
    assert "Did you mean 'MEMCACHED_HOST'?" in found["message"]
