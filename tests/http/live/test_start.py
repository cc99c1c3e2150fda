"""How the service starts: what it refuses, what it makes, what it says."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Service, eventually, free_port, service

MADE = "made an API key"


def environ(data_dir: Path, **settings: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CACHE", "MEMCACHED_"))
        and name not in ("HOST", "PORT", "WEB_CONCURRENCY")
    }
    return kept | {"CACHEAPI_DATA_DIR": str(data_dir), "PORT": str(free_port()), **settings}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"CACHE_DRIVER": "nonsense"}, ["CACHE_DRIVER", "'nonsense'", "file", "redis"]),
        ({"CACHE_DEFAULT_TTL": "-1"}, ["CACHE_DEFAULT_TTL", "'-1'", "from 0 to"]),
        ({"CACHE_DEFAULT_TTL": "abc"}, ["CACHE_DEFAULT_TTL", "'abc'", "a whole number"]),
        ({"PORT": "0"}, ["PORT", "'0'", "from 1 to 65535"]),
        ({"WEB_CONCURRENCY": "0"}, ["WEB_CONCURRENCY", "'0'", "from 1 to"]),
        (
            {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": "a:b:c"},
            ["MEMCACHED_HOST", "'a:b:c'", "host:port:weight"],
        ),
        (
            {"CACHE_DRIVER": "memcached", "MEMCACHED_USERNAME": "user@realm"},
            ["MEMCACHED_USERNAME", "MEMCACHED_PASSWORD", "both"],
        ),
        (
            {"CACHE_DRIVER": "memcached", "MEMCACHED_PASSWORD": "s3cret-7391"},
            ["MEMCACHED_USERNAME", "MEMCACHED_PASSWORD", "both"],
        ),
        (
            {"CACHE_DRIVER": "redis", "REDIS_URL": "http://:s3cret-7391@redis/0"},
            ["REDIS_URL", "rediss://"],
        ),
        (
            {"CACHE_DRIVER": "redis", "REDIS_SENTINEL_HOST": "one,,two"},
            ["REDIS_SENTINEL_HOST", "'one,,two'", "host:port"],
        ),
        (
            {"CACHE_DRIVER": "redis", "REDIS_HOST": "one,two"},
            ["REDIS_HOST", "REDIS_CLUSTER=true"],
        ),
        ({"CACHE_DRIVER": "redis", "REDIS_TLS": "maybe"}, ["REDIS_TLS", "true or false"]),
        (
            {"CACHE_DRIVER": "redis", "REDIS_ALLOW_FLUSHDB": "true"},
            ["REDIS_ALLOW_FLUSHDB", "empty REDIS_PREFIX"],
        ),
        ({"CACHEAPI_DATA_DIR": "{file}"}, ["CACHEAPI_DATA_DIR", "'{file}'", "directory"]),
        ({"CACHEAPI_API_KEY": "s3cret-7391 \u00e9"}, ["CACHEAPI_API_KEY", "printable ASCII"]),
        ({"CACHEAPI_MAX_BODY_MB": "1.5"}, ["CACHEAPI_MAX_BODY_MB", "'1.5'", "from 1 to"]),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    tmp_path: Path, settings: dict[str, str], named: list[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    given = {name: value.replace("{file}", str(file)) for name, value in settings.items()}
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "wsgi:app"],
        cwd=REPOSITORY,
        env=environ(tmp_path / "data", **given),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    (line,) = (ended.stdout + ended.stderr).splitlines()
    for text in named:
        assert text.replace("{file}", str(file)) in line
    assert "s3cret-7391" not in line


@pytest.mark.parametrize("kept", [b"", b"\xff\xfe", b"two words\n", b"one\ntwo\n"])
def test_a_key_file_that_holds_no_key_stops_the_start_with_one_line(
    tmp_path: Path, kept: bytes
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "api-key").write_bytes(kept)
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "wsgi:app"],
        cwd=REPOSITORY,
        env=environ(data),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert str(data / "api-key") in line


def test_a_misspelt_setting_is_a_warning_with_a_suggestion(tmp_path: Path) -> None:
    with service(tmp_path, WEB_CONCURRENCY="1", CACHE_DEFUALT_TTL="5") as live:
        assert call(live.port, "GET", "/api/v2/").status == 200
        (line,) = [
            line for line in live.log.read_text().splitlines() if "CACHE_DEFUALT_TTL" in line
        ]
    assert "WARNING" in line
    assert "Did you mean 'CACHE_DEFAULT_TTL'?" in line


def test_the_first_start_makes_a_key_and_says_so_once(tmp_path: Path) -> None:
    settings = {"CACHEAPI_API_KEY": "", "WEB_CONCURRENCY": "2"}
    with service(tmp_path, **settings) as live:
        path = tmp_path / "data" / "api-key"
        key = path.read_text().strip()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(key) >= 32
        for _ in range(20):
            assert call(live.port, "GET", "/api/v2/", key=key).status == 200
            assert call(live.port, "GET", "/api/v2/", key=f"{key}x").status == 401
        said = [line for line in live.log.read_text().splitlines() if MADE in line]
        assert len(said) == 1
        assert str(path) in said[0]
        assert live.stop() == 0
        live.start()
        assert call(live.port, "GET", "/api/v2/", key=key).status == 200
        log = live.log.read_text()
        assert log.count(MADE) == 1
        assert key not in log
        assert list(path.parent.glob("api-key*")) == [path]


def curl_lines(live: Service) -> list[str]:
    """Return the commands of the banner, from the log."""

    def printed() -> list[str]:
        lines = live.log.read_text().splitlines()
        return [line.strip() for line in lines if line.startswith("  curl ")]

    eventually(lambda: len(printed()) == 2)
    return printed()


def run(command: str) -> object:
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", ["data", "with a space", "the user's", 'a $HOME `of` "it"'])
def test_the_two_commands_of_the_banner_work_as_printed(tmp_path: Path, name: str) -> None:
    settings = {
        "CACHEAPI_API_KEY": "",
        "WEB_CONCURRENCY": "1",
        "CACHEAPI_DATA_DIR": str(tmp_path / name),
    }
    with service(tmp_path, **settings) as live:
        store, read = curl_lines(live)
        assert run(store) == {"resource": [{"key": "greeting", "success": True}]}
        assert run(read) == {"key": "greeting", "value": "hello"}


def test_the_banner_does_not_show_a_key_that_was_set(tmp_path: Path) -> None:
    with service(tmp_path, WEB_CONCURRENCY="1") as live:
        store, read = (line.replace("YOUR_API_KEY", live.api_key) for line in curl_lines(live))
        assert run(store) == {"resource": [{"key": "greeting", "success": True}]}
        assert run(read) == {"key": "greeting", "value": "hello"}
        assert live.api_key not in live.log.read_text()


@pytest.mark.parametrize(
    ("settings", "bind"),
    [
        ({}, "127.0.0.1:8000"),
        ({"HOST": "0.0.0.0", "PORT": "9000"}, "0.0.0.0:9000"),
        ({"HOST": "::1"}, "[::1]:8000"),
        ({"HOST": "[::]"}, "[::]:8000"),
    ],
)
def test_it_listens_where_the_settings_say(
    tmp_path: Path, settings: dict[str, str], bind: str
) -> None:
    script = (
        f"import runpy; print(runpy.run_path({str(REPOSITORY / 'gunicorn.conf.py')!r})['bind'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout.splitlines() == [bind]


def test_two_services_on_one_directory_share_the_cache(tmp_path: Path) -> None:
    settings = {"CACHEAPI_DATA_DIR": str(tmp_path / "shared"), "WEB_CONCURRENCY": "1"}
    with (
        service(tmp_path / "first", **settings) as first,
        service(tmp_path / "second", **settings) as second,
    ):
        assert call(first.port, "POST", CACHE, {"key": "count", "value": 1}).status == 201
        for turn in range(10):
            port = (second, first)[turn % 2].port
            answer = call(port, "PATCH", f"{CACHE}/count", {"increment": 1})
            assert answer.json["value"] == turn + 2
        assert call(second.port, "DELETE", f"{CACHE}/count").status == 200
        assert call(first.port, "GET", f"{CACHE}/count").status == 404


def test_what_is_there_at_the_start_is_gone_through_no_more(tmp_path: Path) -> None:
    settings = {"CACHE_DRIVER": "file", "WEB_CONCURRENCY": "1"}
    with service(tmp_path, app="tests.support.apps:tells_what_is_frozen()", **settings) as live:
        assert int(call(live.port, "GET", "/frozen").body) > 50_000
