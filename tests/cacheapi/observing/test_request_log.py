"""The line of a request: what it says, of which requests, and what it never says."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

import pytest

from cacheapi import SettingsError, load
from cacheapi.observing.request_log import Answered, RequestLog

SECRET = "an-API-key"


class Lines(RequestLog):
    """A log that keeps its lines."""

    def __init__(self, successes: float | None = 1.0, **more: Any) -> None:
        self.lines: list[str] = []
        options = {"as_json": False, "keys": "off", **more}
        super().__init__(
            successes, is_secret=lambda text: text == SECRET, write=self.lines.append, **options
        )

    def say(self, answered: Answered) -> None:
        if self.takes(answered.status, is_for_cache=bool(answered.service)):
            self.note(answered)


def answered(status: int = 200, service: str = "cache", **more: Any) -> Answered:
    fields = {
        "request_id": "id-1",
        "method": "GET",
        "route": "/api/v2/{service}/{key}",
        "service": service,
        "key": "user:1",
        "status": status,
        "size": 12,
        "started": time.monotonic(),
        "lane": "fast",
        "client": "192.0.2.7",
    }
    return Answered(**{**fields, **more})


def test_a_line_of_text_has_names_and_numbers() -> None:
    log = Lines()
    log.note(answered(started=time.monotonic() - 1))
    log.note(answered(400, "", request_id="", method="", route="", lane=""))
    first, second = log.lines
    assert re.fullmatch(
        r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z request_id=id-1 client=192\.0\.2\.7 "
        r"method=GET route=/api/v2/\{service\}/\{key\} service=cache status=200 ms=\d+\.\d+ "
        r"bytes=12 lane=fast",
        first,
    )
    assert "request_id=- client=192.0.2.7 method=- route=- service=- status=400" in second


def test_a_line_of_json_has_the_same() -> None:
    log = Lines(as_json=True)
    log.note(answered())
    (line,) = log.lines
    document = json.loads(line)
    assert list(document) == [
        *("time", "request_id", "client", "method", "route", "service", "status", "ms"),
        *("bytes", "lane"),
    ]
    assert document["status"] == 200
    assert document["ms"] >= 0


@pytest.mark.parametrize("as_json", [False, True])
def test_a_key_is_left_out_or_hashed(as_json: bool) -> None:
    left_out, hashed = Lines(as_json=as_json), Lines(as_json=as_json, keys="hash")
    for log in (left_out, hashed):
        log.note(answered())
        assert "user:1" not in log.lines[0]
    assert "0c03ef29b2e61d1e" not in left_out.lines[0]
    assert "key" in hashed.lines[0].replace("{key}", "")
    hashed.note(answered(key=None))
    assert "key" not in hashed.lines[1].replace("{key}", "")


@pytest.mark.parametrize(
    ("setting", "lines"), [("off", None), ("errors", (0, 40)), ("all", (1000, 40)), ("0.5", None)]
)
def test_which_requests_get_a_line(setting: str, lines: tuple[int, int] | None) -> None:
    successes = load({"CACHEAPI_ACCESS_LOG": setting}, None)["CACHEAPI_ACCESS_LOG"]
    log = Lines(successes)
    assert log.is_on is (setting != "off")
    if setting == "off":
        return
    for _ in range(500):
        log.say(answered(200))
        # A key that is absent is an answer of the cache.
        log.say(answered(404))
    found = len(log.lines)
    for status in (400, 401, 500, 503):
        for _ in range(10):
            log.say(answered(status))
    errors = len(log.lines) - found
    if lines is None:
        assert 300 < found < 700
        assert errors == 40
    else:
        assert (found, errors) == lines
    log.say(answered(404, service=""))
    assert len(log.lines) == found + errors + 1


@pytest.mark.parametrize("text", ["-0.1", "1.1", "sometimes", "nan", "inf"])
def test_a_part_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="CACHEAPI_ACCESS_LOG"):
        load({"CACHEAPI_ACCESS_LOG": text}, None)


@pytest.mark.parametrize("given", ["a", "A-z_0.9", "x" * 64])
def test_a_plain_id_is_taken(given: str) -> None:
    assert Lines().request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", 'a"b', "a\nb", "é", "a=b", SECRET])
def test_any_other_id_is_replaced(given: str | None) -> None:
    log = Lines()
    first, second = log.request_id(given), log.request_id(given)
    assert first != second
    assert first != given
    assert log.request_id(first) == first


def test_a_process_that_forks_makes_other_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Lines()
    first = log.request_id(None)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert log.request_id(None).partition("-")[0] != first.partition("-")[0]


def test_lines_may_go_elsewhere() -> None:
    log, lines = Lines(None), []
    assert not log.is_on
    log.go_to(lines.append)
    log.say(answered())
    assert len(lines) == 1
    sampled = Lines(0.0)
    sampled.go_to(lines.append)
    sampled.say(answered())
    assert len(lines) == 1


def test_a_key_is_told_where_the_log_may_have_it() -> None:
    text, as_json = Lines(keys="plain"), Lines(keys="plain", as_json=True)
    for log in (text, as_json):
        log.note(answered(key='a "b"\nc=d/\u00e9:1'))
        log.note(answered(key="x" * 300))
        # An API key is in no line, whoever put it where.
        log.note(answered(key=SECRET))
        assert SECRET not in log.lines[2]
    assert text.lines[0].endswith(" key=a%20%22b%22%0Ac%3Dd/%C3%A9:1")
    assert json.loads(as_json.lines[0])["key"] == 'a "b"\nc=d/\u00e9:1'
    assert json.loads(as_json.lines[1])["key"] == "x" * 200 + "\u2026"
    assert "key" not in json.loads(as_json.lines[2])
