"""``cacheapi analyze``: here and elsewhere, in words and as JSON, on all backends."""

from __future__ import annotations

import json

import pytest

from cacheapi.amounts import size
from cacheapi.observing import analysis
from tests.cacheapi.commands.conftest import Program
from tests.cacheapi.commands.test_elsewhere import anywhere, live  # noqa: F401 (fixtures)
from tests.support.processes import Memcached
from tests.support.redis import Redis


def fill(program: Program) -> None:
    for number in range(4):
        program("set", f"user:{number}", json.dumps("x" * 100), "--ttl", "30m")
    program("set", "page", json.dumps("x" * 5000), "--ttl", "forever")
    program("set", "odd\x1b[31m:key", "1", "--ttl", "30d")


def test_what_fills_a_service_is_shown(anywhere: Program) -> None:  # noqa: F811
    fill(anywhere)
    shown = anywhere("analyze")
    (head, *_, _) = lines = shown.splitlines()
    assert head.startswith("cache (")
    assert "6 keys, 5.3 KiB" in head
    assert "about" not in shown
    assert "Estimated" not in shown
    (users,) = (line for line in lines if line.startswith("user:*"))
    assert users.split() == ["user:*", "4", "432", "B", "7.9%", "##", "≤1h", "100%"]
    assert "\x1b[31m" not in shown
    largest = lines.index(next(line for line in lines if line.startswith("LARGEST")))
    assert lines[largest + 1].split() == ["page", "4.9", "KiB", "forever"]
    told = anywhere.json("analyze", "cache", "--depth", "1")
    assert told["complete"] is True
    assert {each["prefix"]: each["keys"] for each in told["prefixes"]}["user:"] == 4


def test_what_is_there_is_never_nothing_of_it(program: Program) -> None:
    lines = [{"set": {"key": f"p:{number}", "value": 1, "ttl": 90_000}} for number in range(250)]
    lines.append({"set": {"key": "p:soon", "value": 1, "ttl": 3000}})
    program("batch", stdin=json.dumps(lines).encode())
    assert "≤1h <1%, ≤7d 100%" in program("analyze")


def test_what_is_our_own_is_a_line_of_its_own(anywhere: Program) -> None:  # noqa: F811
    fill(anywhere)
    users = anywhere("analyze")
    assert "Beside these" not in users
    anywhere("set", "tagged", "1", "--tag", "a", "--tag", "b")
    anywhere("delete", "tagged")
    ended = anywhere("analyze").splitlines()
    # One of each tag, and one of all.
    assert ended[1].startswith("Beside these cacheapi keeps 3 entries, ")
    assert ended[1].endswith(f" B, for itself: {analysis.OWN}.")
    assert (ended[0], ended[3]) == (users.splitlines()[0], users.splitlines()[2])
    assert anywhere.json("analyze")["own"]["keys"] == 3


def test_a_sample_says_that_it_is_one(anywhere: Program) -> None:  # noqa: F811
    fill(anywhere)
    shown = anywhere("analyze", "--sample", "2")
    assert shown.startswith("cache (")
    assert ": about " in shown.splitlines()[0]
    assert "of 6 entries." in shown.splitlines()[1]
    told = anywhere.json("analyze", "--sample", "2")
    assert (told["complete"], told["held"]) == (False, 6)


@pytest.mark.parametrize("driver", ["memcached", "redis"])
def test_servers_are_looked_through(
    driver: str, program: Program, memcached_server: Memcached, redis_one: Redis
) -> None:
    redis_one.empty()
    program.settings |= {"CACHE_DRIVER": driver, "MEMCACHED_PREFIX": "mine:"}
    program.settings |= {"MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}"}
    program.settings |= {**redis_one.settings, "MEMCACHED_TIMEOUT_MS": "3000"}
    if driver == "memcached":
        assert memcached_server.say(b"flush_all\r\n") == b"OK\r\n"
    program("set", "user:1", "1", "--ttl", "forever")
    program("set", "user:2", "2", "--ttl", "1h")
    told = program.json("analyze", "--all")
    (users,) = told["prefixes"]
    assert (users["prefix"], users["keys"], users["share"]) == ("user:", 2, 1.0)
    assert users["lifetimes"]["forever"] == 1
    assert "user:*" in program("analyze")


def test_an_empty_service_has_no_table(anywhere: Program) -> None:  # noqa: F811
    assert "0 keys, 0 B" in anywhere("analyze")
    assert len(anywhere("analyze").splitlines()) == 1


def test_wrong_use_is_told(anywhere: Program) -> None:  # noqa: F811
    assert "--separator" in anywhere.fails("analyze", "--separator", "", code=2)
    assert "--sample" in anywhere.fails("analyze", "--sample", "0", code=2)
    assert "does not exist" in anywhere.fails("analyze", "nope", code=2)


def test_all_is_for_this_machine(anywhere: Program) -> None:  # noqa: F811
    if "CACHEAPI_URL" in anywhere.settings:
        assert "--all" in anywhere.fails("analyze", "--all", code=2)
    else:
        anywhere("analyze", "--all")


def test_a_large_sample_elsewhere_is_reached_step_by_step(
    anywhere: Program,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(analysis, "FIRST", 1)
    monkeypatch.setattr(analysis, "GROWTH", 2)
    fill(anywhere)
    assert anywhere.json("analyze", "--sample", "5")["complete"] is False
    assert anywhere.json("analyze", "--sample", "50")["keys"] == 6


def test_sizes_are_in_words() -> None:
    told = [size(number) for number in (0, 1023, 1024, 1536, 2**20, 2**30, 2**45)]
    assert told == ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 GiB", "32.0 TiB"]
