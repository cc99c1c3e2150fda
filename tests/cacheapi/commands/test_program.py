"""What holds for every command: help, JSON, exit codes, one line for a failure."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cacheapi.commands.main import cacheapi
from tests.cacheapi.commands.conftest import Program
from tests.support.processes import Memcached, Service, eventually, free_port
from tests.support.program import COMMAND, begin, environ, on_terminal, run
from tests.support.redis import Redis


def commands(group: click.Group = cacheapi, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command, those of groups too."""
    yield path
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", [*commands()], ids=" ".join)
def test_every_command_has_help(program: Program, path: tuple[str, ...]) -> None:
    shown = program(*path, "--help")
    assert shown == program(*path, "-h")
    assert shown.startswith("Usage: cacheapi")
    # Read by a stranger: what it does, an example, each option with its words.
    assert len(shown.split("\n\n")[1].strip()) > 20
    if path not in {("api-key", "list"), ("api-key", "revoke")}:
        # Each on a line of its own, to be copied.
        assert "\n  Examples:\n    cacheapi " in shown
        assert "\\b" not in shown
        assert f"cacheapi {path[0]}" in shown if path else "cacheapi serve" in shown


def test_the_list_of_commands_says_in_a_line_what_each_does(program: Program) -> None:
    listed = program("--help").partition("\nCommands:\n")[2].partition("\n\n")[0].splitlines()
    names = [line.split()[0] for line in listed]
    assert names == cacheapi.list_commands(click.Context(cacheapi))
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)
    assert [each.value for each in cacheapi.shell_complete(click.Context(cacheapi), "")] == names
    assert "services" in [
        each.value for each in cacheapi.shell_complete(click.Context(cacheapi), "se")
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "a"),
        ("get", "a", "b"),
        ("get", "absent"),
        ("set", "a", "1"),
        ("set", "a", "2", "--replace"),
        ("delete", "a", "b"),
        ("delete", "--prefix", "a"),
        ("delete", "--tag", "t"),
        ("batch", "operations.jsonl"),
        ("analyze",),
        ("touch", "a", "--ttl", "2h"),
        ("ttl", "a"),
        ("ttl", "a", "absent"),
        ("incr", "z"),
        ("keys",),
        ("keys", "--limit", "1"),
        ("keys", "--details"),
        ("keys", "--match", "[az]*"),
        ("flush", "--yes"),
        ("export", "x.ndjson"),
        ("import", "given.ndjson"),
        ("doctor",),
        ("stats",),
        ("tail", "--slowest"),
        ("audit",),
        ("services",),
        ("services", "list"),
        ("services", "show", "there"),
        ("services", "test", "cache"),
        ("services", "types"),
        ("services", "create", "made", "--type", "cache_local"),
        ("services", "edit", "there", "--label", "There"),
        ("services", "off", "there"),
        ("services", "on", "there"),
        ("services", "delete", "there", "--yes"),
        ("api-key", "create", "n", "--administrator"),
        ("api-key", "list"),
        ("api-key", "revoke", "1"),
        ("serve", "--dry-run"),
    ],
    ids=" ".join,
)
def test_json_of_every_command_is_json(program: Program, arguments: tuple[str, ...]) -> None:
    (program.directory / "given.ndjson").write_text('{"key":"k","value":1}\n')
    operations = '{"get":"a"}\n{"touch":{"key":"absent","ttl":1}}\n'
    (program.directory / "operations.jsonl").write_text(operations)
    program("set", "a", '"\\u001b[31m"')
    program("set", "z", "1")
    program("api-key", "create", "first", "--rule", "*:GET")
    program("services", "create", "there", "--type", "cache_local")
    ended = program.run(*arguments, "--json")
    assert ended.exit_code in (0, 1)
    json.loads(ended.stdout)


def test_every_command_is_tested_for_its_json() -> None:
    marks = test_json_of_every_command_is_json.pytestmark  # type: ignore[attr-defined]
    (arguments,) = (mark.args[1] for mark in marks)
    # "explain" needs a service in front of an API: see test_explain.
    tested = {words[: len(path)] for words in arguments for path in commands()}
    # "completion" prints a script.
    others = {(), ("api-key",), ("explain",), ("completion",)}
    assert {path for path in commands() if path not in others} <= tested


@pytest.mark.parametrize("path", [(), ("api-key",)], ids=" ".join)
def test_a_group_alone_shows_its_help(program: Program, path: tuple[str, ...]) -> None:
    ended = program.run(*path)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == program(*path, "--help")


def test_wrong_use_is_one_line_that_says_where_to_look(program: Program) -> None:
    line = program.fails("get", code=2)
    assert line == "Missing argument 'KEY…'. See 'cacheapi get --help'."
    assert "--nope" in program.fails("keys", "--nope", code=2)
    assert "No such command 'nope'" in program.fails("nope", code=2)
    assert program.fails("get", "a", "-s", "nope", code=2) == (
        "Service 'nope' does not exist; there are: cache."
    )
    assert "may not be empty" in program.fails("get", "", code=2)


def test_what_fails_is_one_line(program: Program) -> None:
    port = free_port()
    program.settings |= {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": "127.0.0.1",
        "MEMCACHED_PORT": str(port),
    }
    for arguments in (("get", "a"), ("set", "a", "1"), ("delete", "a"), ("flush", "--yes")):
        line = program.fails(*arguments, code=3)
        assert f"Connection refused: memcached at 127.0.0.1:{port} cannot be reached." in line
        assert line.rstrip().endswith("'cacheapi doctor' says what it may be.")
    for words, instead in {
        ("keys",): "'cacheapi get KEY'",
        ("delete", "--prefix", "a"): "by tag (--tag)",
        ("export", "x"): "on a file or on Redis",
    }.items():
        line = program.fails(*words, code=2)
        assert "cannot list its keys" in line
        assert instead in line
    program.settings["MEMCACHED_PORT"] = "x"
    assert program.fails("get", "a", code=3).startswith("MEMCACHED_PORT: 'x' is not allowed")


def test_an_unknown_service_is_one_mistake_everywhere(program: Program) -> None:
    line = "Service 'nope' does not exist; there are: cache."
    for arguments in (
        *(("get", "a"), ("set", "a", "1"), ("delete", "a"), ("keys",), ("flush", "--yes")),
        *(("stats",), ("export", "x"), ("import", "given.ndjson"), ("analyze",), ("tail",)),
    ):
        (program.directory / "given.ndjson").write_text('{"key":"k","value":1}\n')
        assert program.fails(*arguments, "-s", "nope", code=2) == line
    assert program.fails("services", "test", "nope", code=2) == line


# Every command that asks a service, or changes one or what is in it.
USING = (
    *("set a 1", "incr a --initial 1", "batch given.json", "import given.ndjson"),
    *("set a 1 -s nope", "import given.ndjson -s nope"),
    *("get a", "get a -s nope", "touch a", "ttl a", "incr a", "delete a", "delete --prefix a"),
    *("delete --tag t", "keys", "flush --yes", "stats --once", "stats --json", "tail --count 1"),
    *("tail --slowest", "tail -s cache", "audit", "analyze", "export x", "export -"),
    *(
        "services",
        "services list",
        "services show cache",
        "services types",
        "services test cache",
        "services edit cache --label x",
    ),
    *("services on cache", "services off cache", "services delete cache --yes"),
    *("api-key list", "api-key revoke 1", "explain shop http://x/"),
)
# Those that set up a service, and those that ask none.
SETTING_UP = {"serve", "services create", "api-key create"}
OTHERS = {"doctor", "completion"}


def test_each_command_is_tried_in_a_wrong_directory() -> None:
    names = {" ".join(path) for path in commands()} - {"", "api-key"}
    tried = {name for name in names if any(f"{each} ".startswith(f"{name} ") for each in USING)}
    assert names - tried == SETTING_UP | OTHERS


@pytest.mark.parametrize("directory", ["absent", "empty"])
@pytest.mark.parametrize("driver", ["file", "redis"])
def test_in_a_wrong_directory_nothing_is_made(
    program: Program, directory: str, driver: str
) -> None:
    place = program.directory / directory
    if directory == "empty":
        place.mkdir()
    program.settings |= {
        "CACHEAPI_DATA_DIR": str(place),
        "CACHE_DRIVER": driver,
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}",
    }
    del program.settings["CACHEAPI_API_KEY"]
    (program.directory / "given.json").write_text('[{"set": {"key": "a", "value": 1}}]')
    (program.directory / "given.ndjson").write_text('{"key":"a","value":1}\n')
    before = sorted(program.directory.rglob("*"))
    said = f"There is no service here: '{place}' is not there, or empty."
    for arguments in USING:
        if driver != "file" and arguments in ("export x", "import given.ndjson"):
            # They are begun, to be resumed.
            continue
        ended = program.run(*arguments.split())
        # A cache of another server needs no directory.
        assert ended.exit_code == 3, (arguments, ended.output)
        if driver == "file":
            assert ended.stderr.startswith(f"cacheapi: {said}"), arguments
            assert "name its CACHEAPI_DATA_DIR; 'cacheapi serve' starts a new one" in ended.stderr
        assert sorted(program.directory.rglob("*")) == before, arguments
    assert said in program("doctor", code=1 if driver == "file" else 3)
    assert sorted(program.directory.rglob("*")) == before
    if driver != "file":
        return
    # Who sets up a service wants it there, and is told that it is the first.
    ended = program.run("services", "create", "pages", "--type", "cache_local")
    assert ended.exit_code == 0
    assert f"cacheapi: No service was here before: '{place}' is new.\n" in ended.stderr
    program("set", "a", "1")
    assert program("get", "a") == "1\n"


def test_another_servers_cache_needs_no_directory(program: Program, redis_one: Redis) -> None:
    program.settings |= {
        "CACHE_DRIVER": "redis",
        "REDIS_URL": f"redis://127.0.0.1:{redis_one.port}",
        "CACHEAPI_DATA_DIR": "absent",
    }
    program.fails("get", "surely-absent", code=1)
    program("set", "a", "1")
    program("batch", "-", stdin=b'[{"increment": {"key": "a"}}]')
    assert program("get", "a") == "2\n"
    program("import", "-", stdin=b'{"key":"b","value":1}')
    program("flush", "--yes")
    assert not (program.directory / "absent").exists()


def test_a_bug_shows_where_it_is(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cacheapi.commands.listing.administration", lambda: 1 / 0)
    assert isinstance(program.run("services").exception, ZeroDivisionError)


def test_settings_come_from_the_file_of_the_directory_too(program: Program) -> None:
    (program.directory / ".env").write_text("CACHE_DRIVR=file\nCACHE_DEFAULT_TTL=x\n")
    assert "CACHE_DEFAULT_TTL: 'x'" in program.fails("keys", code=3)
    (program.directory / ".env").write_text("CACHE_DRIVR=file\n")
    assert "Did you mean 'CACHE_DRIVER'?" in program.run("keys").stderr


def test_a_foreign_data_directory_is_told(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("set", "a", "1")
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(program.directory / "data", 12345, 12345)
    # What root makes there is theirs.
    assert "belongs to" not in program.run("get", "a").stderr
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert "The data directory belongs to user 12345" in program.run("get", "a").stderr


def test_the_program_as_a_process(tmp_path: Path) -> None:
    begin(tmp_path)
    assert run(tmp_path, "set", "k", "-", stdin=b' {"a": [1, 2.50]} ').returncode == 0
    ended = run(tmp_path, "get", "k")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b'{"a": [1, 2.50]}\n', b"")
    ended = run(tmp_path, "get", "absent")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr == b"cacheapi: Key 'absent' does not exist.\n"
    assert run(tmp_path, "--version").stdout.startswith(b"cacheapi, version ")
    # No terminal: no colours, and nothing that moves.
    assert b"\x1b" not in run(tmp_path, "services", "test", "cache").stdout


def test_secrets_are_never_shown(tmp_path: Path, redis_locked) -> None:
    (tmp_path / "services.toml").write_text(
        '[[service]]\nname = "other"\ntype = "cache_redis"\n'
        f'config = {{ host = "127.0.0.1:{redis_locked.port}", password = "pl4nted-secret" }}\n'
    )
    settings = {"CACHEAPI_SERVICES_FILE": "services.toml", "CACHEAPI_API_KEY": "pl4nted-key"}
    for arguments in (
        ("services", "--json"),
        ("services",),
        ("services", "test", "other"),
        ("get", "a", "-s", "other"),
        ("api-key", "list"),
        ("doctor", "--all"),
        ("doctor", "--json"),
    ):
        ended = run(tmp_path, *arguments, **settings)
        assert b"pl4nted" not in ended.stdout + ended.stderr, arguments


def test_who_reads_may_stop_reading(tmp_path: Path) -> None:
    begin(tmp_path)
    lines = b"".join(b'{"key":"%d","value":1}\n' % number for number in range(20_000))
    assert run(tmp_path, "import", "-", stdin=lines).returncode == 0
    ended = subprocess.run(
        ["bash", "-c", f"{' '.join(COMMAND)} keys | head -n 1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=environ(tmp_path),
        capture_output=True,
        timeout=60,
    )
    assert ended.stdout.count(b"\n") == 1
    # As of a program that SIGPIPE ends, and not that the answer is no.
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("closed", "arguments", "code", "said"),
    [
        (0, ("get", "k"), 0, ""),
        (0, ("set", "k", "-"), 2, "The value is not valid JSON"),
        (0, ("flush",), 2, "Nobody can be asked here"),
        (0, ("batch",), 2, "There are no operations"),
        (0, ("import", "-"), 0, "Imported 0 entries."),
        (1, ("get", "k"), 3, "The output cannot be written: Bad file descriptor."),
        (1, ("services",), 3, "The output cannot be written: Bad file descriptor."),
        (1, ("set", "k", "2"), 0, ""),
        (2, ("get", "k"), 0, ""),
        (2, ("get", "absent"), 1, ""),
    ],
    ids=str,
)
def test_what_is_closed_is_no_bug(
    tmp_path: Path, closed: int, arguments: tuple[str, ...], code: int, said: str
) -> None:
    begin(tmp_path)
    assert run(tmp_path, "set", "k", "1").returncode == 0
    script = f'exec {closed}{"<" if closed == 0 else ">"}&-; exec "$@"'
    ended = subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND, *arguments],
        cwd=tmp_path,
        env=environ(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, said in ended.stderr) == (code, True), ended
    assert "Traceback" not in ended.stderr
    # Nothing was printed into a file that has the number of what was closed.
    assert run(tmp_path, "get", "k").returncode == 0


def test_slips_are_told_in_plain_words(program: Program) -> None:
    for arguments, said in (
        (("gte", "k"), "No such command 'gte'. Did you mean 'get'?"),
        (("nothing-near",), "No such command 'nothing-near'. See"),
        (("services", "creat", "x"), "No such command 'creat'. Did you mean 'create'?"),
        (("keys", "--limit", "x"), "'x' is not a whole number. See"),
        (("api-key", "revoke", "x"), "'x' is no ID; 'cacheapi api-key list' has them. See"),
        (("tail", "--min-ms", "x"), "'x' is not a number. See"),
        (("batch", "absent"), "No such file or directory. See"),
        (("completion",), "Choose from: bash, zsh, fish. See"),
    ):
        assert said in program.fails(*arguments, code=2), arguments


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    begin(tmp_path)
    assert run(tmp_path, "set", "k", "1").returncode == 0
    for arguments in (["get", "k"], ["export", "-"], ["keys", "--json"], ["services"]):
        with Path("/dev/full").open("wb") as full:
            ended = subprocess.run(
                [*COMMAND, *arguments],
                cwd=tmp_path,
                env=environ(tmp_path),
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
            )
        message = b"cacheapi: The output cannot be written: No space left on device.\n"
        assert (ended.returncode, ended.stderr) == (3, message), arguments


def test_ctrl_c_ends_it_in_one_line(tmp_path: Path, memcached_server: Memcached) -> None:
    # It waits for its stdin.
    process = subprocess.Popen(
        [*COMMAND, "import", "-"],
        cwd=tmp_path,
        env=environ(
            tmp_path,
            CACHE_DRIVER="memcached",
            MEMCACHED_HOST=f"127.0.0.1:{memcached_server.port}",
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    # Read at the latest when it has what it needs to store this.
    process.stdin.write(b'{"key":"of-ctrl-c","value":1}\n' * 600)
    process.stdin.flush()
    eventually(lambda: b"of-ctrl-c" in memcached_server.say(b"get of-ctrl-c\r\n"), 30)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (130, b"")
    # On a terminal, the line begins after the ^C.
    assert stderr == b"\ncacheapi: Interrupted.\n"
    assert Service.api_key not in stderr.decode()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("get x --url http://x", "It stands before the command: 'cacheapi --url URL get …'."),
        ("services list --key k", "before the command: 'cacheapi --key @FILE services list …'."),
        ("--service x get a", "It stands after the command: 'cacheapi COMMAND … --service'."),
        ("set x 1 --tll 5", "No such option '--tll'. Did you mean '--ttl'?"),
        # Was stored under this key.
        ("set --txt x", "No such option '--txt'. Did you mean '--text'?"),
        ("set x 1 --ex=60", "No such option '--ex'. A lifetime is given with --ttl."),
        ("set x 1 -t 60", "No such option '-t'. What begins so and is no option stands after '--'"),
        ("set x 1 --nx", "--add stores only if the key is not there yet."),
        ("incr x --initail 1", "Did you mean '--initial'?"),
        ("delete --match x*", "'cacheapi keys --match PATTERN -0 | xargs -0 cacheapi delete'"),
        ("get --prefix x", "'cacheapi keys' and 'cacheapi delete' have it."),
        ("flush --force", "--yes does not ask."),
        # Of no use where there is no --yes.
        ("get x --force", "No such option '--force'. See 'cacheapi get --help'."),
        ("keys a --prefix a", "Give the prefix once: as PREFIX, or with --prefix."),
        ("incr x 1 --by 2", "Give the number to add once: as N, or with --by."),
    ],
)
def test_an_option_that_there_is_not_leads_to_what_was_meant(
    program: Program, line: str, said: str
) -> None:
    assert said in program.fails(*line.split(), code=2)
    assert program.run("keys").stdout == ""


def test_what_begins_with_a_dash_may_be_a_value(program: Program) -> None:
    program("set", "a", "-5")
    program("set", "--text", "b", "-hello")
    program("set", "--tag", "--odd", "c", "1")
    program("set", "--text", "--", "--d", "--e")
    assert program("get", "a", "b", "c", "--", "--d").splitlines() == [
        *("a\t-5", 'b\t"-hello"', "c\t1", '--d\t"--e"'),
    ]
    assert program("incr", "a", "-3") == "-8\n"
    assert program("incr", "a", "--by", "-3") == "-11\n"
    assert program("incr", "a", "--by=2") == "-9\n"
    assert program("incr", "a") == "-8\n"
    assert program("keys", "--prefix", "b") == "b\n"


def test_tables_are_readable_on_a_narrow_terminal(program: Program) -> None:
    key = "web shop of a long name"
    rule = "cache:GET,POST,PUT:shop:*"
    program("services", "create", "sessions", "--type", "cache_local", "--label", "Sessions")
    program("api-key", "create", key, "--rule", rule, "--expires", "2030-01-31T12:00:00Z")
    program("set", "user:1", "1", "--ttl", "1h")
    line = "; ".join(f"{shlex.join(COMMAND)} {each}" for each in NARROW)
    _, shown = on_terminal(
        *(program.directory, "-c", line),
        until=lambda _: False,
        width=60,
        program=("sh",),
        **program.settings,
    )
    shown = re.sub(r"\x1b\[\d*m", "", shown).replace("\r\n", "\n")
    assert max(map(len, shown.splitlines())) <= 60
    assert "sessions\n  TYPE   cache_local\n  FROM   database\n  STATE  switched on\n" in shown
    assert f"1\n  NAME       {key}\n" in shown
    assert "  MAY        cache:GET,POST,PUT:shop:*\n" in shown
    assert "  DID     created\n  WHAT    service 1\n  NAME    sessions\n" in shown
    # A sentence goes on below where it began.
    assert re.search(r"^  MEANING  The embedded cache file [^\n]+\n {11}\w", shown, re.MULTILINE)
    # What has room stays a table.
    table = r"^LEFT +VALUE  KIND    KEY\n[\dhms ]+ 1 B  value   user:1\n"
    assert re.search(table, shown, re.MULTILINE)


NARROW = ("services", "services types", "api-key list", "audit", "keys --details")
