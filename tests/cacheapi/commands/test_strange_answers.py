"""What answers at ``--url`` may be anything: each command ends with one line."""

from __future__ import annotations

import copy
import http.client
import json
import random
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from cacheapi.commands import tail
from cacheapi.commands.elsewhere import Elsewhere
from cacheapi.commands.given_key import read_key
from cacheapi.commands.main import cacheapi
from cacheapi.commands.refusals import Refused, message_of

Path_ = tuple[str | int, ...]

FIGURES: Final = {"curr_items": 1, "get_hits": 1, "get_misses": 2, "bytes": 5, "uptime": 7}
GROUP: Final = {"keys": 1, "bytes": 9, "share": 0.5, "lifetimes": {"minute": 1, "forever": 0}}
SERVICE: Final = {
    "id": 1,
    "name": "s",
    "type": "cache_local",
    "label": "",
    "description": "",
    "config": {},
    "is_active": True,
    "source": "database",
    "aliases": ["t"],
    "fault": None,
    "warnings": [],
}
TRIAL: Final = {
    "success": False,
    "cause": "c",
    "steps": [{"name": "connect", "success": False, "ms": 1.5, "message": "m"}],
}
KEY: Final = {
    "id": 1,
    "name": "n",
    "prefix": "ca_",
    "administrator": False,
    "created": "2026",
    "rules": [{"service": "*", "verbs": ["GET"], "keys": "*"}],
    "expires": None,
    "rate_limit": {"requests": 1, "seconds": 2},
    "last_used": None,
}
REQUEST: Final = {
    "time": 1.5,
    "method": "GET",
    "status": 200,
    "ms": 1.5,
    "lane": "fast",
    "bytes": 1,
    "service": "s",
    "route": "/api/v2/s",
    "key": None,
}
ACT: Final = {
    "time": 1.5,
    "who": "w",
    "caller": "c",
    "action": "created",
    "kind": "service",
    "id": 1,
    "name": "n",
    "detail": "d",
}
DONE: Final = {"success": True}

# Each command, and a right answer to what it asks.
COMMANDS: Final[dict[tuple[str, ...], Any]] = {
    ("get", "k", "--text"): {"resource": [{"key": "k", "value": "a"}], "meta": {"missing": []}},
    ("get", "k", "--raw"): {"resource": [{"key": "k", "value": "YQ==", "encoding": "base64"}]},
    ("set", "k", "1"): {"resource": [{"key": "k", **DONE}]},
    ("set", "k", "1", "--add"): {"key": "k", **DONE},
    ("touch", "k", "--ttl", "1h"): {"key": "k", **DONE, "exists": True, "ttl": 3600.0},
    ("ttl", "k"): {"key": "k", "exists": True, "ttl": 5.5},
    ("incr", "k"): {"key": "k", "value": 5},
    ("delete", "k"): {"resource": [{"key": "k", **DONE}]},
    ("delete", "--prefix", "k"): {**DONE, "deleted": 5},
    ("delete", "--tag", "t"): DONE,
    ("flush", "--yes"): DONE,
    ("batch", "b"): {"resource": [{"key": "k", **DONE}]},
    ("keys",): {"resource": [{"key": "k"}], "meta": {"next": None}},
    ("keys", "--details"): {
        "resource": [{"key": "k", "ttl": 5.5, "bytes": 5, "kind": "value"}],
        "meta": {"next": None},
    },
    ("stats", "--once"): {
        "name": "s",
        "type": "t",
        "stats": FIGURES,
        "servers": [{"server": "a", "stats": FIGURES, "error": None, "raw": {}}],
        "advice": [{"rule": "r", "message": "m"}],
    },
    ("analyze",): {
        "name": "s",
        "type": "t",
        "complete": True,
        "looked_at": 1,
        "held": 2,
        "own": {"keys": 1, "bytes": 1},
        **GROUP,
        "prefixes": [{"prefix": "a:", **GROUP}],
        "largest": [{"key": "k", "bytes": 9, "ttl": None}],
        "notes": ["n"],
    },
    ("services",): {"resource": [SERVICE], "meta": {"next": None}},
    ("services", "test", "s"): TRIAL,
    ("services", "types"): {
        "resource": [
            {
                "name": "cache_local",
                "config_schema": [
                    {"name": "f", "label": "F", "type": "integer", "description": "d", "unit": "s"}
                ],
            }
        ]
    },
    ("services", "off", "s"): SERVICE,
    ("services", "edit", "s", "--label", "x"): SERVICE,
    ("services", "edit", "s", "--label", "x", "--test"): TRIAL,
    ("services", "delete", "s", "--yes"): {**SERVICE, **DONE},
    ("services", "create", "s", "--type", "cache_local"): {
        "resource": [{"name": "cache_local", "config_schema": [], "id": 1, "warnings": ["w"]}]
    },
    ("api-key", "list"): {"resource": [KEY], "meta": {"next": None}},
    # What it is answered first is its key, then the list of services.
    ("api-key", "create", "n", "--rule", "s:GET"): {
        "resource": [{**SERVICE, "api_key": "ca_x"}],
        "meta": {"next": None},
    },
    ("api-key", "revoke", "1"): DONE,
    ("tail", "--count", "1"): {"resource": [REQUEST], "meta": {"next": "c", "left_out": 2}},
    ("tail", "--service", "s", "--slowest"): {**SERVICE, "resource": [REQUEST]},
    ("audit",): {"resource": [ACT], "meta": {"next": None, "machine": "m", "whole": False}},
}
# What may stand anywhere instead. A date has an end, and so has a float.
OTHERS: Final = (
    *(None, True, 0, -1, 10**30, 1e308, 2.5, "", "x\x1b[2J", [], {}, [5], {"a": 5}),
    *([None], ["x"]),
)
ABSENT: Final = object()
# What is changed of each answer, by chance.
EACH: Final = 100


def places(document: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield where something stands in a document."""
    if path:
        yield path
    if isinstance(document, dict):
        for name, inner in document.items():
            yield from places(inner, (*path, name))
    elif isinstance(document, list):
        for index, inner in enumerate(document):
            yield from places(inner, (*path, index))


def changed(document: Any, path: Path_, other: Any) -> Any:
    """Return a document with something else at a place."""
    made = copy.deepcopy(document)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    if other is ABSENT:
        del inner[path[-1]]
    else:
        inner[path[-1]] = other
    return made


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bytes]:
    """What every request is answered with: the last of these."""
    bodies = [b""]
    asked = []

    def call(place: Elsewhere, *_: Any, **__: Any) -> tuple[bytes, Message]:
        asked.append(place)
        # A list that never ends is no end of a command either.
        assert len(asked) < 20_000
        return bodies[-1], http.client.HTTPMessage()

    monkeypatch.setattr(Elsewhere, "call", call)
    monkeypatch.setattr(tail, "EVERY_SECONDS", 0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").write_text('{"set": {"key": "k", "value": 1}}\n')
    return bodies


def run(command: tuple[str, ...]) -> Result:
    return CliRunner().invoke(cacheapi, ["--url", "http://h", "--key", "k", *command])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_shape_of_an_answer_is_a_bug_of_the_command(
    answered: list[bytes], command: tuple[str, ...]
) -> None:
    right = COMMANDS[command]
    answered.append(json.dumps(right).encode())
    ended = run(command)
    # A trial that failed is one of them.
    assert ended.exit_code == (3 if right is TRIAL else 0), (ended.output, ended.exception)
    chosen = random.Random(" ".join(command))
    wrong: list[Any] = [[], 5, None, "x", {}, {"resource": 5}, {"resource": [{}], "meta": {}}]
    every = [(path, other) for path in places(right) for other in (ABSENT, *OTHERS)]
    wrong += [changed(right, *each) for each in chosen.sample(every, min(EACH, len(every)))]
    bodies = [json.dumps(each).encode() for each in wrong]
    bodies += [b"", b"<html>", b"\xff", b'{"resource":', b"[" * 100_000, b'{"a":1e999}']
    # A string of it that is no text.
    bodies += [json.dumps(right).encode().replace(b'"}', b'\xff"}').replace(b'"k"', b'"k\xff"')]
    bodies += [json.dumps(right).encode().replace(b"{", b'{"new":"\xff",', 2)]
    for body in bodies:
        answered.append(body)
        for more in ((), ("--json",)):
            if more and "--raw" in command:
                continue
            if command[:2] == ("tail", "--count") and b'"resource": []' in body:
                # It waits for more.
                continue
            ended = run((*command, *more))
            told = (body[:300], ended.exception, ended.stderr)
            assert isinstance(ended.exception, SystemExit | None), told
            assert ended.exit_code in (0, 1, 2, 3), told
            assert "\x1b" not in ended.stderr, told
            if ended.exit_code == 3 and "something else" in ended.stderr:
                assert ended.stderr.splitlines()[-1].startswith("cacheapi: http://h is "), told


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b'{"error":5}', b'{"error":{"message":5}}', b"[" * 100_000, b"\xff"],
)
def test_no_text_of_an_error_is_a_bug_of_the_command(body: bytes) -> None:
    assert message_of(body) is None
    refused = Refused(500, "m", body)
    assert (refused.done, refused.reason, refused.plain) == (None, "", refused)


@pytest.mark.parametrize(
    "context",
    [
        *(
            "null",
            "5",
            "[]",
            "{}",
            '{"errors":5}',
            '{"errors":[5]}',
            '{"errors":[{}]}',
            '{"reason":5}',
        )
    ],
)
def test_no_context_of_an_error_is_a_bug_of_the_command(context: str) -> None:
    body = f'{{"error":{{"message":"m","context":{context}}}}}'.encode()
    assert message_of(body) == "m"
    refused = Refused(400, "m", body)
    assert (refused.reason, refused.plain) == ("", refused)


def test_the_text_of_an_error_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*_: Any, **__: Any) -> None:
        raise Refused(403, "no\x1b[2J\nmore")

    monkeypatch.setattr(Elsewhere, "call", call)
    ended = run(("get", "k"))
    assert (ended.exit_code, ended.stderr) == (3, "cacheapi: no\\u001b[2J more\n")


@pytest.mark.parametrize("key", ["", " ", "a\nb", "é", "@empty", "@binary"])
def test_what_is_no_api_key_is_wrong_use(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert read_key(" k\n").text == "k"
    ended = CliRunner().invoke(cacheapi, ["--url", "http://h", "--key", key, "get", "x"])
    assert (ended.exit_code, "has no API key" in ended.stderr) == (2, True), ended.stderr
