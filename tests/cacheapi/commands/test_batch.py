"""``cacheapi batch``, ``set --tag`` and ``delete --tag``, here and elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cacheapi.commands.batch as module
from tests.cacheapi.commands.conftest import Program
from tests.cacheapi.commands.test_elsewhere import anywhere, live  # noqa: F401 (fixtures)
from tests.support.processes import free_port

LINES = b"""\
{"set": {"key": "a", "value": {"x": 1.50}, "ttl": 60}}

{"get": "a"}
{"increment": {"key": "n", "by": 2, "initial": 2}}
{"get": "absent"}
"""
OUTCOMES = [
    {"key": "a", "success": True},
    {"key": "a", "value": {"x": 1.5}, "success": True, "exists": True},
    {"key": "n", "success": True, "value": 2},
    {"key": "absent", "success": True, "exists": False},
]


def test_operations_are_done_in_order(anywhere: Program, tmp_path: Path) -> None:  # noqa: F811
    shown = anywhere("batch", stdin=LINES)
    assert [json.loads(line) for line in shown.splitlines()] == OUTCOMES
    # To the letter.
    assert '{"x": 1.50}' in shown
    array = b"[" + b",".join(LINES.split(b"\n")[3:5]) + b"]"
    for text in (array, b'{"operations": ' + array + b"}"):
        (tmp_path / "some.json").write_bytes(text)
        told = json.loads(anywhere("batch", str(tmp_path / "some.json"), "--json"))
        assert [each["key"] for each in told["resource"]] == ["n", "absent"]


def test_what_is_not_done_is_an_exit_code(anywhere: Program) -> None:  # noqa: F811
    given = b'[{"replace": {"key": "absent", "value": 1}}, {"set": {"key": "b", "value": 2}}]'
    ended = anywhere.run("batch", stdin=given)
    assert ended.exit_code == 1
    assert [json.loads(line)["success"] for line in ended.stdout.splitlines()] == [False, True]
    assert "1 of 2 not done." in ended.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "There are no operations"),
        (b"[]", "There are no operations"),
        (b"nonsense", "Line 1 is no JSON"),
        (b'{"get": "a"}\n{"get"', "Line 2 is no JSON"),
        (b"[1,", "no JSON array"),
        (b'{"get": "a", "delete": "a"}', "Item 0"),
        (b'{"steal": "a"}', "Item 0"),
        (b'{"set": {"key": "a"}}', "value"),
    ],
)
def test_what_is_no_operation_is_told(
    anywhere: Program,  # noqa: F811
    given: bytes,
    said: str,
) -> None:
    assert said in anywhere.fails("batch", code=2, stdin=given)


@pytest.mark.parametrize("given", [b"", b"nonsense"])
def test_a_service_that_there_is_not_is_told_first(program: Program, given: bytes) -> None:
    program("set", "a", "1")
    ended = program.fails("batch", "--service", "nosuch", code=2, stdin=given)
    assert ended == "Service 'nosuch' does not exist; there are: cache."


def test_many_go_in_parts(anywhere: Program, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(module, "AT_ONCE", 2)
    lines = [b'{"set": {"key": "k%d", "value": %d}}' % (number, number) for number in range(5)]
    told = json.loads(anywhere("batch", "--json", stdin=b"\n".join(lines)))
    assert [each["key"] for each in told["resource"]] == [f"k{number}" for number in range(5)]
    # What came before a wrong one is done.
    ended = anywhere.run("batch", stdin=b'{"delete":"k0"}\n{"delete":"k1"}\n{"no":1}')
    assert ended.exit_code == 2
    assert len(ended.stdout.splitlines()) == 2
    anywhere("get", "k0", code=1)


def test_a_cache_that_is_away_is_a_failure_with_the_outcomes(program: Program) -> None:
    program.settings |= {"CACHE_DRIVER": "redis", "REDIS_PORT": str(free_port())}
    ended = program.run("batch", stdin=LINES)
    assert ended.exit_code == 3
    assert len(ended.stdout.splitlines()) == 4
    assert "Connection refused" in ended.stderr


def test_what_is_tagged_goes_together(anywhere: Program) -> None:  # noqa: F811
    anywhere("set", "one", "1", "--tag", "article:7", "--tag", "pages")
    anywhere("set", "two", "2", "--tag", "pages", "--add")
    anywhere("set", "three", "3")
    anywhere("set", "three", "4", "--replace", "--tag", "article:7")
    anywhere("delete", "--tag", "article:7")
    told = anywhere.json("get", "one", "two", "three", code=1)
    assert told["meta"]["missing"] == ["one", "three"]
    assert anywhere.json("delete", "--tag", "pages", "--tag", "more") == {"success": True}
    anywhere("get", "two", code=1)
    assert "--tag" in anywhere.fails("set", "k", "1", "--tag", "a b", code=2)
    assert "--tag" in anywhere.fails("delete", "--tag", " ", code=2)
    assert "not both" in anywhere.fails("delete", "k", "--tag", "a", code=2)
