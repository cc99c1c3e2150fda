"""memcached.conf and redis.conf: started as Debian starts them, and what they then allow."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.site import replaced
from tests.http.conftest import PATIENT
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Memcached, Server, service
from tests.support.redis import LEAST_RIGHTS, Redis

MEMCACHED = REPOSITORY / "deploy" / "memcached.conf"
REDIS = REPOSITORY / "deploy" / "redis.conf"
# An address of this machine that the configuration does not name.
ELSEWHERE = "127.0.0.2"


def options(text: str) -> list[str]:
    """Return what Debian's ``systemd-memcached-wrapper`` makes of /etc/memcached.conf."""
    lines = (re.sub(r"(?<!\\)#[^#]*", "", line).strip() for line in text.splitlines())
    kept = [line for line in lines if line and not re.match(r"-[dh]", line)]
    assert all(line.startswith("-") for line in kept)
    return shlex.split(" ".join(kept))


class Configured(Memcached):
    """memcached with the options of a file, on a port of the test and as its user."""

    def __init__(self, text: str) -> None:
        self._text = text
        super().__init__()

    def start(self) -> None:
        given = replaced(self._text, {"-p 11211": f"-p {self.port}"})
        if os.getuid() == 0:
            given = replaced(given, {"-u memcache\n": "-u root\n"})
        self._run(["memcached", *options(given)])


class ConfiguredRedis(Redis):
    """Redis with a file, on a port and in a directory of the test."""

    def __init__(self, text: str) -> None:
        self._text = text
        super().__init__()

    def start(self) -> None:
        moved = {
            "port 6379": f"port {self.port}",
            "dir /var/lib/redis": f"dir {self.directory}",
            "pidfile /run/redis": f"pidfile {self.directory}",
            "logfile /var/log/redis": f"logfile {self.directory}",
        }
        path = self.directory / "redis.conf"
        path.write_text(replaced(self._text, moved))
        self._run(["redis-server", str(path), "--daemonize", "no"])


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[None]:
    try:
        yield
    finally:
        server.stop()


def test_memcached_takes_its_file_and_says_what_stands_there(tmp_path: Path) -> None:
    server = Configured(MEMCACHED.read_text())
    with stopped(server):
        said = server.say(b"stats settings\r\n").decode()
        settings = dict(re.findall(r"^STAT (\S+) (\S+)\r$", said, re.MULTILINE))
        expected = {
            "maxbytes": str(256 * 1024 * 1024),
            "maxconns": "1024",
            "tcpport": str(server.port),
            "udpport": "0",
            "inter": "127.0.0.1",
            "growth_factor": "1.25",
            "num_threads": "4",
            "item_size_max": str(1024 * 1024),
            "evictions": "on",
            "auth_enabled_sasl": "no",
        }
        assert settings.items() >= expected.items()
        used = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{server.port}"}
        with service(tmp_path, WEB_CONCURRENCY="1", **PATIENT, **used) as live:
            assert call(live.port, "POST", CACHE, {"key": "k", "value": 1}).status == 201
            assert call(live.port, "GET", f"{CACHE}/k").json["value"] == 1
            large = call(live.port, "POST", CACHE, {"key": "k", "value": "v" * 1_100_000})
            assert large.status == 500
            assert "SERVER_ERROR" in large.body.decode()


def test_the_wrapper_of_debian_keeps_the_options_in_their_order() -> None:
    assert options(MEMCACHED.read_text()) == shlex.split(
        "-l 127.0.0.1 -p 11211 -U 0 -u memcache -m 256 -c 1024 -t 4 -I 1m -f 1.25"
    )
    wrapper = Path("/usr/share/memcached/scripts/systemd-memcached-wrapper")
    if wrapper.exists():
        # The lines that `options` repeats.
        text = wrapper.read_text()
        for line in (r"s/(?<!\\)\#[^\#]*//g", r"/^\-[dh]/", 'join " ", @$params'):
            assert line in text


def test_redis_takes_its_file_and_says_what_stands_there(tmp_path: Path) -> None:
    with stopped(server := ConfiguredRedis(REDIS.read_text())):
        lines = re.findall(r"^([a-z-]+) (.+)$", REDIS.read_text(), re.MULTILINE)
        moved = {"port", "dir", "pidfile", "logfile"}
        for name, value in lines:
            if name not in moved:
                said = server.call("CONFIG", "GET", name)[1].decode()
                assert said == _as_redis_says(value), name
        assert server.call("CONFIG", "GET", "enable-debug-command")[1] == b"no"
        with service(tmp_path, WEB_CONCURRENCY="1", **PATIENT, **_driver(server)) as live:
            assert call(live.port, "POST", CACHE, {"key": "k", "value": 1}).status == 201
            assert call(live.port, "GET", f"{CACHE}/k").json["value"] == 1


def test_a_full_redis_evicts_and_goes_on_storing(tmp_path: Path) -> None:
    small = replaced(REDIS.read_text(), {"maxmemory 256mb": "maxmemory 4mb"})
    with (
        stopped(server := ConfiguredRedis(small)),
        service(tmp_path, WEB_CONCURRENCY="1", **PATIENT, **_driver(server)) as live,
    ):
        for number in range(60):
            item = {"key": f"k{number}", "value": "v" * 100_000, "ttl": 0}
            assert call(live.port, "POST", CACHE, item).status == 201
        assert call(live.port, "GET", f"{CACHE}/k59").status == 200
        assert server.info("stats")["evicted_keys"] > 0


def test_the_user_of_redis_conf_suffices_and_nobody_else_gets_in(tmp_path: Path) -> None:
    text = replaced(
        REDIS.read_text(),
        {"# user cacheapi on": "user cacheapi on", "# user default off": "user default off"},
    )
    (rights,) = re.findall(r"^user cacheapi on >CHANGE-ME (.*)$", text, re.MULTILINE)
    # Those that the tests of the backend hold to.
    assert {"resetchannels", *rights.split()} == set(LEAST_RIGHTS)
    with stopped(server := ConfiguredRedis(text)):
        with server.connect() as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100).startswith(b"-NOAUTH")
        login = {"REDIS_USERNAME": "cacheapi", "REDIS_PASSWORD": "CHANGE-ME"}
        with service(tmp_path, WEB_CONCURRENCY="1", **PATIENT, **_driver(server), **login) as live:
            assert call(live.port, "POST", CACHE, {"key": "n", "value": 1}).status == 201
            counted = call(live.port, "PATCH", f"{CACHE}/n", {"increment": 2})
            assert counted.json["value"] == 3
            assert call(live.port, "GET", CACHE).json["resource"] == [{"key": "n"}]
            assert call(live.port, "DELETE", CACHE).status == 200


def test_both_listen_on_this_machine_only(tmp_path: Path) -> None:
    cache = Configured(MEMCACHED.read_text())
    with stopped(cache), stopped(server := ConfiguredRedis(REDIS.read_text())):
        for port in (cache.port, server.port):
            socket.create_connection(("127.0.0.1", port), 5).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((ELSEWHERE, port), 5)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(20)
            asking.connect(("127.0.0.1", cache.port))
            asking.send(b"\0\1\0\0\0\1\0\0stats\r\n")
            with pytest.raises(ConnectionRefusedError):
                asking.recv(100)


def _driver(server: Redis) -> dict[str, str]:
    return {"CACHE_DRIVER": "redis", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port)}


def _as_redis_says(value: str) -> str:
    if megabytes := re.fullmatch(r"(\d+)mb", value):
        return str(int(megabytes[1]) * 1024 * 1024)
    return value.strip('"')
