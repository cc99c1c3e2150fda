"""Under a path behind the real proxies, by the snippets of ``deploy/``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy.site import AROUND, replaced
from tests.support.hosts import asked, hosts_heard
from tests.support.processes import REPOSITORY, Server, Service, free_port, service
from tests.support.tools import tool

WORKERS: dict[str, tuple[str, ...]] = {"lane": (), "gthread": ("-k", "gthread")}
UPSTREAM = "http://127.0.0.1:8000"
HTTPD = """
ServerRoot "{directory}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{directory}/pid"
ErrorLog "{directory}/error.log"
{user}
{modules}
Include "{directory}/cacheapi.conf"
"""
MODULES = ("mpm_event", "authz_core", "alias", "proxy", "proxy_http", "headers")


class Proxy(Server):
    """nginx or Apache with the snippet in front of a port."""

    def __init__(self, name: str, directory: Path, upstream: str) -> None:
        self.directory = directory
        self.port = free_port()
        text = (REPOSITORY / f"deploy/{name}/under-a-path.conf").read_text()
        text = replaced(text, {UPSTREAM: upstream})
        if name == "nginx":
            text = f"server {{ listen 127.0.0.1:{self.port}; server_name cache.example;\n{text} }}"
            user = "user root;" if os.getuid() == 0 else ""
            main = AROUND.format(directory=directory, user=user)
            self._command = [tool("nginx"), "-e", f"{directory}/error.log", "-g", "daemon off;"]
            self._command += ["-c", f"{directory}/main.conf"]
        else:
            place = "/usr/lib/apache2/modules"
            main = HTTPD.format(
                directory=directory,
                port=self.port,
                user="User www-data\nGroup www-data" if os.getuid() == 0 else "",
                modules="\n".join(
                    f"LoadModule {each}_module {place}/mod_{each}.so" for each in MODULES
                ),
            )
            self._command = [tool("apache2"), "-D", "FOREGROUND", "-f", f"{directory}/main.conf"]
        (directory / "cacheapi.conf").write_text(text)
        (directory / "main.conf").write_text(main)
        super().__init__(self.port)

    def start(self) -> None:
        self._run(self._command)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


class Place(NamedTuple):
    """Where the service is, behind its proxy."""

    url: str


@pytest.fixture(scope="module", params=WORKERS)
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    arguments = WORKERS[request.param]
    with service(directory, *arguments, WEB_CONCURRENCY="1", CACHEAPI_BASE_PATH="/c") as running:
        yield running


@pytest.fixture(scope="module", params=["nginx", "apache"])
def place(
    request: pytest.FixtureRequest, live: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    proxy = Proxy(request.param, tmp_path_factory.mktemp(request.param), live.url)
    try:
        yield Place(f"http://127.0.0.1:{proxy.port}")
    finally:
        proxy.stop()


def get(url: str, key: str = Service.api_key, **more: str) -> tuple[str, bytes]:
    """Return where a browser ends, and what it gets."""
    asked = urllib.request.Request(url, headers={"X-DreamFactory-API-Key": key, **more})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return answer.url, answer.read()


def test_all_of_it_is_there(place: Place) -> None:
    cache = f"{place.url}/c/api/v2/cache"
    body = json.dumps({"value": 1}).encode()
    shown = {"X-DreamFactory-API-Key": Service.api_key}
    emptied = urllib.request.Request(cache, headers=shown, method="DELETE")
    urllib.request.urlopen(emptied, timeout=20).close()
    for key in ("plain", "a%2Fb%3Fc", "%C3%A9"):
        url = f"{cache}/{key}"
        fields = {**shown, "Content-Type": "application/json"}
        made = urllib.request.Request(url, body, fields)
        with urllib.request.urlopen(made, timeout=20) as answer:
            assert answer.status == 201
        assert json.loads(get(url)[1])["value"] == 1
    # The slash that is no part of the path stayed so.
    listed = json.loads(get(cache)[1])["resource"]
    assert sorted(each["key"] for each in listed) == ["a/b?c", "plain", "é"]
    _, page = get(f"{place.url}/c/api/v2/docs")
    for path in re.findall(r'(?:href|src|data-description)="(/[^"]*)"', page.decode()):
        assert get(f"{place.url}{path}")[1]
    assert json.loads(get(f"{place.url}/c/health/live")[1]) == {"status": "live"}
    assert b"cacheapi_requests" in get(f"{place.url}/c/metrics")[1]


@pytest.mark.parametrize("path", ["/c", "/c/", "/c/console", "/c/console/"])
def test_a_browser_stays_below_it(place: Place, path: str) -> None:
    where, page = get(f"{place.url}{path}", key="", Accept="text/html")
    assert where.removeprefix(place.url).startswith("/c/console/sign-in")
    for found in re.findall(r'(?:href|src)="(/[^"]*)"', page.decode()):
        assert found.startswith("/c/")
        assert get(f"{place.url}{found}")[1]


def test_the_program_asks_it_there(place: Place, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cacheapi", "set", "a/b", "[1]"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "CACHEAPI_URL": f"{place.url}/c",
            "CACHEAPI_KEY": Service.api_key,
        },
        timeout=60,
    )
    assert ended.returncode == 0
    assert json.loads(get(f"{place.url}/c/api/v2/cache/a%2Fb")[1])["value"] == [1]


def test_nginx_passes_on_the_host_with_its_port_and_one_where_there_is_none(tmp_path: Path) -> None:
    with hosts_heard() as (upstream, hosts):
        nginx = Proxy("nginx", tmp_path, f"http://127.0.0.1:{upstream}")
        try:
            asked(nginx.port, "HTTP/1.1", f"Host: cache.example:{nginx.port}")
            asked(nginx.port, "HTTP/1.1", "Host: cache.example")
            asked(nginx.port, "HTTP/1.0")
        finally:
            nginx.stop()
    assert hosts[:2] == [f"cache.example:{nginx.port}", "cache.example"]
    # Of nginx's own: the service refuses a request of HTTP/1.1 without one.
    assert hosts[2]
