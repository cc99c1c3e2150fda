"""API keys: where they come from and how they are shown."""

from __future__ import annotations

import logging
import multiprocessing
import stat
import threading
from pathlib import Path

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from cacheapi import SettingsError, load
from cacheapi.registry.callers import Callers
from cacheapi.registry.environment import callers, key_file, load_keys, origin_of_keys
from cacheapi.registry.snapshot import Snapshot
from cacheapi.web.auth import HEADER, admit, shown_key, without_key
from cacheapi.web.errors import ApiError


def make_request(headers: dict[str, str] | None = None, query: str = "") -> Request:
    return Request(EnvironBuilder(headers=headers or {}, query_string=query).get_environ())


def snapshot(*keys: str, is_complete: bool = True) -> Snapshot:
    return Snapshot({}, {}, Callers(callers(keys)), is_complete=is_complete)


def settings(directory: Path, **more: str):
    return load({"CACHEAPI_DATA_DIR": str(directory), **more}, None)


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({}, "", ""),
        ({HEADER: "h"}, "", "h"),
        ({}, "api_key=p", "p"),
        ({"Authorization": "Bearer b"}, "", "b"),
        ({"Authorization": "bearer   b "}, "", "b"),
        ({"Authorization": "Basic b"}, "", ""),
        ({"Authorization": "Bearer"}, "", ""),
        ({"Authorization": "b"}, "", ""),
        ({HEADER: "h", "Authorization": "Bearer b"}, "api_key=p", "h"),
        ({"Authorization": "Bearer b"}, "api_key=p", "p"),
        ({HEADER: "", "Authorization": "Bearer b"}, "api_key=", "b"),
        ({}, "api_key=p%20q", "p q"),
    ],
)
def test_the_key_that_a_request_shows(headers: dict[str, str], query: str, key: str) -> None:
    assert shown_key(make_request(headers, query)) == key


@pytest.mark.parametrize("key", ["one", "two"])
def test_each_key_of_the_environment_is_an_administrator(key: str) -> None:
    caller = admit(make_request({HEADER: key}), None, snapshot("one", "two"))
    assert caller is not None
    assert caller.administrator
    assert caller.number is None
    assert key not in caller.name


@pytest.mark.parametrize(
    ("headers", "query", "message"),
    [
        ({}, "", "No API key"),
        ({HEADER: "three"}, "", "not valid"),
        ({HEADER: "One"}, "", "not valid"),
        ({HEADER: "one,two"}, "", "not valid"),
        ({HEADER: "cl\xe9"}, "", "not valid"),
        ({}, "api_key=%FF%FE", "not valid"),
        ({}, "api_key=%ED%A0%80", "not valid"),
    ],
)
def test_other_keys_are_401(headers: dict[str, str], query: str, message: str) -> None:
    with pytest.raises(ApiError, match=message) as raised:
        admit(make_request(headers, query), None, snapshot("one", "two"))
    assert raised.value.status == 401
    assert raised.value.headers == {"WWW-Authenticate": 'Bearer realm="cacheapi"'}


def test_without_keys_nobody_is_admitted() -> None:
    with pytest.raises(ApiError):
        admit(make_request({HEADER: "x"}), None, snapshot())


def test_a_key_that_may_be_one_of_a_database_not_read_yet_is_no_401() -> None:
    unread = snapshot("one", is_complete=False)
    assert admit(make_request({HEADER: "one"}), None, unread) is not None
    with pytest.raises(ApiError) as raised:
        admit(make_request({HEADER: "two"}), None, unread)
    assert raised.value.status == 500
    assert raised.value.headers == {"Retry-After": "1"}
    with pytest.raises(ApiError) as raised:
        admit(make_request(), None, unread)
    assert raised.value.status == 401


def test_an_open_view_needs_no_key() -> None:
    @without_key
    def view() -> None: ...

    assert admit(make_request(), view, snapshot("one")) is None
    with pytest.raises(ApiError):
        admit(make_request(), lambda: None, snapshot("one"))


def test_configured_keys_make_no_file(tmp_path: Path) -> None:
    assert load_keys(settings(tmp_path, CACHEAPI_API_KEY="a,b")) == ("a", "b")
    assert list(tmp_path.iterdir()) == []


def test_an_api_key_of_the_settings_is_called_by_where_it_stands(tmp_path: Path) -> None:
    def names(given: dict[str, str]) -> list[str]:
        read = settings(tmp_path / "var", **given)
        found = callers(load_keys(read), origin_of_keys(read))
        return [caller.name for caller in found.values()]

    assert names({"CACHEAPI_API_KEY": "a"}) == ["CACHEAPI_API_KEY"]
    assert names({"CACHEAPI_API_KEY": "a,b"}) == [
        "CACHEAPI_API_KEY, key 1",
        "CACHEAPI_API_KEY, key 2",
    ]
    assert names({}) == ["var/api-key"]


def test_a_key_is_made_once_and_kept_private(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = settings(tmp_path / "new" / "data")
    (key,) = load_keys(given)
    assert load_keys(given) == (key,)
    path = key_file(given)
    assert path == tmp_path / "new" / "data" / "api-key"
    assert path.read_text() == f"{key}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["api-key"]
    assert len(key) >= 32
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert key not in caplog.text


def test_two_services_have_two_keys(tmp_path: Path) -> None:
    assert load_keys(settings(tmp_path / "a")) != load_keys(settings(tmp_path / "b"))


def test_threads_at_once_make_one_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for attempt in range(10):
        caplog.clear()
        given = settings(tmp_path / str(attempt))
        start = threading.Barrier(8)
        found: list[object] = []

        def make(given=given, start=start, found=found) -> None:
            start.wait()
            try:
                found.append(load_keys(given))
            except SettingsError as error:
                found.append(error)

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [(key_file(given).read_text().strip(),)] * 8
        assert len(caplog.records) == 1
        assert [entry.name for entry in (tmp_path / str(attempt)).iterdir()] == ["api-key"]


def _make_key(directory: str, barrier, results) -> None:
    given = settings(Path(directory))
    barrier.wait(20)
    results.put(load_keys(given))


def test_processes_at_once_make_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(8), context.Queue()
    processes = [
        context.Process(target=_make_key, args=(str(tmp_path), barrier, results)) for _ in range(8)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    results.close()
    results.join_thread()
    assert set(found) == {((tmp_path / "api-key").read_text().strip(),)}
    assert [entry.name for entry in tmp_path.iterdir()] == ["api-key"]


def test_an_empty_key_file_is_an_error_and_no_open_door(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("\n")
    with pytest.raises(SettingsError, match=r"api-key' does not hold one API key .*; delete it"):
        load_keys(settings(tmp_path))


def test_a_data_directory_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"^CACHEAPI_DATA_DIR: .*file/api-key"):
        load_keys(settings(tmp_path / "file"))


def test_a_data_directory_that_may_not_be_written_is_an_error() -> None:
    # Nobody may make a directory there, not even root.
    with pytest.raises(SettingsError) as raised:
        load_keys(settings(Path("/proc/nothing")))
    message = str(raised.value)
    assert message.startswith("CACHEAPI_DATA_DIR: the API key cannot be kept in '/proc/nothing/")
    assert "a directory that the service may write to" in message
    assert "\n" not in message
