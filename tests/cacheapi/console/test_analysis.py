"""The page of what fills a service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backends.base import Backend
from backends.capabilities import Capability
from backends.file.backend import FileBackend
from cacheapi.observing import analysis as looking
from tests.cacheapi.console.conftest import Person, make_app, text_of
from tests.support.processes import memcached
from tests.support.redis import Redis

PAGE = "/service/cache/analysis"


def fill(person: Person) -> None:
    items: list[dict[str, object]] = [
        {"key": f"user:{number}", "value": "x" * 100, "ttl": 1800} for number in range(5)
    ]
    items.append({"key": "<b>page", "value": "x" * 9000, "ttl": 0})
    assert person.call("POST", "/cache", {"resource": items}).status_code == 201


def test_what_fills_a_service_is_a_page(person: Person) -> None:
    fill(person)
    assert f'href="/console{PAGE}"' in person.page("/service/cache")
    page = person.page(PAGE)
    text = text_of(page)
    assert "All 6 entries were looked at." in text
    assert "user:*" in text
    # A prefix leads to its keys.
    link = re.search(r'<a href="/console([^"]+)"><code>user:\*</code></a>', page)
    assert link is not None
    listed = text_of(person.page(link[1].partition("#")[0]))
    assert "user:4" in listed
    assert "<b>page" not in listed
    assert "an hour at most 100" in text
    assert "for ever 100" in text
    assert "<b>page" not in page
    assert "&lt;b&gt;page" in page
    assert 'class="share" width="' in page
    assert "data-finer" not in page
    assert "style=" not in page


def test_what_is_kept_for_itself_is_not_taken_for_an_application_s(person: Person) -> None:
    kept = [{"key": f"cacheapi:response:{number}", "value": "x" * 50} for number in range(3)]
    assert person.call("POST", "/cache", {"resource": kept}).status_code == 201
    fill(person)
    page = person.page(PAGE)
    text = text_of(page)
    assert "cacheapi:response" not in page
    assert "All 9 entries were looked at." in text
    assert re.search(r"Entries 6\b", text)
    assert re.search(r"Kept by cacheapi 3 entries, \d+ B", text)
    assert f"What cacheapi keeps for itself are {looking.OWN}." in text


def test_a_service_that_holds_nothing_of_users_says_so(person: Person) -> None:
    assert "Kept by cacheapi" not in person.page(PAGE)
    person.call("POST", "/cache", {"resource": [{"key": "cacheapi:tag:x", "value": 1}]})
    text = text_of(person.page(PAGE))
    assert "Entries 0 " in text
    assert "Kept by cacheapi 1 entry, " in text
    assert "By prefix" not in text


def test_a_larger_sample_is_one_step_away(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "FIRST", 2)
    monkeypatch.setattr(looking, "GROWTH", 2)
    fill(person)
    page = person.page(PAGE)
    text = text_of(page)
    assert "of 6 entries, picked at random." in text
    assert "Look at 4" in text
    assert "Look at all" in text_of(person.page(PAGE, sample="3"))
    assert 'data-finer="now"' in page
    assert "sample=4" in page
    assert "All 6 entries" in text_of(person.page(PAGE, sample="8", depth="1"))


def test_what_takes_long_waits_for_a_word(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "USUAL", 2)
    fill(person)
    assert 'data-finer=""' in person.page(PAGE, sample="2")


def test_an_empty_service_has_no_tables(person: Person) -> None:
    text = text_of(person.page(PAGE))
    assert "It holds no entries yet." in text
    assert "By prefix" not in text


def test_what_cannot_be_is_told(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert person.get(PAGE, sample="0").status_code == 400
    assert person.get("/service/none/analysis").status_code == 404
    with looking._under_way:
        assert looking.BUSY in text_of(person.page(PAGE))
    monkeypatch.setattr(FileBackend, "capabilities", frozenset(Capability) - {Capability.ANALYZE})
    monkeypatch.setattr(FileBackend, "analyze", Backend.analyze)
    assert "the file backend cannot say what fills it." in text_of(person.page(PAGE))
    assert PAGE not in person.page("/service/cache")


@pytest.mark.parametrize("driver", ["memcached", "redis"])
def test_servers_are_looked_through(driver: str, tmp_path: Path, redis_one: Redis) -> None:
    redis_one.empty()
    with memcached() as server:
        settings = {"CACHE_DRIVER": driver, **redis_one.settings}
        settings |= {"MEMCACHED_HOST": f"127.0.0.1:{server.port}", "MEMCACHED_TIMEOUT_MS": "3000"}
        person = Person(make_app(tmp_path, **settings))
        person.sign_in()
        fill(person)
        if driver == "redis":
            with redis_one.client() as another:
                another.set("another", 1)
        text = text_of(person.page(PAGE))
        assert "user:*" in text
        if driver == "redis":
            told = re.search(r"All (\d+) entries were looked at: (\d+) are this service", text)
            assert told is not None
            assert int(told[1]) == int(told[2]) + 1
        assert "of all that use it" in text_of(person.page("/service/cache/state"))
        person.app.extensions["cacheapi"].close()
