"""Moments are in UTC, and say so, wherever the machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cacheapi.moments import LATEST, moment_or_none, moment_text, time_ms_text, time_text


@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/New_York"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_zone")
def test_a_moment_is_in_utc() -> None:
    assert moment_text(1924995599.982) == "2031-01-01T00:59:59Z"
    assert moment_text(0) == "1970-01-01T00:00:00Z"
    assert time_text(1924995599.982) == "00:59:59Z"
    assert time_ms_text(1924995599.982) == "00:59:59.982Z"
    assert time_ms_text(0) == "00:00:00.000Z"


def test_after_the_last_one_there_is_none() -> None:
    for when in (LATEST, LATEST + 0.5, 2**53):
        assert moment_text(when) == "9999-12-31T23:59:59Z"
    assert moment_or_none(None) is None
    assert moment_or_none(LATEST) == "9999-12-31T23:59:59Z"
