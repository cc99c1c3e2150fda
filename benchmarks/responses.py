"""``make bench RESPONSES=1``: hits of a cache in front of an HTTP API, beside its peers.

All stand before the same origin and on the same memcached where they have one. Round by round
each is asked for what it has stored, by wrk; printed are the medians of requests a second and
of the processor time, user's and system's, of all server processes of it, a request.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import saving
from benchmarks.servers import WORKERS, cpu_seconds, process, redis
from tests.support.processes import (
    Service,
    free_port,
    service,
)

MODULES = Path("/usr/lib/nginx/modules")
SRCACHE = ("ngx_http_srcache_filter_module.so", "ngx_http_memc_module.so")
SIZES = {"1 kB": 1000, "50 kB": 50_000}
CONNECTIONS = (16, 64)
# URLs of each size.
URLS = 50
# Of the requests, how many may reach the origin while it is measured.
ALLOWED = 0.01
LOCAL_MS = 1000

LUA = """
local requests, at = {{}}, 0
function init()
  for number = 0, {urls} - 1 do
    requests[number] = wrk.format('GET', '{path}/{size}?n=' .. number)
  end
end
function request()
  at = (at + 1) % {urls}
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\nRESULT {{"requests": %d, "seconds": %f, "p99": %f, "wrong": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


class Front(NamedTuple):
    """What is measured.

    :ivar path: that its URLs begin with.
    :ivar roots: the processes that, with their children, do the work; the cache server too.
    """

    name: str
    port: int
    path: str
    roots: tuple[int, ...]


class Result(NamedTuple):
    """One measurement: requests a second, microseconds of processor a request, p99 in ms."""

    rate: float
    used: float
    p99: float


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.responses", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--only", default="", help="names of what to measure, with commas")
    options = parser.parse_args(arguments)
    rounds, seconds = (1, 1) if options.quick else (options.rounds, options.seconds)
    found: dict[tuple[str, int, str], list[Result]] = {}
    with tempfile.TemporaryDirectory() as path, contextlib.ExitStack() as stack:
        directory = Path(path)
        # nginx leaves its privileges, and shall read it all the same.
        directory.chmod(0o755)
        origin = start_origin(stack, directory)
        fronts = [origin, *start_fronts(stack, directory, origin.port)]
        only = {name for name in options.only.split(",") if name}
        fronts = [front for front in fronts if not only or front.name in only]
        for front in fronts:
            warm(front)
        for number in range(rounds):
            for size in SIZES:
                for connections in CONNECTIONS:
                    for front in fronts:
                        row = f"{number + 1}/{rounds} {size}, {connections}, {front.name}"
                        print(row, file=sys.stderr)
                        one = measure(front, origin, size, connections, seconds, directory)
                        found.setdefault((size, connections, front.name), []).append(one)
    names = [front.name for front in fronts]
    print(table(names, found))
    save(found)


# What is measured


def start_origin(stack: contextlib.ExitStack, directory: Path) -> Front:
    """Run an API that is as fast as any: nginx with files."""
    root = directory / "origin"
    root.mkdir()
    for size in SIZES.values():
        (root / str(size)).write_bytes(b"v" * size)
    port = free_port()
    pid = nginx(
        stack,
        directory,
        "origin",
        port,
        f"""server {{
            listen 127.0.0.1:{port}; root {root}; default_type text/plain;
            location / {{ add_header Cache-Control max-age=3600; }}
            location = /status {{ stub_status; }}
        }}""",
    )
    return Front("origin alone", port, "", (pid,))


def start_fronts(stack: contextlib.ExitStack, directory: Path, origin: int) -> Iterator[Front]:
    """Run all that can be run here."""
    cache = free_port()
    user = ("-u", "root") if os.getuid() == 0 else ()
    command = ("memcached", "-l", "127.0.0.1", "-p", str(cache), "-U", "0", "-m", "512", *user)
    memcached = stack.enter_context(process(cache, *command)).pid
    common = f"upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}"
    keep = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    if not all((MODULES / name).exists() for name in SRCACHE):
        print("Left out: srcache (libnginx-mod-http-srcache-filter, libnginx-mod-http-memc)")
    else:
        port = free_port()
        pid = nginx(
            stack,
            directory,
            "srcache",
            port,
            f"""{common}
            upstream memcached {{ server 127.0.0.1:{cache}; keepalive 64; }}
            server {{
                listen 127.0.0.1:{port};
                location = /memc {{
                    internal; set $memc_key $query_string; set $memc_exptime 3600;
                    memc_pass memcached;
                }}
                location / {{
                    set $key $uri$is_args$args;
                    srcache_fetch GET /memc $key; srcache_store PUT /memc $key;
                    proxy_pass http://origin; {keep}
                }}
            }}""",
            *(f"load_module {MODULES / name};" for name in SRCACHE),
        )
        yield Front("srcache on memcached", port, "", (pid, memcached))
    port = free_port()
    pid = nginx(
        stack,
        directory,
        "proxy_cache",
        port,
        f"""{common} proxy_cache_path {directory}/proxy_cache/cache keys_zone=zone:10m;
        server {{
            listen 127.0.0.1:{port};
            location / {{ proxy_cache zone; proxy_pass http://origin; {keep} }}
        }}""",
    )
    yield Front("nginx proxy_cache", port, "", (pid,))
    if shutil.which("varnishd") is None:
        print("Left out: Varnish (package varnish)")
    else:
        port = free_port()
        command = (
            *("varnishd", "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin}"),
            *("-s", "malloc,256m", "-n", str(directory / "varnish"), "-j", "none"),
        )
        pid = stack.enter_context(process(port, *command)).pid
        yield Front("Varnish", port, "", (pid,))
    on_memcached = {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": "127.0.0.1",
        "MEMCACHED_PORT": str(cache),
    }
    ours = [("on memcached", on_memcached, (memcached,), 0)]
    if shutil.which("redis-server") is None:
        print("Left out: Redis (package redis-server)")
    else:
        store = stack.enter_context(redis(directory))
        on_redis = {
            "CACHE_DRIVER": "redis",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(store.port),
        }
        ours.append(("on Redis", on_redis, (store.pid,), 0))
    ours += [
        ("on file", {"CACHE_DRIVER": "file"}, (), 0),
        ("with local_ms", on_memcached, (), LOCAL_MS),
    ]
    for name, settings, stores, local in ours:
        own = directory / f"cacheapi-{name.replace(' ', '-')}"
        own.mkdir()
        services = own / "services.toml"
        services.write_text(
            f'[[service]]\nname = "api"\ntype = "rws"\n[service.config]\n'
            f'base_url = "http://127.0.0.1:{origin}"\nlocal_ms = {local}\n'
        )
        live = stack.enter_context(
            service(
                own,
                WEB_CONCURRENCY=str(WORKERS),
                CACHEAPI_SERVICES_FILE=str(services),
                **settings,
            )
        )
        roots = (live.process.pid, *stores, *((memcached,) if local else ()))
        yield Front(f"cacheapi {name}", live.port, "/api/v2/api", roots)


def nginx(
    stack: contextlib.ExitStack, directory: Path, name: str, port: int, text: str, *modules: str
) -> int:
    """Run an nginx; return its process id."""
    own = directory / name
    own.mkdir(exist_ok=True)
    path = own / "nginx.conf"
    path.write_text(
        f"""
        {" ".join(modules)}
        daemon off; worker_processes {WORKERS}; pid {own}/nginx.pid; error_log /dev/null;
        {"user root;" if os.getuid() == 0 else ""}
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 100000000; tcp_nopush on; sendfile on;
            client_body_temp_path {own}; proxy_temp_path {own}/proxy;
            fastcgi_temp_path {own}; uwsgi_temp_path {own}; scgi_temp_path {own};
            {text}
        }}
        """
    )
    return stack.enter_context(process(port, "nginx", "-c", path)).pid


# Measuring


def warm(front: Front) -> None:
    """Have everything stored, and see that it is."""
    for size in SIZES.values():
        for number in (*range(URLS), *range(URLS)):
            status, body = get(front.port, f"{front.path}/{size}?n={number}")
            if status != 200 or len(body) != size:
                raise RuntimeError(f"{front.name} answers {status} with {len(body)} bytes")


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"X-DreamFactory-API-Key": Service.api_key})
        answer = connection.getresponse()
        return answer.status, answer.read()


def measure(
    front: Front, origin: Front, size: str, connections: int, seconds: int, directory: Path
) -> Result:
    """Let wrk ask for what is stored.

    :raises RuntimeError: some answers were wrong, or came from the origin.
    """
    script = directory / "wrk.lua"
    script.write_text(LUA.format(urls=URLS, path=front.path, size=SIZES[size]))
    asked, used = requests_of(origin), sum(map(cpu_seconds, front.roots))
    ended = subprocess.run(
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script),
            *("-H", f"X-DreamFactory-API-Key: {Service.api_key}"),
            f"http://127.0.0.1:{front.port}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    used, asked = sum(map(cpu_seconds, front.roots)) - used, requests_of(origin) - asked
    found = json.loads(ended.stdout.partition("RESULT ")[2])
    number = found["requests"]
    reached = 0 if front.port == origin.port else asked
    if not number or found["wrong"] or reached > ALLOWED * number + 10:
        raise RuntimeError(f"{front.name}: {found}, {reached} of them at the origin")
    return Result(number / found["seconds"], used / number * 1e6, found["p99"])


def requests_of(origin: Front) -> int:
    """Return how many requests an origin has had."""
    _, body = get(origin.port, "/status")
    return int(body.split(b"\n")[2].split()[2])


def table(names: list[str], found: dict[tuple[str, int, str], list[Result]]) -> str:
    """Return the medians: requests a second, and microseconds of processor a request."""
    lines = [["requests/s; CPU µs a request", *names], ["---"] * (len(names) + 1)]
    for size in SIZES:
        for connections in CONNECTIONS:
            cells = [f"{size}, {connections} connections"]
            for name in names:
                results = found[size, connections, name]
                rate = statistics.median(result.rate for result in results)
                used = statistics.median(result.used for result in results)
                cells.append(f"{rate:,.0f}; {used:.0f}")
            lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def save(found: dict[tuple[str, int, str], list[Result]]) -> None:
    """Write all of it as JSON."""
    document: list[dict[str, Any]] = [
        {
            "size": size,
            "connections": connections,
            "server": name,
            "rounds": [result._asdict() for result in results],
        }
        for (size, connections, name), results in found.items()
    ]
    saving.save(document, "responses")


if __name__ == "__main__":
    main()
