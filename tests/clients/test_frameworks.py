"""The Python client under Django and Flask-Caching, its exceptions and its threads."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import django.conf
import flask
import flask_caching
import pytest
from cacheapi_client import Cache, CacheError, InvalidKey
from django.core.cache import CacheHandler
from django.core.cache.backends.base import CacheKeyWarning

from tests.support.live import CACHE, call
from tests.support.processes import Service

PATIENT = {"timeout": 60, "connect_timeout": 60}


@pytest.fixture
def url(live: Service) -> str:
    assert call(live.port, "DELETE", CACHE).status == 200
    return f"{live.url}{CACHE}"


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    if not django.conf.settings.configured:
        django.conf.settings.configure()


@pytest.fixture
def django_cache() -> Iterator[Callable[..., Any]]:
    """Make a cache as Django does, of its settings."""
    with contextlib.ExitStack() as stack:

        def make(url: str, **more: Any) -> Any:
            options = {"key": Service.api_key, **PATIENT}
            backend = {"BACKEND": "cacheapi_client.django.CacheApiCache", "LOCATION": url}
            settings = {"default": {**backend, "OPTIONS": options, **more}}
            cache: Any = CacheHandler(settings)["default"]
            # Django itself keeps it as long as its thread.
            stack.enter_context(cache._cache)
            return cache

        yield make


def test_django(django_cache: Callable[..., Any], url: str, live: Service) -> None:
    cache = django_cache(url, KEY_PREFIX="app")
    assert cache.get("a") is None
    cache.set("a", {"b": [1, None]}, 60)
    assert cache.get("a") == {"b": [1, None]}
    # Under Django's own name for it, where other programs find it.
    assert call(live.port, "GET", f"{CACHE}/app:1:a").json["value"] == {"b": [1, None]}
    assert cache.has_key("a")
    assert "a" in cache
    assert not cache.add("a", 1)
    assert cache.add("b", 1)
    assert cache.set_many({"x": 1, "y": None}, 60) == []
    assert cache.get_many(["x", "no", "y"]) == {"x": 1, "y": None}
    assert cache.get_or_set("z", lambda: 5) == 5
    assert cache.incr("x") == 2
    assert cache.decr("x", 4) == -2
    with pytest.raises(ValueError, match="not found"):
        cache.incr("no")
    assert cache.touch("x", 60)
    assert not cache.touch("no", 60)
    assert cache.delete("x")
    assert not cache.delete("x")
    cache.set("y", 2, None)
    assert cache.incr_version("y") == 2
    assert (cache.get("y"), cache.get("y", version=2)) == (None, 2)
    cache.delete_many(["a", "b"])
    assert cache.get_many(["a", "b"]) == {}
    cache.clear()
    assert cache.get("z") is None


def test_django_lifetimes(django_cache: Callable[..., Any], url: str) -> None:
    cache = django_cache(url)
    cache.set("over", 1, 0)
    assert cache.get("over") is None
    assert not cache.add("over", 1, -1)
    cache.set("here", 1)
    assert cache.touch("here", 0)
    assert cache.get("here") is None
    assert cache.set_many({"x": 1}, 0) == []
    assert cache.get("x") is None


def test_django_without_a_cache(django_cache: Callable[..., Any], away: str) -> None:
    cache = django_cache(away)
    assert cache.get("a", 7) == 7
    cache.set("a", 1)
    assert cache.set_many({"a": 1, "b": 2}) == ["a", "b"]
    assert not cache.delete("a")
    assert cache.get_or_set("a", lambda: 5) == 5
    cache.clear()
    with pytest.raises(CacheError):
        cache.incr("a")


def test_django_says_what_is_no_json(django_cache: Callable[..., Any], url: str) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        django_cache(url).set("a", object())


def test_django_names_what_was_not_stored(django_cache: Callable[..., Any], url: str) -> None:
    """An item that no cache takes stores nothing of its batch."""
    with pytest.warns(CacheKeyWarning):
        failed = django_cache(url).set_many({"a": 1, "x" * 1100: 2})
    assert failed == ["a", "x" * 1100]


@pytest.fixture
def site(url: str) -> Iterator[tuple[flask.Flask, flask_caching.Cache]]:
    app = flask.Flask("site")
    settings = {
        "CACHE_TYPE": "cacheapi_client.flask_caching.CacheApiCache",
        "CACHE_API_URL": url,
        "CACHE_API_KEY": Service.api_key,
        "CACHE_KEY_PREFIX": "site:",
        "CACHE_OPTIONS": PATIENT,
    }
    cache = flask_caching.Cache(app, config=settings)
    with app.app_context(), cache.cache._cache:
        yield app, cache


def test_flask_caching(site: tuple[flask.Flask, flask_caching.Cache], live: Service) -> None:
    app, cache = site
    runs = []

    @app.route("/")
    @cache.cached(timeout=60)
    def page() -> str:
        runs.append(1)
        return "a page"

    @cache.memoize(60)
    def double(number: int) -> int:
        runs.append(number)
        return 2 * number

    assert [app.test_client().get("/").text for _ in range(3)] == ["a page"] * 3
    assert [double(21), double(21)] == [42, 42]
    assert runs == [1, 21]
    assert cache.get("a") is None
    assert cache.set("a", 1, timeout=60)
    assert call(live.port, "GET", f"{CACHE}/site:a").json["value"] == 1
    assert not cache.add("a", 2)
    assert cache.has("a")
    assert cache.set("day", 1, timeout=timedelta(days=1))
    assert cache.set_many({"x": 1, "y": None}) == ["x", "y"]
    assert cache.get_many("x", "no", "y") == [1, None, None]
    assert cache.get_dict("x", "y") == {"x": 1, "y": None}
    assert cache.cache.inc("x", 4) == 5
    assert cache.cache.dec("x") == 4
    assert cache.delete_many("x", "y") == ["x", "y"]
    assert cache.delete("a")
    assert not cache.has("a")
    assert cache.clear()
    assert not cache.has("day")


def test_flask_caching_gives_a_view_its_status_back(
    site: tuple[flask.Flask, flask_caching.Cache],
) -> None:
    """A tuple that came back as a list would be an answer in JSON, with the status 200."""
    app, cache = site
    runs = []

    @app.route("/made")
    @cache.cached(timeout=60)
    def made() -> tuple[str, int, list[tuple[str, str]]]:
        runs.append(1)
        return "made", 201, [("X-Made", "yes")]

    answers = [app.test_client().get("/made") for _ in range(2)]
    told = [(answer.text, answer.status_code, answer.headers["X-Made"]) for answer in answers]
    assert (told, runs) == ([("made", 201, "yes")] * 2, [1])
    assert cache.set("a", (1, None))
    assert cache.add("b", ())
    assert cache.set_many({"c": ("x", [2]), "d": [2]}) == ["c", "d"]
    assert cache.get("a") == (1, None)
    assert cache.get_many("b", "c", "d") == [(), ("x", [2]), [2]]


def test_mistakes_are_raised_whatever_the_cache_does(away: str) -> None:
    with Cache(away, "key", on_error=lambda message: None) as cache:
        for key in ("", ".", "..", "\ud800"):
            with pytest.raises(InvalidKey):
                cache.get(key)
        with pytest.raises(TypeError, match="A key is a str, not int"):
            cache.get(1)  # type: ignore[arg-type]
        for ttl in (1.5, "60", True):
            with pytest.raises(TypeError, match="A ttl is"):
                cache.set("k", 1, ttl)  # type: ignore[arg-type]
        for past in (-1, timedelta(), timedelta(seconds=-5)):
            with pytest.raises(ValueError, match="A ttl is 0"):
                cache.set("k", 1, past)
        for value in (object(), {1, 2}, b"bytes"):
            with pytest.raises(TypeError, match="not JSON serializable"):
                cache.set("k", value)
        with pytest.raises(ValueError, match="not JSON compliant"):
            cache.set("k", float("nan"))
    for key in ("größe", "a b", "line\n"):
        with pytest.raises(ValueError, match="printable ASCII"):
            Cache(away, key)


def test_what_is_wrong_is_told_once_until_it_changes(
    url: str, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "cacheapi_client"):
        with Cache(away, "key", **PATIENT) as cache:
            assert [cache.get("k") for _ in range(3)] == [None] * 3
            assert cache.last_error is not None
            assert cache.last_error.startswith("No answer: ")
        with Cache(url, "wrong", **PATIENT) as cache:
            assert [cache.set("k", 1) for _ in range(3)] == [False] * 3
    told = [record.message for record in caplog.records if record.name == "cacheapi_client"]
    assert len(told) == 2
    assert told[1] == "The API key is not valid."


def test_errors_say_their_status(url: str, away: str) -> None:
    for address, key, status in ((away, "key", 0), (url, "wrong", 401)):
        with Cache(address, key, strict=True, **PATIENT) as cache:
            with pytest.raises(CacheError) as raised:
                cache.get("k")
            assert raised.value.status == status


def test_bytes_of_another_program_are_bytes(tmp_path: Path) -> None:
    from cacheapi_client.messages import value_of

    assert value_of({"value": "AAH/", "encoding": "base64"}) == b"\x00\x01\xff"
    assert value_of({"value": "AAH/"}) == "AAH/"


def test_threads_share_one(url: str) -> None:
    wrong = []
    with Cache(url, Service.api_key, strict=True, **PATIENT) as cache:

        def work(name: int) -> None:
            for number in range(20):
                cache.set(f"{name}:{number}", [name, number], 60)
                if cache.get(f"{name}:{number}") != [name, number]:
                    wrong.append((name, number))

        threads = [threading.Thread(target=work, args=[name]) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_lifetime_may_be_a_timedelta(url: str) -> None:
    with Cache(url, Service.api_key, **PATIENT) as cache:
        assert cache.set("k", 1, timedelta(minutes=1))
        value = cache.remember("r", timedelta(minutes=1), lambda: "v", stale=60)
        assert (value, cache.get("r:stale")) == ("v", "v")


def test_a_miss_says_that_the_cache_works(url: str) -> None:
    told: list[str] = []
    with Cache(url, Service.api_key, on_error=told.append, **PATIENT) as cache:
        for _ in range(2):
            assert not cache.set("x" * 1100, 1)
            assert cache.last_error is not None
            assert cache.get("nothing") is None
            assert cache.last_error is None
    assert len(told) == 2
