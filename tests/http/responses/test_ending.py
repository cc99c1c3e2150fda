"""A worker that ends leaves no connection to an origin behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from cacheapi import create_app, load
from tests.http.client import close_app
from tests.support.inside import Inside
from tests.support.live import call
from tests.support.origin import Origin, reply
from tests.support.processes import Service, eventually, service
from tests.support.timing import Stopwatch

FRESH = {"Cache-Control": "max-age=60"}


def services_file(directory: Path, origin: Origin) -> str:
    path = directory / "services.toml"
    path.write_text(
        f'[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\nbase_url = "{origin.url}"\n'
    )
    return str(path)


def leave_busy(port: int, origin: Origin) -> None:
    """Leave an idle connection, and a fetch in the background that would take long."""
    origin.on("/end/1", reply(200, FRESH, "x"))
    stale = {"Cache-Control": "max-age=0, stale-while-revalidate=60"}
    origin.on("/end/2", reply(200, stale, "x"), reply(200, stale, "y", delay=20.0))
    for path in ("/end/1", "/end/2", "/end/2"):
        assert call(port, "GET", f"/api/v2/shop{path}").body == b"x"
    eventually(lambda: origin.count("/end/2") == 2)


def test_one_in_this_process_ends(origin: Origin, tmp_path: Path) -> None:
    """Where a warning is an error, uvloop never came back from closing an open transport."""
    given = {
        "CACHEAPI_API_KEY": Service.api_key,
        "CACHEAPI_DATA_DIR": str(tmp_path / "data"),
        "CACHEAPI_SERVICES_FILE": services_file(tmp_path, origin),
    }
    app = create_app(load(given, None))
    live = Inside(app, tmp_path)
    leave_busy(live.port, origin)
    watch = Stopwatch()
    live.begin_to_stop()
    live._thread.join(60)
    assert not live._thread.is_alive()
    assert watch() < 10
    close_app(app)


@pytest.mark.parametrize("worker", ["own", "gthread"])
def test_gunicorn_ends_at_once(origin: Origin, tmp_path: Path, worker: str) -> None:
    arguments = ("-k", "gthread") if worker == "gthread" else ()
    settings = {
        "WEB_CONCURRENCY": "1",
        "PYTHONWARNINGS": "always::ResourceWarning",
        "CACHEAPI_SERVICES_FILE": services_file(tmp_path, origin),
    }
    with service(tmp_path, *arguments, **settings) as live:
        leave_busy(live.port, origin)
        watch = Stopwatch()
        assert live.stop() == 0
        assert watch() < 10
    log = live.log.read_text()
    assert "Warning" not in log
    assert "Traceback" not in log
