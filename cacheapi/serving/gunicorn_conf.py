"""How gunicorn serves the application: its configuration file, for the package and a checkout.

``cacheapi serve`` names this file to gunicorn, and so does ``gunicorn.conf.py`` of a checkout.
It is run at each start and each HUP, and not for import: where the service cannot start, it
ends the process with one line.
"""

from __future__ import annotations

import gc
import logging
import os
import shlex
import socket
import sys
from typing import Any

from cacheapi.observing.metrics import place
from cacheapi.observing.readiness import READINESS
from cacheapi.registry.environment import key_file
from cacheapi.registry.opening import open_registry
from cacheapi.serving import refusals, singles
from cacheapi.serving.address import bind_of, refused_address
from cacheapi.serving.forking import heed_signals_from_the_start
from cacheapi.settings import SettingsError, load
from cacheapi.web.access import ACCESS
from cacheapi.web.auth import HEADER
from cacheapi.web.mounting import base_path

# The service's own lines look like gunicorn's.
logging.basicConfig(
    format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s", datefmt="%Y-%m-%d %H:%M:%S %z"
)
# Who changed services and API keys.
logging.getLogger("cacheapi.audit").setLevel(logging.INFO)

try:
    _settings = load()
    # Refused here, a setting stops the start with one line instead of a worker's traceback.
    bind = bind_of(_settings)
    open_registry(_settings).close()
except SettingsError as error:
    sys.exit(f"cacheapi cannot start. {error}")

# gunicorn's own workers would take it for themselves, and refuse what has no such path; the
# application does it for all of them.
_base = base_path(_settings)
if os.environ.pop("SCRIPT_NAME", None) is not None:
    os.environ["CACHEAPI_BASE_PATH"] = _base

# One process a core: the work is Python's, and a thread waits only for a cache.
workers = _settings["WEB_CONCURRENCY"] or len(os.sched_getaffinity(0))
worker_class = "cacheapi.serving.worker.Worker"
# For what the fast lane leaves. A waiting backend holds a thread, for 250 ms at most.
threads = 8

# On TERM and HUP, what is in flight may finish.
graceful_timeout = 30
# A worker that shows no sign of life for this long is replaced.
timeout = 30
# Longer than the pauses of a client that calls in a loop, shorter than proxies keep theirs.
keepalive = 15
# The heartbeat of a worker should not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108

# Against slow leaks in drivers; the jitter keeps workers from leaving together.
max_requests = 20_000_000
max_requests_jitter = 2_000_000

# For gunicorn's own workers; ours has its limits in cacheapi/serving/head.py.
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
# The limit of bodies is CACHEAPI_MAX_BODY_MB; the application keeps it.

# No header of a request may say under which path the service is mounted.
forwarder_headers = ""

# Nothing but HTTP listens.
control_socket_disable = True

# For gunicorn's own workers. Without the path, which has the key of an entry, and the query,
# which may have an API key.
access_log_format = '%(h)s "%(m)s" %(s)s %(b)s %(M)sms'


def post_fork(_server: Any, worker: Any) -> None:
    """Let workers of gunicorn's own answer as ours do: ``gunicorn -k gthread wsgi:app``."""
    refusals.install(worker.log.error_log)
    singles.install()


def post_worker_init(worker: Any) -> None:
    """Follow changes of services and API keys before the first request asks for them."""
    worker.wsgi.extensions[ACCESS].watch()
    # What is here by now stays: the collector need not go through all of it again and again, which
    # takes a tenth of a second where there are thousands of services.
    gc.collect()
    gc.freeze()
    # One worker of each start says whether the caches can be used.
    if (worker.age - 1) % worker.cfg.workers == 0:
        worker.wsgi.extensions[READINESS].announce()


def _refuse_addresses(addresses: list[Any]) -> None:
    """End with one line, where gunicorn would try again five times and say no way out."""
    if {"GUNICORN_FD", "LISTEN_FDS"} & os.environ.keys():
        # They are open already.
        return
    for address in addresses:
        if not isinstance(address, tuple):
            continue
        host, port = address[:2]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family) as tried:
                # As gunicorn does: connections of before that are ending hold up nobody.
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((host, port))
        except OSError as error:
            sys.exit(f"cacheapi cannot start. {refused_address(host, port, error)}")


def on_starting(server: Any) -> None:
    """Refuse a bad address and a reload that could not start; let workers hand over counts."""
    _refuse_addresses(server.cfg.address)
    heed_signals_from_the_start()
    reload = server.handle_hup

    def handle_hup() -> None:
        try:
            settings = load()
            bind_of(settings)
            open_registry(settings).close()
        except SettingsError as error:
            # gunicorn would end, and leave its workers to themselves.
            server.log.error(
                "Not reloaded, all stays as it was until a worker is replaced: that reads them "
                "too. %s",
                error,
            )
        else:
            reload()

    server.handle_hup = handle_hup
    if _settings["CACHEAPI_METRICS"] != "off":
        place.begin()


def child_exit(_server: Any, worker: Any) -> None:
    """Keep what a worker that is gone has counted."""
    if _settings["CACHEAPI_METRICS"] != "off":
        place.child_is_gone(worker.pid)


def on_exit(_server: Any) -> None:
    """Leave nothing behind."""
    if _settings["CACHEAPI_METRICS"] != "off":
        place.end()


def when_ready(server: Any) -> None:
    """Say where the service is, where its key is, and two commands to try it."""
    # What gunicorn was told on its command line goes before the settings.
    url, curl = str(server.LISTENERS[0]), "curl"
    if url.startswith("unix:"):
        curl += f" --unix-socket {shlex.quote(url.removeprefix('unix:'))}"
        url = "http://localhost"
    url += _base
    cache = f"{url}/api/v2/cache"
    if _settings["CACHEAPI_API_KEY"]:
        key, place = "YOUR_API_KEY", "is what CACHEAPI_API_KEY says"
    else:
        path = key_file(_settings).resolve()
        key, place = f"$(cat {shlex.quote(str(path))})", f"is in {path}"
    console = f", its console at {url}/console" if _settings["CACHEAPI_CONSOLE"] else ""
    print(
        f"""
cacheapi is at {url}, its API page at {url}/api/v2/docs{console}
The API key {place}

Store a value:
  {curl} -X POST "{cache}" -H "{HEADER}: {key}" -H "Content-Type: application/json" \
-d '{{"key": "greeting", "value": "hello"}}'
Read it:
  {curl} "{cache}/greeting" -H "{HEADER}: {key}"
""",
        # A program that reads the log reads JSON alone.
        file=sys.stderr if _settings["CACHEAPI_LOG_FORMAT"] == "json" else sys.stdout,
        flush=True,
    )
