"""What a command says is the same with ``--url`` as on the machine itself, on each backend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from cacheapi.commands.main import cacheapi
from tests.support.processes import Memcached, service
from tests.support.redis import Redis

LONG = "x" * 2000
# One that is never stored, where one so long can be.
OTHER = "y" * 2000

CASES = [
    *(("get", "absent"), ("get", "a", "absent"), ("get", LONG), ("get", "a", LONG)),
    *(("get", "a", "--raw"), ("get", "text", "--text"), ("get", "a\x01b")),
    *(("set", LONG, "1"), ("set", "a", "1", "--add"), ("set", "absent", "1", "--replace")),
    *(("set", "a b", "1"), ("set", "a", "[1"), ("set", "a", "1", "--ttl", "5w")),
    *(("touch", "a"), ("touch", "a", "--ttl", "forever"), ("touch", "absent"), ("touch", LONG)),
    *(("ttl", "absent"), ("incr", "absent"), ("incr", "text"), ("incr", OTHER)),
    *(("delete", "absent"), ("delete", OTHER), ("delete", "absent", OTHER)),
    *(("delete", "--prefix", "zz"), ("delete", "--prefix", "zz*"), ("delete", "--prefix", "")),
    *(("delete", "--tag", "absent"), ("delete", "--tag", "")),
    *(("keys", "zz"), ("keys", "zz*"), ("keys", "--cursor", "nonsense"), ("keys", "z", "--json")),
    *((verb, "a", "-s", name) for verb in ("get", "ttl", "touch", "delete", "incr")
      for name in ("nope", "cachx", "off", "system", "docs", "X/y")),
    *((*words, "-s", name) for words in (("keys",), ("flush", "--yes"), ("analyze",), ("stats",))
      for name in ("nope", "off", "system")),
    *(("services",), ("services", "show", "nope"), ("services", "test", "nope")),
    *(("services", "edit", "nope", "--label", "x"), ("services", "edit", "cache", "--label", "x")),
    *(("services", "on", "nope"), ("services", "delete", "nope", "--yes")),
    ("services", "create", "cache", "--type", "cache_local"),
    ("services", "create", "Bad", "--type", "cache_local"),
    *(("api-key", "create", "", "--administrator"), ("api-key", "revoke", "99")),
    ("api-key", "create", "n", "--rule", "*:GET", "--expires", "2001-01-01T00:00:00Z"),
    ("api-key", "create", "n", "--rule", "*:GET", "--expires", "soon"),
    ("api-key", "create", "n", "--rule", "*:GET", "--rule", "cache:GET:b*c"),
    ("api-key", "create", "n", "--rule", "*:GET", "--rate", "0/60"),
    *(("audit", "no such text"), ("tail", "-s", "nope", "--slowest")),
]  # fmt: skip
BATCHES = (
    '{"get": "absent"}',
    '{"increment": {"key": "absent"}}',
    '{"nope": 1}',
    '{"get": "absent"}\n' * 500 + '{"nope": 1}',
    f'{{"get": "{LONG}"}}',
)


class Both(NamedTuple):
    """The settings of a service for commands on its machine, and for those elsewhere."""

    here: dict[str, str]
    there: dict[str, str]


@pytest.fixture(scope="module", params=["file", "memcached", "redis"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    settings = {"CACHE_DRIVER": request.param}
    if request.param == "memcached":
        server: Memcached = request.getfixturevalue("memcached_server")
        settings |= {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(server.port)}
    if request.param == "redis":
        redis: Redis = request.getfixturevalue("redis_one")
        settings |= {"REDIS_PREFIX": "same:", **redis.settings}
    directory = tmp_path_factory.mktemp("both")
    with service(directory, WEB_CONCURRENCY="1", **settings) as running:
        here = settings | {
            "CACHEAPI_DATA_DIR": str(directory / "data"),
            "CACHEAPI_API_KEY": running.api_key,
        }
        made = Both(here, {"CACHEAPI_URL": running.url, "CACHEAPI_KEY": running.api_key})
        create = ("services", "create", "off", "--type", "cache_local", "--off")
        for words in (create, ("set", "a", "1"), ("set", "text", "t", "--text")):
            assert said(made.there, *words)[0] == 0
        yield made


def said(settings: dict[str, str], *words: str, stdin: str = "") -> tuple[int, str, str]:
    ended = CliRunner(env=dict(settings)).invoke(cacheapi, words, input=stdin)
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.mark.parametrize("words", CASES, ids=lambda words: " ".join(words)[:50])
def test_it_says_the_same(both: Both, tmp_path: Path, words: tuple[str, ...]) -> None:
    here, there = said(both.here, *words), said(both.there, *words)
    assert there == here
    # Nothing of URLs, of items of a list that nobody wrote, and of methods.
    assert not re.search(r"\?\w+=|/api/|Item \d|Key \d|\b(PUT|DELETE|POST) ", there[2])


@pytest.mark.parametrize("given", BATCHES, ids=lambda given: given[-40:])
def test_a_batch_says_the_same(both: Both, given: str) -> None:
    assert said(both.there, "batch", stdin=given) == said(both.here, "batch", stdin=given)


def test_all_services_are_named_where_one_is_misspelt(both: Both) -> None:
    code, _, line = said(both.there, "get", "a", "-s", "of")
    assert (code, line) == (
        2,
        "cacheapi: Service 'of' does not exist; there are: cache, off. Did you mean 'off'?\n",
    )
