"""What is said of a decision: what is done, why, and what would change it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from backends.file.backend import FileBackend
from cacheapi.responses import entries
from cacheapi.responses.config import Config
from cacheapi.responses.explaining import explain
from tests.cacheapi.responses.running import get, running
from tests.support import origin as scripted
from tests.support.origin import reply

ETAG = {"ETag": '"1"'}
FRESH = {"Cache-Control": "max-age=600"}


@pytest.mark.parametrize(
    ("answer", "asks", "seconds", "decision", "why", "words"),
    [
        (FRESH, {}, 60, "hit", "fresh", ("60 seconds old", "540 seconds more", "max-age", "purge")),
        (
            {"Cache-Control": "max-age=60, stale-while-revalidate=90"},
            {},
            100,
            "hit",
            "stale",
            ("behind that", "ended 40 seconds ago", "for 90 seconds", "stale_while_revalidate"),
        ),
        (
            FRESH,
            {"cache-control": "max-stale=900"},
            700,
            "hit",
            "request",
            ("ended 100 seconds ago", "(Cache-Control: max-stale=900)", "Without max-stale"),
        ),
        (FRESH | ETAG, {}, 601, "revalidate", "stale", ("304", "ended 1 second ago", "longer max")),
        (
            {"Cache-Control": "no-cache, max-age=600"} | ETAG,
            {},
            1,
            "revalidate",
            "stale",
            ("wants each use of it checked", "leave no-cache out"),
        ),
        (ETAG, {}, 1, "revalidate", "stale", ("no lifetime", "give the service a cache_ttl")),
        (
            FRESH | ETAG,
            {"pragma": "no-cache"},
            1,
            "revalidate",
            "request",
            ("(Pragma: no-cache)", "Without that header", "1 second old"),
        ),
        (FRESH, {}, 601, "miss", "stale", ("without ETag or Last-Modified", "longer max-age")),
        (
            FRESH,
            {"cache-control": "no-cache"},
            1,
            "miss",
            "request",
            ("fetched anew", "(Cache-Control: no-cache)", "Without that header"),
        ),
        (None, {}, 0, "miss", "uri-miss", ("nothing is stored", "cache_ttl", "no-store", "cookie")),
        (
            FRESH | {"Vary": "Accept-Language"},
            {"accept-language": "fr"},
            1,
            "miss",
            "vary-miss",
            ("other values", "Vary", "key_headers", "leave it out"),
        ),
        (
            FRESH,
            {"if-match": '"1"'},
            1,
            "pass",
            "request",
            ("only the API can judge its If-Match", "Without that header"),
        ),
        (
            None,
            {"cache-control": "only-if-cached"},
            0,
            "unavailable",
            "request",
            ("504", "(Cache-Control: only-if-cached)", "Without only-if-cached"),
        ),
    ],
)
def test_each_decision_is_told(
    tmp_path: Path,
    answer: Mapping[str, str] | None,
    asks: Mapping[str, str],
    seconds: int,
    decision: str,
    why: str,
    words: tuple[str, ...],
) -> None:
    found = told(tmp_path, answer, asks, seconds)
    assert (found["decision"], found["why"]) == (decision, why)
    for one in words:
        assert one in found["told"]
    # What is done comes first, and all of it is sentences.
    assert found["told"].startswith(("It is ", "The API is asked"))
    assert found["told"].endswith(".")
    assert "{" not in found["told"]


def test_a_cache_that_is_off_says_which_setting_switches_it_on(tmp_path: Path) -> None:
    found = told(tmp_path, FRESH, {}, 1, is_on=False)
    assert (found["decision"], found["why"]) == ("pass", "off")
    assert "cache_enabled=true" in found["told"]


def test_a_body_that_is_gone_is_told(tmp_path: Path) -> None:
    found = told(tmp_path, FRESH, {}, 1, loses_body=True)
    assert (found["decision"], found["why"]) == ("miss", "gone")
    assert "its body is not in the cache any more" in found["told"]


def told(
    directory: Path,
    answer: Mapping[str, str] | None,
    asks: Mapping[str, str],
    seconds: float,
    *,
    is_on: bool = True,
    loses_body: bool = False,
) -> dict:
    """Return what is said of a request so many seconds after the API's answer was stored."""
    cache = FileBackend(data_dir=str(directory))
    now = 1_900_000_000.0

    async def explained() -> dict:
        with scripted.origin() as origin:
            date = {"Date": "Sun, 17 Mar 2030 17:46:40 GMT"}
            origin.on("/x", reply(200, date | dict(answer or {}), "b" * 20_000))
            async with running(cache, origin.url, clock=lambda: now) as engine:
                if answer is not None:
                    await get(engine, "/x")
                looked = engine.store.look(f"{origin.url}/x")
                if loses_body:
                    cache.delete(entries.part_key(looked.variants[0].place.name, 0))
                config: Config = dataclasses.replace(engine.config, is_on=is_on)
                fields = tuple(asks.items())
                return explain(config, engine.store, b"/x", b"", fields, now + seconds)

    try:
        return asyncio.run(explained())
    finally:
        cache.close()
