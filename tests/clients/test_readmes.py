"""What the clients' pages show, run as it stands there, but for the address."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import django.conf
import flask
import flask_caching
import pytest
from django.core.cache import CacheHandler

from tests.clients.conformance import CLIENTS
from tests.support import tools
from tests.support.live import CACHE, call
from tests.support.processes import Service

SHOWN = "http://127.0.0.1:8000/api/v2/cache"

PATIENT = {
    "python": ('os.environ["KEY"])', 'os.environ["KEY"], timeout=60, connect_timeout=60)'),
    "php": ("getenv('KEY'))", "getenv('KEY'), ['timeout' => 60, 'connect_timeout' => 60])"),
    "javascript": ("process.env.KEY)", "process.env.KEY, { timeoutMs: 60000 })"),
}


@pytest.fixture
def url(live: Service, monkeypatch: pytest.MonkeyPatch) -> str:
    assert call(live.port, "DELETE", CACHE).status == 200
    monkeypatch.setenv("KEY", live.api_key)
    return f"{live.url}{CACHE}"


def boxes(language: str, name: str, url: str) -> list[str]:
    page = (CLIENTS / language / "README.md").read_text()
    found = re.findall(rf"^```{name}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found
    # A machine that is busy with other tests is no cache that is away.
    first, changed = PATIENT[language]
    assert found[0].count(first) == 1
    return [box.replace(SHOWN, url).replace(first, changed) for box in found]


def check(live: Service) -> None:
    """Each page stores the same, and a report."""
    keys = "user:1,visits,report,report:stale"
    answer = call(live.port, "GET", f"{CACHE}?keys={keys}").json
    values = {item["key"]: item["value"] for item in answer["resource"]}
    report = {"report": "slow", "report:stale": "slow"}
    assert values == {"user:1": {"name": "John"}, "visits": 1, **report}


def test_python(live: Service, url: str) -> None:
    script = "def slow_query(): return 'slow'\n" + boxes("python", "python", url)[0]
    environ = {**os.environ, "PYTHONPATH": str(CLIENTS / "python")}
    done = tools.run(sys.executable, "-c", script, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    check(live)


def test_php(live: Service, url: str) -> None:
    script = "function slow_query() { return 'slow'; }" + boxes("php", "php", url)[0]
    done = tools.run(tools.tool("php"), "-r", script, cwd=CLIENTS / "php")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    check(live)


def test_javascript(live: Service, url: str, tmp_path: Path) -> None:
    script = "const slowQuery = () => 'slow';" + boxes("javascript", "js", url)[0]
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "cacheapi-client").symlink_to(CLIENTS / "javascript")
    (tmp_path / "script.mjs").write_text(script)
    done = tools.run(tools.tool("node"), "script.mjs", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    check(live)


def test_django(url: str) -> None:
    if not django.conf.settings.configured:
        django.conf.settings.configure()
    settings: dict[str, dict[str, dict[str, object]]] = {}
    exec(boxes("python", "python", url)[1], {"os": os}, settings)
    cache = CacheHandler(settings["CACHES"])["default"]
    with cache._cache:
        cache.set("a", 1)
        assert cache.get("a") == 1


def test_flask_caching(url: str) -> None:
    app = flask.Flask("site")
    settings: dict[str, str] = {}
    exec(boxes("python", "python", url)[2], {"os": os}, settings)
    app.config.from_mapping(settings)
    cache = flask_caching.Cache(app)
    with app.app_context(), cache.cache._cache:
        assert cache.set("a", 1)
        assert cache.get("a") == 1
