"""What is measured, and what it needs: each on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from backends.registry import drivers
from tests.support.processes import free_port, memcached, service, wait_for_port

WORKERS = 2


class Server(NamedTuple):
    """A server under measurement.

    :ivar name: its column in the table.
    :ivar kind: how it is spoken to: ``cacheapi``, ``webdis`` or ``nginx``.
    :ivar processes: the ids of those that have a part in its work, the cache server too.
    :ivar workers: the process ids of its workers, where it has some.
    :ivar limited: an API key with a rate limit.
    """

    name: str
    kind: str
    port: int
    processes: tuple[int, ...] = ()
    workers: tuple[int, ...] = ()
    limited: str = ""

    def cpu_seconds(self) -> float:
        """Return the processor time of all processes and their children until now."""
        return sum(map(cpu_seconds, self.processes))


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, of all its threads, and of its children."""
    # Behind the name of the program, which may have blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(int(child)) for child in children)


class Running(NamedTuple):
    """A program that listens on a port."""

    port: int
    pid: int


@contextlib.contextmanager
def process(port: int, *command: str | Path) -> Iterator[Running]:
    """Run a program that listens on a port."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, running)
        yield Running(port, running.pid)
    finally:
        running.terminate()
        running.wait()


def redis(directory: Path) -> contextlib.AbstractContextManager[Running]:
    """Run a Redis that keeps nothing on disk."""
    port = free_port()
    return process(
        port,
        *("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory),
        *("--save", "", "--appendonly", "no"),
    )


def webdis(directory: Path, redis_port: int) -> contextlib.AbstractContextManager[Running]:
    """Run Webdis on a Redis."""
    port = free_port()
    settings = {
        "redis_host": "127.0.0.1",
        "redis_port": redis_port,
        "http_host": "127.0.0.1",
        "http_port": port,
        "http_max_request_size": 16 * 1024 * 1024,
        "threads": WORKERS,
        "pool_size": 20,
        "daemonize": False,
        "websockets": False,
        "database": 0,
        "acl": [],
        "verbosity": 0,
        "logfile": "/dev/null",
    }
    path = directory / "webdis.json"
    path.write_text(json.dumps(settings))
    return process(port, "webdis", path)


def nginx(directory: Path, memcached_port: int) -> contextlib.AbstractContextManager[Running]:
    """Run nginx with its memcached module: it gives values as they are."""
    port = free_port()
    path = directory / "nginx.conf"
    path.write_text(
        f"""
        daemon off; worker_processes {WORKERS}; pid {directory}/nginx.pid; error_log /dev/null;
        {"user root;" if os.getuid() == 0 else ""}
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 100000000;
            client_body_temp_path {directory}; proxy_temp_path {directory};
            fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
            upstream cache {{ server 127.0.0.1:{memcached_port}; keepalive 64; }}
            server {{
                listen 127.0.0.1:{port};
                location ~ ^/(.+)$ {{ set $memcached_key $1; memcached_pass cache; }}
            }}
        }}
        """
    )
    return process(port, "nginx", "-c", path)


@contextlib.contextmanager
def running(directory: Path, missing: set[str], *, quick: bool) -> Iterator[list[Server]]:
    """Run all that can be run here.

    :param missing: programs that are not installed.
    """
    with contextlib.ExitStack() as stack:
        cache = stack.enter_context(memcached("-m", "512"))
        servers = []

        def cacheapi(
            name: str,
            *arguments: str,
            behind: tuple[int, ...] = (),
            workers: int = WORKERS,
            **settings: str,
        ) -> None:
            live = stack.enter_context(
                service(
                    directory / name.replace(" ", "-"),
                    *arguments,
                    WEB_CONCURRENCY=str(workers),
                    **settings,
                )
            )
            processes = live.process.pid, *behind
            servers.append(Server(name, "cacheapi", live.port, processes, tuple(live.workers())))

        on_memcached = {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": "127.0.0.1",
            "MEMCACHED_PORT": str(cache.port),
        }
        memcached_pid = (cache.pid,)
        cacheapi("memcached", behind=memcached_pid, **on_memcached)
        if "redis-server" not in missing:
            store = stack.enter_context(redis(directory))
            on_redis = {
                "CACHE_DRIVER": "redis",
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(store.port),
            }
            if "redis" in drivers():
                cacheapi("redis", behind=(store.pid,), **on_redis)
            if "webdis" not in missing:
                peer = stack.enter_context(webdis(directory, store.port))
                servers.append(Server("Webdis", "webdis", peer.port, (peer.pid, store.pid)))
        cacheapi("file", CACHE_DRIVER="file")
        if "nginx" not in missing:
            peer = stack.enter_context(nginx(directory, cache.port))
            servers.append(Server("nginx", "nginx", peer.port, (peer.pid, *memcached_pid)))
        cacheapi("gthread, memcached", "-k", "gthread", behind=memcached_pid, **on_memcached)
        if not quick:
            cacheapi("gthread, file", "-k", "gthread", CACHE_DRIVER="file")
            cacheapi("memcached, 1 worker", behind=memcached_pid, workers=1, **on_memcached)
        yield servers
