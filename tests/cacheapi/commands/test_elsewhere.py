"""``--url``: the same commands on a service elsewhere, and on the machine itself."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cacheapi.commands.main import cacheapi
from tests.cacheapi.commands.conftest import Program
from tests.support import origin as scripted
from tests.support.processes import Memcached, Service, free_port, service


class Elsewhere(Program):
    """The program beside a service of another directory, whose key it has in a file."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        (directory / "key").write_text(f"{Service.api_key}\n")
        self.settings = {"CACHEAPI_URL": url, "CACHEAPI_KEY": f"@{directory / 'key'}"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("live"), WEB_CONCURRENCY="1") as running:
        yield running


@pytest.fixture(params=["here", "elsewhere"])
def anywhere(request: pytest.FixtureRequest, program: Program, tmp_path: Path) -> Program:
    if request.param == "here":
        return program
    live: Service = request.getfixturevalue("live")
    (tmp_path / "mine").mkdir()
    made = Elsewhere(tmp_path / "mine", live.url)
    made("flush", "--yes")
    for each in made.json("services")["resource"]:
        if each["source"] == "database":
            made("services", "delete", each["name"], "--yes")
    return made


def test_values_come_back_as_they_were_stored(anywhere: Program) -> None:
    anywhere("set", "a/b?c", '{"x": 1.50}', "--ttl", "2h")
    assert anywhere("get", "a/b?c") == '{"x": 1.50}\n'
    anywhere("set", "text", "--text", "é", "--add")
    assert anywhere("get", "--text", "text") == "é\n"
    assert anywhere("get", "--raw", "a/b?c") == '{"x": 1.50}'
    assert anywhere.json("get", "a/b?c", "absent", code=1)["meta"] == {"missing": ["absent"]}
    assert anywhere.fails("set", "text", "2", "--add", code=1) == "Key 'text' exists already."
    assert anywhere.fails("set", "absent", "2", "--replace", code=1) == (
        "Key 'absent' does not exist."
    )
    anywhere("set", "text", "2", "--replace")
    assert anywhere.fails("get", "absent", code=1) == "Key 'absent' does not exist."
    assert anywhere.fails("get", "a", "-s", "nope", code=2) == (
        "Service 'nope' does not exist; there are: cache."
    )
    assert "empty" in anywhere.fails("get", "", code=2)


def test_lifetimes_have_units(anywhere: Program) -> None:
    for given, told in (
        *(("90s", "1m 30s"), ("15m", "15m"), ("2h", "2h"), ("7d", "7d"), ("60d", "60d")),
        *(("forever", "forever"), ("0", "forever"), ("3600", "1h")),
    ):
        anywhere("set", "k", "1", "--ttl", given)
        # A moment may have passed.
        words = anywhere("ttl", "k").strip()
        seconds = anywhere.json("ttl", "k")["ttl"]
        if told == "forever":
            assert (words, seconds) == ("forever", None)
            continue
        whole = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        wanted = sum(int(part[:-1]) * whole[part[-1]] for part in told.split())
        assert wanted - 20 <= seconds <= wanted + 1
    for wrong in ("0s", "1w", "-5", "1.5h", "soon"):
        assert "--ttl" in anywhere.fails("set", "k", "1", "--ttl", wrong, code=2)
    touched = anywhere.run("touch", "k", "--ttl", "1d")
    assert (touched.stdout, touched.stderr) == ("", "cacheapi: Key 'k' has a new lifetime: 1d.\n")
    touched = anywhere.run("touch", "k", "--ttl", "forever")
    assert touched.stderr == "cacheapi: Key 'k' has a new lifetime: forever.\n"
    touched = anywhere.run("touch", "k")
    assert touched.stderr == "cacheapi: Key 'k' has the service's default lifetime: 5h.\n"
    assert anywhere.run("touch", "k", "--json").stderr == ""
    anywhere("set", "late", "1")
    touched = anywhere.run("touch", "late", "--ttl", "2592001")
    assert touched.stderr == f"cacheapi: {over('late')}\n"
    anywhere("touch", "k", "--ttl", "1d")
    assert 86000 < anywhere.json("ttl", "k")["ttl"] <= 86400
    assert anywhere.json("ttl", "k", "absent", code=1)["meta"] == {"missing": ["absent"]}
    for command in ("touch", "ttl"):
        assert anywhere.fails(command, "absent", code=1) == "Key 'absent' does not exist."
    assert anywhere.fails("incr", "absent", code=1) == (
        "Key 'absent' does not exist. With --initial 1 it is made, and begins there."
    )
    assert "With --initial -3 it is" in anywhere.fails("incr", "absent", "-3", code=1)


def over(key: str) -> str:
    return (
        f"Key '{key}' has a lifetime that is over already: a number over 2592000 (30 days) is a "
        "time, in seconds since 1970, and this one is past; of milliseconds leave out the last "
        "three digits."
    )


def test_a_lifetime_that_is_over_already_is_told(anywhere: Program) -> None:
    said = over("k")
    for command in (("set", "k", "1"), ("set", "k", "1", "--add"), ("set", "k", "1", "--json")):
        ended = anywhere.run(*command, "--ttl", "3600000")
        assert (ended.exit_code, ended.stderr) == (0, f"cacheapi: {said}\n"), command
    # With the number that it prints.
    for more in ((), ("--json",)):
        ended = anywhere.run("incr", "k", "--initial", "1", "--ttl", "3600000", *more)
        assert (ended.exit_code, ended.stderr) == (0, f"cacheapi: {said}\n"), more
    anywhere("set", "there", "1", "--ttl", "1h")
    ended = anywhere.run("incr", "there", "--initial", "1", "--ttl", "3600000")
    assert "over already" not in ended.stderr
    changes = (
        b'[{"set": {"key": "k", "value": 1, "ttl": 3600000}}, {"get": "k"},'
        b' {"set": {"key": "m", "value": 1, "ttl": -1}}, {"touch": {"key": "m", "ttl": 3600000}},'
        b' {"replace": {"key": "absent", "value": 1, "ttl": 3600000}}]'
    )
    ended = anywhere.run("batch", stdin=changes)
    assert ended.stderr.splitlines() == [
        "cacheapi: 1 of 5 not done.",
        f"cacheapi: {said} So it is with 1 other operation.",
    ]


def test_a_pattern_for_a_key_is_told_where_it_belongs(anywhere: Program) -> None:
    said = "Key 'user:*' does not exist. For a pattern: cacheapi keys --match 'user:*'."
    for command in ("get", "ttl", "touch", "delete"):
        assert anywhere.run(command, "user:*").stderr == f"cacheapi: {said}\n", command


def test_services_that_share_keys_are_told_before_a_flush(
    anywhere: Program, memcached_server: Memcached
) -> None:
    config = ("--set", "host=127.0.0.1", "--set", f"port={memcached_server.port}")
    for name in ("one", "two"):
        prefix = ("--set", f"prefix={name}:")
        made = anywhere.run(
            *("services", "create", name, "--type", "cache_memcached", *config, *prefix)
        )
        assert (made.exit_code, "shares keys" in made.stderr) == (0, False), made.stderr
    shared = "shares keys with the service 'one': both are on the same server"
    for words in (("edit", "two", "--set", "prefix="), ("off", "two"), ("on", "two")):
        changed = anywhere.run("services", *words)
        assert (changed.exit_code, shared in changed.stderr) == (0, words[0] != "off"), words
    flushed = anywhere.run("flush", "--service", "two", "--yes")
    told, done = flushed.stderr.splitlines()
    assert told.startswith(f"cacheapi: Service 'two' {shared}")
    assert told.endswith("and a flush may take both.")
    assert done == "cacheapi: Deleted every key of two."
    assert anywhere.run("flush", "--yes").stderr == "cacheapi: Deleted every key of cache.\n"


def test_who_may_not_read_changes_a_lifetime_all_the_same(program: Program, live: Service) -> None:
    boss = ("--url", live.url, "--key", Service.api_key)
    made = CliRunner(env={}).invoke(
        cacheapi, [*boss, "api-key", "create", "writer", "--rule", "cache:POST,PATCH"]
    )
    writer = ("--url", live.url, "--key", made.stdout.strip())
    assert run(*writer, "set", "written", "1") == (0, "")
    assert run(*writer, "touch", "written", "--ttl", "1h") == (
        0,
        "cacheapi: Key 'written' has a new lifetime.\n",
    )
    assert run(*writer, "incr", "written", "--initial", "1") == (0, "")


def test_counting(anywhere: Program) -> None:
    assert anywhere("incr", "n", "--initial", "5", "--ttl", "1h") == "5\n"
    assert [anywhere("incr", "n"), anywhere("incr", "n", "-3")] == ["6\n", "3\n"]
    # That of a number that is there stays, whatever is given.
    again = anywhere.run("incr", "n", "0", "--initial", "5", "--ttl", "30d")
    assert (again.stdout, again.stderr) == ("3\n", "cacheapi: Lifetime left: 1h.\n")
    assert not anywhere.run("incr", "n", "0").stderr
    assert anywhere.json("incr", "n", "10") == {"key": "n", "value": 13}
    anywhere("set", "text", "--text", "no number")
    assert "number" in anywhere.fails("incr", "text", code=2)
    assert "--initial" in anywhere.fails("incr", "n", "--ttl", "1h", code=2)


def test_a_pattern_where_a_beginning_stands_is_told(anywhere: Program) -> None:
    anywhere("set", "told:1", "x", "--text")
    told = anywhere.run("keys", "told:*")
    assert (told.stdout, told.exit_code) == ("", 0)
    assert (
        told.stderr == "cacheapi: No key begins with 'told:*'; for a pattern, --match 'told:*'.\n"
    )
    assert not anywhere.run("keys", "nothing").stderr
    anywhere("delete", "told:1")


def test_keys_are_listed_matched_and_deleted(anywhere: Program) -> None:
    for key in ("user:1:cart", "user:1:name", "user:2:cart", "other"):
        anywhere("set", key, '"v"', "--ttl", "forever")
    assert anywhere("keys", "--match", "user:*:cart") == "user:1:cart\nuser:2:cart\n"
    assert anywhere("keys", "user:1", "--match", "*cart") == "user:1:cart\n"
    found = anywhere.json("keys", "other", "--details")["resource"]
    assert found == [{"key": "other", "ttl": None, "bytes": 3, "kind": "value"}]
    assert anywhere("keys", "other", "--details") == (
        "LEFT         VALUE  KIND    KEY\nforever        3 B  value   other\n"
    )
    # No heading of nothing.
    assert anywhere("keys", "absent", "--details") == ""
    page = anywhere.json("keys", "user:", "--limit", "2")
    rest = anywhere.json("keys", "user:", "--cursor", page["meta"]["next"])
    assert len(page["resource"]) + len(rest["resource"]) == 3
    ended = anywhere.run("delete", "--prefix", "user:1:")
    assert ended.stderr == "cacheapi: Deleted 2 keys.\n"
    assert anywhere.json("delete", "--prefix", "user:") == {"success": True, "deleted": 1}
    assert anywhere.run("delete", "--prefix", "other").stderr == "cacheapi: Deleted 1 key.\n"
    assert "empty" in anywhere.fails("delete", "--prefix", "", code=2)
    assert "not both" in anywhere.fails("delete", "a", "--prefix", "b", code=2)
    assert "--prefix" in anywhere.fails("delete", code=2)
    anywhere.json("delete", "absent", code=1)
    anywhere("flush", "--yes")
    assert anywhere("keys") == ""


def test_statistics(anywhere: Program) -> None:
    anywhere("set", "a", "1")
    anywhere("get", "a")
    told = anywhere.json("stats")
    assert told["name"] == "cache"
    assert told["stats"]["curr_items"] >= 1
    assert told["stats"]["get_hits"] >= 1
    shown = anywhere("stats", "--once")
    assert shown.startswith("cache (")
    assert "HITS" in shown
    assert "nope" in anywhere.fails("stats", "--json", "--section", "nope", code=2)


def test_a_service_is_made_changed_and_deleted(anywhere: Program) -> None:
    port = free_port()
    made = anywhere.json(
        *("services", "create", "shop", "--type", "cache_memcached", "--set", "host=127.0.0.1"),
        *("--set", f"port={port}", "--set", "default_ttl=2h", "--label", "Shop"),
    )
    assert (made["name"], made["warnings"]) == ("shop", [])
    found = {each["name"]: each for each in anywhere.json("services")["resource"]}
    assert found["shop"]["config"]["default_ttl"] == 120
    assert found["shop"]["config"]["port"] == port
    assert "FAILED" in anywhere("services", "test", "shop", code=3)
    assert "switched off" in anywhere.run("services", "off", "shop").stderr
    assert "switched off" in anywhere("services")
    anywhere("services", "on", "shop")
    changed = anywhere.json("services", "edit", "shop", "--name", "cart", "--set", "prefix=c:")
    assert (changed["name"], changed["config"]["prefix"]) == ("cart", "c:")
    # What does not work is not saved.
    line = anywhere.fails("services", "edit", "cart", "--set", "timeout_ms=60", "--test", code=3)
    assert line.startswith("Nothing is saved: 'connect' failed: ")
    line = anywhere.fails(
        *("services", "create", "two", "--type", "cache_memcached", "--set", "host=127.0.0.1"),
        *("--set", f"port={port}", "--test"),
        code=3,
    )
    assert line.startswith("Nothing is saved: 'connect' failed: ")
    assert {each["name"] for each in anywhere.json("services")["resource"]} >= {"cart"}
    types = anywhere("services", "types")
    assert "timeout_ms" in types
    assert "`" not in types
    assert "**" not in types
    anywhere("services", "create", "files", "--type", "cache_local", "--off", "--test")
    assert "Nobody can be asked" in anywhere.fails("services", "delete", "cart", code=2)
    for name in ("cart", "files"):
        anywhere("services", "delete", name, "--yes")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "x", "--type", "nope"), "There is no type 'nope'"),
        (("create", "x", "--type", "cache_local", "--set", "nope=1"), "no field 'nope'"),
        (("create", "x", "--type", "cache_local", "--set", "max_mb"), "is no FIELD=VALUE"),
        (("create", "x", "--type", "cache_local", "--set", "max_mb=big"), "a whole number"),
        (("create", "x", "--type", "cache_local", "--set", "raw_bytes=no"), "true or false"),
        (("create", "x", "--type", "cache_local", "--set", "default_ttl=90s"), "whole minutes"),
        (
            ("create", "x", "--type", "cache_local", "--set", "default_ttl=long"),
            "2h, 7d or forever",
        ),
        (("create", "x", "--type", "cache_local", "--set", "default_ttl=-1"), "of minutes from 0"),
        (("create", "X!", "--type", "cache_local"), "name"),
        (("create", "cache", "--type", "cache_local"), "There is a service 'cache' already"),
        (("edit", "cache", "--label", "x"), "is set up in the environment"),
        (("edit", "cache"), "nothing to change"),
        (("edit", "nope", "--label", "x"), "Service 'nope' does not exist"),
        (("on", "nope"), "Service 'nope' does not exist"),
        (("delete", "nope", "--yes"), "Service 'nope' does not exist"),
        (("test", "nope"), "Service 'nope' does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_no_service_can_be_is_wrong_use(
    anywhere: Program, arguments: tuple[str, ...], words: str
) -> None:
    assert words in anywhere.fails("services", *arguments, code=2)


@pytest.mark.parametrize(
    ("written", "minutes", "told"),
    [
        ("90m", 90, ""),
        ("7d", 7 * 24 * 60, ""),
        ("forever", 0, ""),
        ("0", 0, ""),
        ("90", 90, "default_ttl=90 is in minutes: 1h 30m."),
    ],
)
def test_a_default_lifetime_is_in_minutes_and_says_so(
    anywhere: Program, written: str, minutes: int, told: str
) -> None:
    words = ("services", "create", "timed", "--type", "cache_local")
    made = anywhere.run(*words, "--set", f"default_ttl={written}", "--off")
    try:
        assert made.exit_code == 0
        assert told in made.stderr
        assert ("minutes" in made.stderr) == bool(told)
        (found,) = [
            each for each in anywhere.json("services")["resource"] if each["name"] == "timed"
        ]
        assert found["config"]["default_ttl"] == minutes
    finally:
        anywhere("services", "delete", "timed", "--yes")


@pytest.mark.parametrize(
    ("field", "written", "number"),
    [
        *(("cache_ttl", "2m", 120), ("cache_ttl", "1h", 3600), ("cache_ttl", "45", 45)),
        *(("read_timeout_ms", "5s", 5000), ("read_timeout_ms", "450", 450)),
    ],
)
def test_a_time_span_of_a_config_has_a_unit_or_that_of_its_field(
    anywhere: Program, field: str, written: str, number: int
) -> None:
    words = ("services", "create", "front", "--type", "rws", "--set", "base_url=http://127.0.0.1:9")
    try:
        anywhere(*words, "--set", f"{field}={written}", "--off")
        (found,) = [
            each for each in anywhere.json("services")["resource"] if each["name"] == "front"
        ]
        assert found["config"][field] == number
    finally:
        anywhere("services", "delete", "front", "--yes")
    told = anywhere.fails(*words, "--set", "cache_ttl=soon", code=2)
    assert "cache_ttl must be seconds, or 90s, 15m, 2h, 7d, not 'soon'." in " ".join(told.split())
    told = anywhere.fails(*words, "--set", "max_body_kb=1m", code=2)
    assert "max_body_kb must be a whole number, not '1m'." in " ".join(told.split())


def test_a_password_comes_from_a_file(anywhere: Program) -> None:
    (anywhere.directory / "secret").write_text("pl4nted\n")
    anywhere(
        *("services", "create", "locked", "--type", "cache_redis", "--set", "host=127.0.0.1"),
        *("--set", f"password=@{anywhere.directory / 'secret'}"),
    )
    shown = anywhere("services", "--json")
    assert "pl4nted" not in shown
    assert "**********" in shown
    anywhere("services", "delete", "locked", "--yes")


def test_api_keys(anywhere: Program) -> None:
    made = anywhere.json("api-key", "create", "n", "--rule", "*:GET:a:*", "--expires", "30d")
    found = {each["id"]: each for each in anywhere.json("api-key", "list")["resource"]}
    assert found[made["id"]]["expires"] is not None
    assert " *:GET:a:* " in anywhere("api-key", "list")
    assert "expires" in anywhere.fails(
        "api-key", "create", "n", "--rule", "*:GET", "--expires", "soon", code=2
    )
    anywhere("api-key", "revoke", str(made["id"]))
    assert anywhere.fails("api-key", "revoke", str(made["id"]), code=1) == (
        f"API key {made['id']} does not exist."
    )


# Only with --url


def run(*arguments: str, **settings: str) -> tuple[int, str]:
    ended = CliRunner(env=settings).invoke(cacheapi, arguments)
    return ended.exit_code, ended.stderr


@contextmanager
def something_else(status: int, fields: dict[str, str], body: bytes) -> Iterator[str]:
    """Run what gives each request the same answer; give its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            for name, text in {**fields, "Content-Length": str(len(body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_what_cannot_be_reached_is_one_line(program: Program, live: Service) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    key = ("--key", Service.api_key)
    refused = "Connection refused. Is the service running there, and is the port right?"
    code, said = run("--url", url, *key, "get", "k")
    assert (code, said) == (3, f"cacheapi: {url} cannot be reached: {refused}\n")
    code, said = run("--url", live.url, "get", "k")
    assert (code, "CACHEAPI_KEY" in said) == (2, True)
    code, said = run("--url", live.url, "--key", "wrong", "get", "k")
    assert (code, said) == (3, "cacheapi: The API key is not valid. It is the one of --key.\n")
    code, said = run("--url", live.url, "--key", "@absent", "get", "k")
    assert (code, "absent" in said) == (3, True)
    code, said = run("--url", live.url.replace("http:", "https:"), *key, "get", "k")
    assert (code, "speaks no TLS there; try http://" in said) == (3, True), said
    code, said = run("--url", f"{live.url}/c", *key, "get", "k")
    assert (code, f"not under /c: give --url {live.url}." in said) == (2, True), said
    for wrong in ("cache.example", "ftp://x", "http://", "http://x:y"):
        code, said = run("--url", wrong, *key, "get", "k")
        assert (code, said.startswith("cacheapi: --url: ")) == (2, True), wrong


def test_an_api_key_that_is_refused_is_told_where_it_came_from(
    program: Program, live: Service
) -> None:
    file = program.directory / "a.key"
    file.write_text("wrong\n")
    refused = "cacheapi: The API key is not valid. It is the one"
    at = ("--url", live.url)
    assert run(*at, "--key", f"@{file}", "get", "k") == (
        3,
        f"{refused} in the file '{file}', which --key names.\n",
    )
    assert run(*at, "get", "k", CACHEAPI_KEY="wrong") == (3, f"{refused} of CACHEAPI_KEY.\n")
    assert run(*at, "get", "k", CACHEAPI_KEY=f"@{file}") == (
        3,
        f"{refused} in the file '{file}', which CACHEAPI_KEY names.\n",
    )
    # The file itself was meant; it is not read.
    file.write_text(Service.api_key)
    for where, words, settings in (
        ("--key", ("--key", str(file)), {}),
        ("CACHEAPI_KEY", (), {"CACHEAPI_KEY": str(file)}),
    ):
        assert run(*at, *words, "get", "k", **settings) == (
            3,
            f"{refused} of {where}. There is a file of this name: did you mean @{file}?\n",
        )
    # What is typed wins.
    assert run(*at, "--key", Service.api_key, "keys", CACHEAPI_KEY="wrong")[0] == 0


@pytest.mark.parametrize("command", [("get", "k"), ("doctor",), ("services", "list")], ids=" ".join)
def test_an_api_key_without_an_address_is_wrong_use(
    program: Program, command: tuple[str, ...]
) -> None:
    for settings in ({}, {"CACHEAPI_URL": ""}):
        code, said = run("--key", "k", *command, **program.settings, **settings)
        assert (code, "--key belongs to --url" in said) == (2, True), said
    # A variable that is not set makes no command one for this machine.
    code, said = run("--url", "", *command, **program.settings)
    assert (code, "--url is empty." in said) == (2, True), said
    program("set", "k", "1")
    program.settings["CACHEAPI_KEY"] = "k"
    assert program("get", "k") == "1\n"


def test_a_path_that_is_forgotten_is_told(program: Program, tmp_path: Path) -> None:
    key = ("--key", Service.api_key)
    there = tmp_path / "there"
    there.mkdir()
    with service(there, WEB_CONCURRENCY="1", CACHEAPI_BASE_PATH="/c") as below:
        for wrong in ("/d", "/c/c"):
            code, said = run("--url", f"{below.url}{wrong}", *key, "get", "k")
            assert (code, f"not under {wrong}: give --url {below.url}/c." in said) == (2, True), (
                said
            )
    # Something else has the name, and is asked in both ways.
    with something_else(404, {}, b"<html>") as url:
        for command in (("get", "k"), ("services",)):
            code, said = run("--url", url, *key, *command)
            assert (code, f"belongs to it: --url {url}/PATH." in said) == (3, True), said
            code, said = run("--url", f"{url}/x", *key, *command)
            assert (code, "mounted under another path than /x?" in said) == (3, True), said


def test_what_works_at_the_machine_alone_says_so(program: Program, live: Service) -> None:
    for command in (("doctor",), ("export", "x"), ("import", "x")):
        (program.directory / "x").write_text("")
        code, said = run("--url", live.url, "--key", "k", *command)
        assert (code, "on the machine of the service itself" in said) == (2, True), command


@pytest.mark.parametrize(
    ("status", "fields", "body", "words"),
    [
        (200, {}, b"<html>", "is something else than cacheapi"),
        (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>", "/PATH."),
        (405, {}, b"<html>", "/PATH."),
        (502, {}, b"<html>", "answers 502, and not as cacheapi does"),
        (301, {"Location": "https://other/"}, b"", "leads to 'https://other/'"),
    ],
)
def test_something_else_at_the_address_is_named(
    program: Program, status: int, fields: dict[str, str], body: bytes, words: str
) -> None:
    with something_else(status, fields, body) as url:
        code, said = run("--url", url, "--key", "k", "get", "k")
    assert (code, words in said) == (3, True), said


def test_slips_in_the_rules_of_an_api_key_are_told(anywhere: Program) -> None:
    ended = anywhere.run("api-key", "create", "y", "--rule", "cachx:GET", "--rule", "*:GET")
    assert ended.exit_code == 0, ended.output
    assert "Service 'cachx' does not exist yet" in ended.stderr
    assert "Did you mean 'cache'?" in ended.stderr
    well = anywhere.run("api-key", "create", "z", "--rule", "cache:GET", "--rule", "*:GET")
    assert "does not exist" not in well.stderr
    said = anywhere.fails("api-key", "create", "x", "--rule", "cache:GETT", code=2)
    assert said.startswith("--rule: 'GETT' is no verb")
    assert "Did you mean 'GET'?" in said


KEY_COMMANDS = (
    *(("set", "items/1", "1"), ("set", "k", "1", "--add"), ("set", "k", "1", "--replace")),
    *(("get", "k"), ("get", "--raw", "k"), ("touch", "k", "--ttl", "1h"), ("incr", "k")),
    *(("ttl", "k"), ("keys",), ("delete", "k", "l"), ("delete", "--prefix", "a"), ("batch", "b")),
)


def test_nothing_meant_for_a_cache_reaches_an_api(program: Program, tmp_path: Path) -> None:
    (program.directory / "b").write_text('{"method": "SET", "key": "k", "value": 1}\n')
    services = tmp_path / "services.toml"
    with scripted.origin() as origin:
        services.write_text(
            '[[service]]\nname = "shop"\ntype = "rws"\n'
            f'[service.config]\nbase_url = "{origin.url}"\n'
        )
        there = tmp_path / "there"
        there.mkdir()
        with service(there, WEB_CONCURRENCY="1", CACHEAPI_SERVICES_FILE=str(services)) as running:
            for command in KEY_COMMANDS:
                code, said = run(
                    *("--url", running.url, "--key", Service.api_key, *command, "-s", "shop")
                )
                assert (code, "Service 'shop' stands in front of an HTTP API" in said) == (2, True)
            for command in (("flush", "--yes"), ("delete", "--tag", "prices")):
                code, said = run(
                    *("--url", running.url, "--key", Service.api_key, *command, "-s", "shop")
                )
                assert code == 0, said
        assert origin.log() == []


@pytest.mark.parametrize("body", [b"[]", b'{"x": 1}', b"7", b"<html>"])
@pytest.mark.parametrize("fields", [{}, {"Cache-Status": "cacheapi; fwd=miss"}])
def test_an_answer_of_another_shape_is_one_line(
    program: Program, body: bytes, fields: dict[str, str]
) -> None:
    (program.directory / "b").write_text('{"method": "SET", "key": "k", "value": 1}\n')

    commands = (*KEY_COMMANDS, ("stats",))
    with something_else(200, fields, body) as url:
        ended = [run("--url", url, "--key", "k", *command) for command in commands]
    for command, (code, said) in zip(commands, ended, strict=True):
        assert (code, "something else than cacheapi" in said) == (3, True), (command, said)


@pytest.mark.parametrize("end", ["/api/v2", "/api/v2/"])
def test_an_address_may_have_the_path_of_the_api(live: Service, end: str) -> None:
    url = ("--url", live.url + end, "--key", Service.api_key)
    assert run(*url, "set", "addressed", "1") == (0, "")


def test_a_call_elsewhere_knows_no_settings(program: Program, live: Service) -> None:
    """It works beside what would stop a service, and makes nothing."""
    ended = CliRunner(
        env={
            "CACHEAPI_URL": live.url,
            "CACHEAPI_KEY": Service.api_key,
            "CACHE_DRIVER": "nope",
            "CACHEAPI_DATA_DIR": "absent",
        }
    ).invoke(cacheapi, ["set", "k", "[1]", "--json"])
    assert (ended.exit_code, json.loads(ended.stdout)) == (0, {"key": "k", "success": True})
    assert not (program.directory / "absent").exists()


# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(program: Program, shell: str) -> None:
    script = program("completion", shell)
    assert f"_CACHEAPI_COMPLETE={shell}_complete" in script
    assert "nope" in program.fails("completion", "nope", code=2)
    words = {"COMP_WORDS": "cacheapi se", "COMP_CWORD": "1"}
    if shell == "fish":
        words = {"COMP_WORDS": "cacheapi se", "COMP_CWORD": "se"}
    program.settings |= {"_CACHEAPI_COMPLETE": f"{shell}_complete", **words}
    assert {"serve", "set", "services"} <= set(program().replace(",", " ").split())
