"""``export`` and ``import``: every key, every byte and every lifetime, whatever interrupts them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import registry
from backends.base import Backend, Item
from backends.file.backend import FileBackend
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
from cacheapi.caching.pairs import Pair, TaggedPair
from cacheapi.caching.service import CacheService
from cacheapi.commands import dump
from cacheapi.settings import load
from tests.cacheapi.commands.conftest import Program
from tests.support.processes import Memcached, eventually, memcached
from tests.support.program import COMMAND, environ
from tests.support.redis import Redis

MANY = 100_000
STRANGE = {
    "": b"x",
    "json with spaces": b'{"a" : [1,\t2.50, 1e5]}',
    "number": b"0123456789",
    "pretty": b'{\n  "a": 1\n}\n',
    "text": b"no JSON",
    "nothing": b"",
    "binary": bytes(range(256)),
    "large number": b"1e999",
    "surrogate": b'"\\ud800"',
    "deep": b"[" * 5000 + b"]" * 5000,
    "line separators": '"\u2028\u0085"'.encode(),
    "spaces around": b" 1 ",
    "long integer": b"9" * 500,
    'a"\\\n\t\x7f\u20ac\U0001f600/?#%': b"1",
}
del STRANGE[""]


def backend_of(settings: Mapping[str, str]) -> Backend:
    values = load({"CACHE_FILE_MAX_MB": "512", **settings}, None)
    return registry.create(values["CACHE_DRIVER"], values)


def entries(backend: Backend) -> dict[str, tuple[bytes, float | None]]:
    """Return all that a backend has: bytes, and the Unix time of their end."""
    found: dict[str, tuple[bytes, float | None]] = {}
    cursor = None
    while True:
        keys, cursor = backend.list_keys("", 1000, cursor)
        values = backend.get_many(keys)
        now = time.time()
        left = backend.remaining_ttl_many(keys)
        for key, value in values.items():
            ttl = left[key]
            found[key] = value, None if ttl is None else now + ttl
        if cursor is None:
            return found


def assert_alike(
    one: Mapping[str, tuple[bytes, float | None]],
    other: Mapping[str, tuple[bytes, float | None]],
    within: float = 5.0,
) -> None:
    assert one.keys() == other.keys()
    for key, (value, end) in one.items():
        there, its_end = other[key]
        assert value == there, key
        assert (end is None) == (its_end is None), key
        if end is not None and its_end is not None:
            assert abs(end - its_end) < within, key


@pytest.fixture
def on_redis(redis_one: Redis) -> Iterator[dict[str, str]]:
    redis_one.empty()
    yield {"CACHE_DRIVER": "redis", "REDIS_TIMEOUT_MS": "10000", **redis_one.settings}
    redis_one.empty()


def interrupted(
    directory: Path,
    by: signal.Signals,
    until: Callable[[], bool],
    afresh: Callable[[], None],
    *arguments: str,
    **settings: str,
) -> int:
    """Run the program, and interrupt it once ``until`` is true; return its exit code.

    :param afresh: makes it as it was before; on a busy machine it may have ended before.
    """
    for _ in range(5):
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=directory,
            env=environ(directory, CACHE_FILE_MAX_MB="512", **settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        eventually(lambda: process.poll() is not None or until(), 60)  # noqa: B023
        process.send_signal(by)
        process.communicate(timeout=60)
        if process.returncode != 0:
            return process.returncode
        afresh()
    raise AssertionError("it always ended before it was interrupted")


@pytest.mark.timeout(300)
def test_a_hundred_thousand_entries_move_from_a_file_to_redis_and_back(
    program: Program, redis_one: Redis, on_redis: dict[str, str]
) -> None:
    directory = program.directory
    program.settings["CACHE_FILE_MAX_MB"] = "512"
    source = backend_of(program.settings)
    items = [
        Item(
            f"key:{number}",
            b'{"number": %d}' % number if number % 3 else b"\xff\x00%d" % number,
            None if number % 5 == 0 else 3600.0 + number / 10,
        )
        for number in range(MANY - len(STRANGE))
    ]
    items += [Item(key, value, 7200.5) for key, value in STRANGE.items()]
    assert source.set_many(items) == [True] * MANY
    before = entries(source)
    source.close()

    # As somebody does it with Ctrl-C, and as the kernel does it.
    made = directory / "all.ndjson"
    code = interrupted(
        directory,
        signal.SIGINT,
        lambda: made.exists() and made.stat().st_size > 1_000_000,
        lambda: made.unlink(),
        *("export", "all.ndjson"),
    )
    assert code == 130
    kept = json.loads((directory / "all.ndjson.checkpoint").read_text())["state"]
    assert 0 < kept["entries"] < MANY
    assert program.json("export", "all.ndjson", "--resume")["entries"] == MANY
    assert not (directory / "all.ndjson.checkpoint").exists()
    assert made.stat().st_mode & 0o777 == 0o600

    checkpoint = directory / "all.ndjson.cache.checkpoint"
    code = interrupted(
        directory,
        signal.SIGKILL,
        lambda: (
            checkpoint.exists() and json.loads(checkpoint.read_text())["state"]["lines"] > 10_000
        ),
        redis_one.empty,
        *("import", "all.ndjson"),
        **on_redis,
    )
    assert code == -signal.SIGKILL
    program.settings |= on_redis
    done = program.json("import", "all.ndjson", "--resume")
    assert (done["stored"], done["refused"], done["whole"]) == (MANY, 0, True)
    assert not checkpoint.exists()
    target = backend_of(program.settings)
    assert_alike(before, entries(target))
    target.close()

    # And back, by a pipe.
    program("export", "again.ndjson")
    (directory / "second" / "services").mkdir(parents=True)
    program.settings |= {"CACHE_DRIVER": "file", "CACHEAPI_DATA_DIR": str(directory / "second")}
    assert program.json("import", "again.ndjson")["stored"] == MANY
    returned = backend_of(program.settings)
    assert_alike(before, entries(returned))
    returned.close()


def test_an_export_can_be_imported_into_memcached(program: Program) -> None:
    source = backend_of(program.settings)
    source.set("a", b'{"a":  1}', 1000)
    source.set("b", b"\xff", None)
    source.set("with space", b"1", None)
    source.set("k" * 251, b"1", None)
    source.set("large", b"1" * 2_000_000, None)
    source.close()
    program("export", "x.ndjson")
    with memcached() as server:
        program.settings |= {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": f"127.0.0.1:{server.port}",
            "MEMCACHED_TIMEOUT_MS": "5000",
        }
        ended = program.run("import", "x.ndjson")
        assert ended.exit_code == 1
        lines = ended.stderr.splitlines()
        assert any(
            "The key is 251 bytes long; memcached takes at most 250." in line for line in lines
        )
        assert any("key 'large': SERVER_ERROR object too large" in line for line in lines)
        assert lines[-1] == "cacheapi: Imported 3 entries, 2 were refused."
        target = backend_of(program.settings)
        assert target.get_many(["a", "b"]) == {"a": b'{"a":  1}', "b": b"\xff"}
        assert target.get("with space") == b"1"
        left = target.remaining_ttl_many(["a", "b"])
        assert left["b"] is None
        assert left["a"] is not None
        assert 900 < left["a"] <= 1001
        target.close()
        # To PHP's programs JSON is JSON by its flags, and the rest is text.
        program.settings |= {"CACHE_VALUES": "php"}
        program.run("import", "x.ndjson")
        assert server.say(b"get a\r\n").startswith(b"VALUE a 6 9\r\n")
        assert server.say(b"get b\r\n").startswith(b"VALUE b 0 1\r\n")


def test_a_cache_that_is_back_soon_is_waited_for(
    program: Program, memcached_server: Memcached
) -> None:
    with memcached() as server:
        program.settings |= {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": f"127.0.0.1:{server.port}",
        }
        lines = [b'{"key":"%d","value":%d}\n' % (number, number) for number in range(2000)]
        (program.directory / "x.ndjson").write_bytes(b"".join(lines))
        server.kill()
        process = subprocess.Popen(
            [*COMMAND, "import", "x.ndjson"],
            cwd=program.directory,
            env=environ(program.directory, **program.settings),
            stderr=subprocess.PIPE,
        )
        time.sleep(1)
        server.start()
        _, stderr = process.communicate(timeout=60)
        assert (process.returncode, stderr) == (0, b"cacheapi: Imported 2000 entries.\n")


def test_a_cache_that_stays_away_ends_it_and_it_goes_on(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cacheapi.commands.loading.PAUSES", (0.01,))
    lines = [b'{"key":"%d","value":%d}\n' % (number, number) for number in range(2000)]
    (program.directory / "x.ndjson").write_bytes(b"".join(lines))
    with memcached() as server:
        program.settings |= {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": f"127.0.0.1:{server.port}",
            "MEMCACHED_TIMEOUT_MS": "5000",
        }
        server.kill()
        ended = program.run("import", "x.ndjson")
        assert ended.exit_code == 3
        first, last = ended.stderr.splitlines()
        assert first == "cacheapi: 0 lines are done; go on with the same command and --resume."
        assert f"Connection refused: memcached at 127.0.0.1:{server.port}" in last
        server.start()
        assert program.json("import", "x.ndjson", "--resume")["stored"] == 2000


def test_a_full_cache_ends_it(program: Program, redis_one: Redis) -> None:
    (program.directory / "x.ndjson").write_text('{"key":"k","value":1}\n')
    program.settings |= {"CACHE_DRIVER": "redis", **redis_one.settings}
    redis_one.call("CONFIG", "SET", "maxmemory", "1")
    try:
        ended = program.run("import", "x.ndjson")
    finally:
        redis_one.call("CONFIG", "SET", "maxmemory", "0")
    assert ended.exit_code == 3
    assert "out of memory" in ended.stderr


def test_what_has_ended_meanwhile_is_left_out(program: Program) -> None:
    now = time.time()
    lines = [
        {"key": "over", "value": 1, "ttl": 50.0, "expires": now - 10},
        {"key": "soon", "value": 1, "ttl": 50.0, "expires": now + 40},
        {"key": "of another program", "value": 1, "ttl": 60},
        {"key": "for ever", "value": 1},
    ]
    path = program.directory / "x.ndjson"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = program.json("import", "x.ndjson")
    assert (done["stored"], done["expired"]) == (3, 1)
    backend = backend_of(program.settings)
    assert backend.remaining_ttl("soon") < 41
    assert 50 < backend.remaining_ttl("of another program") <= 60
    assert backend.remaining_ttl("for ever") is None
    done = program.json("import", "x.ndjson", "--restart-ttl")
    assert (done["stored"], done["expired"]) == (4, 0)
    assert 45 < backend.remaining_ttl("over") <= 50
    backend.close()


def test_existing_keys_are_overwritten_or_kept(program: Program) -> None:
    program("set", "a", "1")
    lines = b'{"key":"a","value":2}\n\n{"key":"b","value":2}\n'
    ended = program.run("import", "-", "--keep-existing", stdin=lines)
    assert ended.stderr == "cacheapi: Imported 1 entry, 1 was there.\n"
    assert program("get", "a", "b") == "a\t1\nb\t2\n"
    program("import", "-", stdin=lines)
    assert program("get", "a", "b") == "a\t2\nb\t2\n"


def test_an_export_that_was_cut_off_is_told(program: Program) -> None:
    for key in "abc":
        program("set", key, "1")
    program("export", "x.ndjson")
    whole = (program.directory / "x.ndjson").read_bytes()
    for left in (2, 40, 60):
        (program.directory / "cut.ndjson").write_bytes(whole[:-left])
        ended = program.run("import", "cut.ndjson")
        assert ended.exit_code == 1
        assert "its last line is missing" in ended.stderr
    assert program.run("import", "x.ndjson").exit_code == 0
    assert program.json("export", "y.ndjson", "--prefix", "b")["entries"] == 1


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON\n",
        b"[]\n",
        b'{"key":1,"value":1}\n',
        b'{"key":"k"}\n',
        b'{"key":"k","value":1,"more":1}\n',
        b'{"key":"k","value":"%","encoding":"base64"}\n',
        b'{"key":"k","value":1,"encoding":"base64"}\n',
        b'{"key":"k","value":1,"ttl":"1"}\n',
        b'{"key":"\xff","value":1}\n',
    ],
)
def test_a_line_that_is_no_entry_stops_it(program: Program, line: bytes) -> None:
    (program.directory / "x.ndjson").write_bytes(b'{"key":"good","value":1}\n' + line)
    ended = program.run("import", "x.ndjson")
    assert ended.exit_code == 3
    assert "cacheapi: Line 2: It is no entry of an export" in ended.stderr
    assert (
        ended.stderr.splitlines()[0]
        == "cacheapi: 1 lines are done; go on with the same command and --resume."
    )
    assert program("get", "good") == "1\n"


def test_files_are_not_mixed_up(program: Program) -> None:
    program("set", "a", "1")
    program("export", "x.ndjson")
    assert "exists; say --resume" in program.fails("export", "x.ndjson", code=2)
    assert "It is a whole export already" in program.fails("export", "x.ndjson", "--resume", code=2)
    assert "no checkpoint of" in program.fails("export", "y.ndjson", "--resume", code=2)
    program("export", "x.ndjson", "--overwrite")
    checkpoint = program.directory / "x.ndjson.checkpoint"
    about = {"service": "other", "type": "cache_local", "prefix": ""}
    state = {"cursor": "YQ", "offset": 10**6, "entries": 1}
    checkpoint.write_text(json.dumps({"about": about, "state": state}))
    assert "is of service" in program.fails("export", "x.ndjson", "--resume", code=2)
    about["service"] = "cache"
    checkpoint.write_text(json.dumps({"about": about, "state": state}))
    assert "shorter than it was" in program.fails("export", "x.ndjson", "--resume", code=3)
    checkpoint.write_text("{")
    assert "is no checkpoint" in program.fails("export", "x.ndjson", "--resume", code=3)
    # The file of before, by the name of another.
    (program.directory / "x.ndjson.cache.checkpoint").write_text(
        json.dumps({"about": {"service": "cache", "beginning": "0"}, "state": {}})
    )
    assert "is of service" in program.fails("import", "x.ndjson", "--resume", code=2)
    assert "No such file" in program.fails("import", "absent.ndjson", code=3)
    assert "cannot be resumed" in program.fails("import", "-", "--resume", code=2)
    assert "cannot be resumed" in program.fails("export", "-", "--resume", code=2)
    assert "exclude" in program.fails("export", "x", "--resume", "--overwrite", code=2)
    ended = program.run("import", "x.ndjson", "--resume", "--checkpoint", "elsewhere")
    assert ended.exit_code == 0
    assert "There is no checkpoint; starting at the beginning." in ended.stderr


def test_many_refused_entries_are_counted(program: Program, memcached_server: Memcached) -> None:
    program.settings |= {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}",
    }
    lines = b"".join(b'{"key":"%0251d","value":1}\n' % number for number in range(50))
    ended = program.run("import", "-", stdin=lines)
    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-1] == "cacheapi: Imported 0 entries, 50 were refused."
    assert len(ended.stderr.splitlines()) == 22


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
).map(lambda value: json.dumps(value).encode())
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    key=texts,
    value=st.binary() | json_texts | texts.map(str.encode),
    ttl=st.none() | st.floats(0.001, 10**9),
)
def test_a_line_gives_back_what_it_was_made_of(key: str, value: bytes, ttl: float | None) -> None:
    line = dump.write(key, value, ttl, 1_800_000_000.0)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    json.loads(line)
    found = dump.read(line)
    assert (found.key, found.value) == (key, value)
    if ttl is None:
        assert (found.ttl, found.expires) == (None, None)
    else:
        assert found.ttl == pytest.approx(ttl, abs=0.001)
        assert found.expires == pytest.approx(1_800_000_000.0 + ttl, abs=0.001)


def test_tags_move_with_their_entries(program: Program, memcached_server: Memcached) -> None:
    there = FileBackend(data_dir=program.settings["CACHEAPI_DATA_DIR"])
    cache = CacheService("cache", there, default_ttl=5)
    pairs = [("one", '{"a": 1}', ("x", "grün")), ("two", "2", ("y",)), ("gone", "3", ("z",))]
    cache.set_many([TaggedPair(key, value, None, tags) for key, value, tags in pairs])
    cache.set_many([Pair("plain", "4", None)])
    cache.purge(["z"])
    program("export", "all.ndjson")
    lines = (program.directory / "all.ndjson").read_bytes().splitlines()[1:-1]
    exported = {(line := json.loads(text))["key"]: line.get("tags") for text in lines}
    assert exported == {"one": ["x", "grün"], "two": ["y"], "plain": None}
    assert {json.loads(text)["key"]: json.loads(text)["value"] for text in lines} == {
        "one": {"a": 1},
        "two": 2,
        "plain": 4,
    }
    memcached_server.say(b"flush_all\r\n")
    program("flush", "--yes")
    elsewhere = {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}",
        "MEMCACHED_TIMEOUT_MS": "3000",
    }
    other = MemcachedBackend(
        servers=parse_servers(f"127.0.0.1:{memcached_server.port}"), timeout_ms=3000
    )
    for settings, target in (({}, there), (elsewhere, other)):
        program.settings |= settings
        program("import", "all.ndjson")
        program("import", "all.ndjson", "--keep-existing")
        assert program("get", "one", "two", "plain") == 'one\t{"a": 1}\ntwo\t2\nplain\t4\n'
        CacheService("cache", target, default_ttl=5).purge(["x"])
        assert program("get", "one", "two", "plain", code=1) == "two\t2\nplain\t4\n"
        program("import", "all.ndjson", "--keep-existing")
        assert program("get", "one") == '{"a": 1}\n'
        target.close()


@pytest.mark.parametrize("tags", ['"a"', "[1]", '["a b"]', '["a", "b", ""]'])
def test_a_line_with_what_is_no_list_of_tags_is_no_entry(program: Program, tags: str) -> None:
    (program.directory / "bad.ndjson").write_text(f'{{"key":"k","value":1,"tags":{tags}}}\n')
    told = program.run("import", "bad.ndjson")
    assert told.exit_code != 0
    assert "It is no entry of an export" in told.output
