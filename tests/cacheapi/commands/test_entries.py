"""``get``, ``set``, ``delete``, ``keys`` and ``flush``, on a file and on servers."""

from __future__ import annotations

import json

import pytest

from tests.cacheapi.commands.conftest import Program
from tests.support.processes import Memcached
from tests.support.redis import Redis


@pytest.fixture(params=["file", "memcached", "redis"])
def anywhere(
    request: pytest.FixtureRequest,
    program: Program,
    memcached_server: Memcached,
    redis_one: Redis,
) -> Program:
    """The program on each kind of backend."""
    redis_one.empty()
    memcached_server.say(b"flush_all\r\n")
    program.settings |= {
        "CACHE_DRIVER": request.param,
        "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}",
        "MEMCACHED_TIMEOUT_MS": "3000",
        "REDIS_TIMEOUT_MS": "3000",
        **redis_one.settings,
    }
    return program


def test_what_is_set_is_got_as_it_was_written(anywhere: Program) -> None:
    big = "1" * 400
    for value in ("1.50", '{"a":  [null, true]}', f"-{big}", '"ÿ\\u00ff"', "null", "false"):
        assert anywhere("set", "k", value) == ""
        assert anywhere("get", "k") == f"{value}\n"
        assert anywhere("get", "k", "--json") == f'{{"key":"k","value":{value}}}\n'


def test_a_text_needs_no_quotes(anywhere: Program) -> None:
    anywhere("set", "k", "--text", 'say "hi"\n')
    assert json.loads(anywhere("get", "k")) == 'say "hi"\n'
    assert anywhere("get", "k", "--text") == 'say "hi"\n\n'
    anywhere("set", "k", "-", "--text", stdin="übung".encode())
    assert anywhere("get", "--text", "k") == "übung\n"
    # What is no string has no other form.
    anywhere("set", "k", "[1]")
    assert anywhere("get", "--text", "k") == "[1]\n"


def test_stored_bytes_are_written_as_they_are(program: Program, memcached_server) -> None:
    program.settings |= {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}",
    }
    memcached_server.plant("png", b"\x89PNG\r\n\x00\xff", 5)
    assert program.run("get", "--raw", "png").stdout_bytes == b"\x89PNG\r\n\x00\xff"
    assert program.json("get", "png")["encoding"] == "base64"
    assert "does not exist" in program.fails("get", "--raw", "absent", code=1)
    assert "--raw is for one key" in program.fails("get", "--raw", "a", "b", code=2)


def test_several_values_are_lines(anywhere: Program) -> None:
    anywhere("set", "a", "1")
    anywhere("set", "b", '"x"')
    assert anywhere("get", "b", "a") == 'b\t"x"\na\t1\n'
    ended = anywhere.run("get", "a", "q", "b")
    assert (ended.exit_code, ended.stdout) == (1, 'a\t1\nb\t"x"\n')
    assert ended.stderr == "cacheapi: Key 'q' does not exist.\n"
    assert anywhere.json("get", "a", "q", code=1) == {
        "resource": [{"key": "a", "value": 1}],
        "meta": {"missing": ["q"]},
    }
    assert anywhere.json("get", "q", code=1) is None


def test_a_store_may_depend_on_what_is_there(anywhere: Program) -> None:
    assert anywhere.fails("set", "k", "1", "--replace", code=1) == "Key 'k' does not exist."
    anywhere("set", "k", "1", "--add")
    assert anywhere.fails("set", "k", "2", "--add", code=1) == "Key 'k' exists already."
    assert anywhere("get", "k") == "1\n"
    anywhere("set", "k", "2", "--replace")
    assert anywhere("get", "k") == "2\n"
    assert "exclude each other" in anywhere.fails("set", "k", "1", "--add", "--replace", code=2)


def test_a_lifetime_is_the_one_of_the_api(anywhere: Program) -> None:
    anywhere("set", "k", "1", "--ttl", "1000000000")
    assert anywhere.run("get", "k").exit_code == 1
    anywhere("set", "k", "1", "--ttl", "0")
    assert anywhere("get", "k") == "1\n"
    line = anywhere.fails("set", "k", "1", "--ttl", "-5", code=2)
    assert "'-5' is no lifetime; write 90s, 15m, 2h, 7d or forever." in line
    assert "A plain number is in seconds" in line


@pytest.mark.parametrize("value", ["hello", "{", "1 2", "NaN", '"\\ud800"', "", "1e999"])
def test_what_is_no_json_is_refused(program: Program, value: str) -> None:
    line = program.fails("set", "k", value, code=2)
    assert line.startswith("The value ")
    assert "A plain text is stored with --text." in line
    assert program.run("get", "k").exit_code == 1


def test_bytes_that_are_no_text_are_refused(program: Program) -> None:
    assert "not UTF-8" in program.fails("set", "k", "-", "--text", stdin=b"\xff", code=2)
    assert "not UTF-8" in program.fails("set", "k", "-", stdin=b'"\xff"', code=2)


def test_deleting_tells_what_was_not_there(anywhere: Program) -> None:
    for key in "abc":
        anywhere("set", key, "1")
    assert anywhere("delete", "a") == ""
    ended = anywhere.run("delete", "a", "b")
    assert (ended.exit_code, ended.stderr) == (1, "cacheapi: Key 'a' does not exist.\n")
    assert anywhere.json("delete", "b", "c", code=1) == {
        "resource": [{"key": "b", "success": False}, {"key": "c", "success": True}]
    }


def test_keys_are_listed_by_prefix_and_page(program: Program) -> None:
    for number in range(5):
        program("set", f"user:{number}", "1")
    program("set", "other", "1")
    assert program("keys", "user:").split() == [f"user:{number}" for number in range(5)]
    assert program("keys").split()[0] == "other"
    assert program("keys", "-0", "user:").split("\0")[:2] == ["user:0", "user:1"]
    ended = program.run("keys", "user:", "--limit", "2")
    assert ended.stdout == "user:0\nuser:1\n"
    cursor = ended.stderr.split()[-1]
    assert f"--cursor {cursor}" in ended.stderr
    found = program.json("keys", "user:", "--limit", "3", "--cursor", cursor)
    assert [entry["key"] for entry in found["resource"]] == ["user:2", "user:3", "user:4"]
    assert found["meta"] == {"next": None}
    assert "cursor" in program.fails("keys", "--cursor", "€", code=2)


def test_many_keys_are_listed_over_all_pages(program: Program) -> None:
    lines = b"".join(b'{"key":"%06d","value":1}\n' % number for number in range(2500))
    program("import", "-", stdin=lines)
    assert len(program("keys").split()) == 2500
    assert len(program.json("keys")["resource"]) == 2500
    assert len(program("keys", "--limit", "1500").split()) == 1500


def test_keys_cannot_steer_a_terminal(program: Program) -> None:
    program("set", "a\x1b[2J\nb", "1")
    assert program("keys") == "a\\u001b[2J\\nb\n"
    assert program("keys", "-0") == "a\x1b[2J\nb\0"
    ended = program.run("delete", "x\x1b[2J")
    assert "\x1b" not in ended.stderr


def test_flushing_asks_first(anywhere: Program) -> None:
    anywhere.settings["REDIS_PREFIX"] = "p:"
    anywhere("set", "k", "1")
    assert "say --yes" in anywhere.fails("flush", code=2)
    assert anywhere("get", "k") == "1\n"
    assert anywhere.json("flush", "--yes") == {"success": True}
    assert anywhere.run("get", "k").exit_code == 1


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("\n", 130)])
def test_flushing_does_what_it_is_told(
    program: Program, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    program("set", "k", "1")
    monkeypatch.setattr("cacheapi.commands.flushing.is_interactive", lambda: True)
    ended = program.run("flush", stdin=answer.encode())
    assert ended.exit_code == code
    assert "Delete every key of cache (cache_local)?" in ended.stderr
    assert program.run("get", "k").exit_code == (1 if code == 0 else 0)
