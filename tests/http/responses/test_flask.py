"""Services in front of an API by Flask's own way, as gunicorn's thread workers serve them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi import create_app, load
from cacheapi.web.remotes import DOOR
from tests.http.client import Answer, close_app
from tests.support.origin import Origin, reply

KEY = "an-administrator-s"
SYSTEM = "/api/v2/system"
FRESH = {"Cache-Control": "max-age=60", "Cache-Tag": "all"}


class Flasks:
    """The application by Flask's test client, with the signature of a live call."""

    def __init__(self, app: Any) -> None:
        self._client = app.test_client()

    def __call__(self, method: str, path: str, body: Any = None, key: str = KEY, **headers: str):
        given = {"X-DreamFactory-API-Key": key, **headers}
        given = {name.replace("_", "-"): value for name, value in given.items() if value}
        answer = self._client.open(path, method=method, json=body, headers=given)
        return Answer(answer.status_code, answer.headers, answer.data)


@pytest.fixture
def ask(origin: Origin, tmp_path: Path) -> Iterator[Any]:
    services = tmp_path / "services.toml"
    services.write_text(
        '[[service]]\nname = "shop"\ntype = "rws"\n'
        f'[service.config]\nbase_url = "{origin.url}"\nheaders = "X-Extra: 1"\n'
    )
    given = {
        "CACHEAPI_API_KEY": KEY,
        "CACHEAPI_DATA_DIR": str(tmp_path / "data"),
        "CACHEAPI_SERVICES_FILE": str(services),
    }
    before = set(threading.enumerate())
    app = create_app(load(given, None))
    yield Flasks(app)
    close_app(app)
    # Its event loop has ended, and its connections to the origin with it.
    left = set(threading.enumerate()) - before
    assert "responses" not in {thread.name for thread in left}


def test_a_read_is_kept_validated_and_purged(ask: Any, origin: Origin) -> None:
    origin.on("/inside", reply(200, FRESH, "a"))
    first, second = (ask("GET", "/api/v2/shop/inside?q=1") for _ in range(2))
    assert (first.status, first.body) == (second.status, second.body) == (200, b"a")
    assert "fwd=uri-miss" in first.headers["Cache-Status"]
    assert "; hit" in second.headers["Cache-Status"]
    assert second.headers["X-Content-Type-Options"] == "nosniff"
    assert second.headers["Content-Security-Policy"] == "sandbox"
    timed = ask("HEAD", "/api/v2/shop/inside?q=1", X_Server_Timing="1")
    assert (timed.status, timed.body) == (200, b"")
    for purge in (
        "/api/v2/shop/inside?q=1&purge=true",
        "/api/v2/shop?tag=all",
        "/api/v2/shop",
        "/api/v2/shop/inside?q=1&purge=true&soft=true",
    ):
        assert "hit" in ask("GET", "/api/v2/shop/inside?q=1").headers["Cache-Status"]
        assert ask("DELETE", purge).status == 200
        assert "fwd=" in ask("GET", "/api/v2/shop/inside?q=1").headers["Cache-Status"]


@pytest.mark.parametrize(
    ("query", "headers", "said"),
    [
        ("purg=true", {}, "There is no parameter 'purg' here. Did you mean 'purge'?"),
        ("q=1&Purge=true", {}, "There is no parameter 'Purge' here. Did you mean 'purge'?"),
        ("purge=maybe", {}, "The parameter purge must be true or false."),
        ("purge=true&soft=maybe", {}, "The parameter soft must be true or false."),
        ("", {"X-Purge": "all"}, "The parameter x-purge must be true or false."),
    ],
)
def test_a_slip_in_a_purge_is_no_deletion_by_the_api(
    ask: Any, origin: Origin, query: str, headers: dict[str, str], said: str
) -> None:
    origin.on("/inside", reply(200, FRESH, "a"))
    asked = len(origin.log())
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    answer = ask("DELETE", f"/api/v2/shop/inside?{query}", **named)
    assert (answer.status, answer.json["error"]["message"]) == (400, said)
    assert len(origin.log()) == asked
    for passed in ("purge=false", "name=purge", "q=purg"):
        ask("DELETE", f"/api/v2/shop/inside?{passed}")
    assert len(origin.log()) == asked + 3


def test_who_may_not_is_told_so_in_the_one_shape(ask: Any, origin: Origin) -> None:
    assert ask("GET", "/api/v2/shop/inside", key="wrong").status == 401
    rules = {
        "name": "reader",
        "rules": [{"service": "shop", "verbs": ["GET"], "keys": "open*"}],
        "rate_limit": {"requests": 2, "seconds": 3600},
    }
    answer = ask("POST", f"{SYSTEM}/api_key", {"resource": [rules]})
    assert answer.status == 201, answer.body
    (made,) = answer.json["resource"]
    origin.on("/open/1", reply(200, FRESH, "b"))
    assert ask("GET", "/api/v2/shop/open/1", key=made["api_key"]).status == 200
    assert ask("GET", "/api/v2/shop/secret", key=made["api_key"]).status == 403
    over = ask("GET", "/api/v2/shop/open/1", key=made["api_key"])
    assert (over.status, "Retry-After" in over.headers) == (429, True)
    assert ask("GET", "/api/v2/shop/a/%2e%2e/%2e%2e/b").status == 400


def test_what_writes_is_passed_on(ask: Any, origin: Origin) -> None:
    origin.on("/things", reply(201, {"Location": f"{origin.url}/things/1"}, "made"))
    made = ask("POST", "/api/v2/shop/things", {"a": 1})
    assert (made.status, made.body) == (201, b"made")
    assert made.headers["Location"].endswith("/api/v2/shop/things/1")


def test_a_service_is_tried_and_described(ask: Any, origin: Origin) -> None:
    tried = ask("POST", f"{SYSTEM}/service/shop/test").json
    assert tried["success"] is True, tried
    away = {"name": "away", "type": "rws", "config": {"base_url": "http://127.0.0.1:9/"}}
    (made,) = ask("POST", f"{SYSTEM}/service", {"resource": [away]}).json["resource"]
    tried = ask("POST", f"{SYSTEM}/service/{made['id']}/test").json
    assert (tried["success"], bool(tried["cause"])) == (False, True)
    down = ask("GET", "/api/v2/away/x")
    assert (down.status, list(down.json)) == (502, ["error"])
    bad = {"name": "bad", "type": "rws", "config": {"base_url": "ftp://x/", "cookies": "a b"}}
    assert ask("POST", f"{SYSTEM}/service", {"resource": [bad]}).status == 400


def test_local_ms_spares_a_server_of_threads_the_look_too(tmp_path: Path, origin: Origin) -> None:
    origin.on("/local", reply(200, FRESH, "a"), reply(200, FRESH, "b"))
    services = tmp_path / "services.toml"
    services.write_text(
        '[[service]]\nname = "shop"\ntype = "rws"\n'
        f'[service.config]\nbase_url = "{origin.url}"\nlocal_ms = 60000\n'
    )
    given = {
        "CACHEAPI_API_KEY": KEY,
        "CACHEAPI_DATA_DIR": str(tmp_path / "data"),
        "CACHEAPI_SERVICES_FILE": str(services),
    }
    app = create_app(load(given, None))
    try:
        ask = Flasks(app)
        assert [ask("GET", "/api/v2/shop/local").body for _ in range(2)] == [b"a", b"a"]
        backend = app.extensions[DOOR].find_backend("cache")
        # Nobody looks at the cache any more.
        backend.get_many = backend.get_each = None
        got = ask("GET", "/api/v2/shop/local")
        assert (got.body, got.headers["Cache-Status"][:13]) == (b"a", "cacheapi; hit")
        assert "Age" in got.headers
        assert ask("GET", "/api/v2/shop/local", key="").status == 401
        del backend.get_many, backend.get_each
        assert ask("DELETE", "/api/v2/shop/local?purge=true").status == 200
        assert ask("GET", "/api/v2/shop/local").body == b"b"
    finally:
        close_app(app)
