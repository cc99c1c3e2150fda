"""What a server's own figures count as reads: the table of docs/limits.md, measured."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cacheapi.web.blueprints import EXTENSION
from tests.cacheapi.console.conftest import KEY, Person, make_app
from tests.support.processes import REPOSITORY, Memcached
from tests.support.program import run
from tests.support.redis import Redis

PAGE = (REPOSITORY / "docs" / "limits.md").read_text()
(TABLE,) = re.findall(r"<!-- reads -->\n(?:\|[^\n]*\n){2}(.*?)<!-- /reads -->", PAGE, re.DOTALL)
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines()]
COLUMNS = {"file": 1, "memcached": 2, "redis": 3}
CACHE = "/cache"


class Looker(Person):
    """Somebody who asks in all ways."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        super().__init__(make_app(directory / "data", **settings))
        self._directory, self._settings = directory, settings
        self.sign_in()

    def reads(self) -> int:
        told = self.call("GET", "/system/service/cache/stats").json["stats"]
        return int(told["get_hits"])

    def shell(self, *arguments: str) -> None:
        ended = run(self._directory, *arguments, **self._settings)
        assert ended.returncode == 0, ended

    def if_match(self) -> None:
        # Every value is the same, and so is its tag.
        headers = {"X-DreamFactory-API-Key": KEY, "If-Match": self.tag}
        put = self.app.test_client().put("/api/v2/cache/k", headers=headers, json={"value": 1})
        assert put.status_code == 200

    tag = ""

    def learn_tag(self) -> None:
        headers = {"X-DreamFactory-API-Key": KEY}
        self.tag = self.app.test_client().get("/api/v2/cache/k", headers=headers).headers["ETag"]


def actions(person: Looker) -> dict[str, list[Callable[[], Any]]]:
    """Return what is done to one key that is there, by the rows of the table."""
    call = person.call
    stored = {"value": 1, "ttl": 600}

    def operate(**operation: Any) -> Callable[[], Any]:
        return partial(call, "POST", CACHE, {"operations": [operation]})

    return {
        "`GET`, `HEAD`, `check_exist`, `clear`, and `get` of operations": [
            partial(call, "GET", "/cache/k"),
            partial(call, "HEAD", "/cache/k"),
            partial(call, "GET", "/cache?keys=k"),
            partial(call, "GET", "/cache/k?check_exist=true"),
            operate(get="k"),
            partial(call, "GET", "/cache/k?clear=true"),
        ],
        "`exists` of operations": [operate(exists="k")],
        "`GET` with `ttl=true`": [
            partial(call, "GET", "/cache/k?ttl=true"),
            partial(call, "GET", "/cache?keys=k&ttl=true"),
        ],
        "the same of a value that never expires": [
            partial(call, "GET", "/cache/f?ttl=true"),
            partial(call, "GET", "/cache?keys=f&ttl=true"),
        ],
        "a list of keys": [partial(call, "GET", "/cache?prefix=k")],
        "a list with `details=true`, for each key": [
            partial(call, "GET", "/cache?prefix=k&details=true"),
            partial(person.shell, "keys", "--prefix", "k", "--details"),
        ],
        "`analysis`, `cacheapi analyze`, for each entry looked at": [
            partial(call, "GET", "/system/service/cache/analysis"),
        ],
        "its value on a page of the console": [partial(person.page, "/service/cache", key="k")],
        "`cacheapi ttl`": [partial(person.shell, "ttl", "k")],
        "`POST`, `DELETE`": [
            partial(call, "POST", CACHE, {"key": "k", **stored}),
            partial(call, "DELETE", "/cache/k"),
            partial(call, "POST", "/cache/k", stored),
        ],
        "`PUT`": [partial(call, "PUT", "/cache/k", stored)],
        "`PUT` with `If-Match`": [person.if_match],
        "`PATCH` of its lifetime": [partial(call, "PATCH", "/cache/k", {"ttl": 600})],
        "`PATCH` that counts": [partial(call, "PATCH", "/cache/k", {"increment": 0})],
        "readiness, a trial, `stats`, `doctor`, the first page of the console": [
            partial(person.app.test_client().get, "/health/ready"),
            partial(call, "POST", "/system/service/cache/test"),
            partial(call, "GET", "/system/service/cache/stats"),
            partial(call, "GET", "/system/service/cache/capabilities"),
            partial(person.shell, "doctor"),
            partial(person.page, "/"),
        ],
    }


@pytest.mark.parametrize("driver", COLUMNS)
def test_the_table_is_what_servers_count(
    tmp_path: Path, memcached_server: Memcached, redis_one: Redis, driver: str
) -> None:
    there = {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(memcached_server.port)}
    settings = {
        "file": {},
        "memcached": {"CACHE_DRIVER": "memcached", **there},
        "redis": {"CACHE_DRIVER": "redis", **redis_one.settings},
    }[driver]
    if driver == "redis":
        redis_one.empty()
    person = Looker(tmp_path, settings)
    with contextlib.closing(person.app.extensions[EXTENSION]):
        look(person, driver)


def look(person: Looker, driver: str) -> None:
    """Do what the table has, and compare what the server counts."""
    by_row = actions(person)
    assert [row[0] for row in ROWS] == list(by_row)
    for row in ROWS:
        told = row[COLUMNS[driver]]
        for number, act in enumerate(by_row[row[0]] if told != "-" else []):
            person.call("POST", CACHE, {"key": "k", "value": 1, "ttl": 600})
            person.call("POST", CACHE, {"key": "f", "value": 1, "ttl": 0})
            if row[0] == "`PUT` with `If-Match`":
                person.learn_tag()
            if number == 2 and row[0] == "`POST`, `DELETE`":
                person.call("DELETE", "/cache/k")
            before = person.reads()
            done = act()
            # What cacheapi keeps for itself is looked at as well: the count of who signs in.
            times = done.json["looked_at"] if row[0].startswith("`analysis`") else 1
            assert person.reads() - before == int(told) * times, (row[0], number)
