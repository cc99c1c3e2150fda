"""Settings: wrong ones are named in one line, secrets never shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from backends.options import Option
from cacheapi import SettingsError, create_app, load
from cacheapi.registry.environment import system_cache
from cacheapi.settings import Settings, explain, table
from tests.http.client import close_app

SECRET = "hush hush\x07é"


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("CACHE_DRIVER", "redis-of-the-future", "file, memcached"),
        ("CACHE_DRIVER", "File", "file, memcached"),
        ("CACHE_DEFAULT_TTL", "five", "whole number of minutes from 0 to 52560000"),
        ("CACHE_DEFAULT_TTL", "-1", "whole number of minutes from 0 to 52560000"),
        ("CACHE_DEFAULT_TTL", "1.5", "whole number of minutes from 0 to 52560000"),
        ("CACHE_DEFAULT_TTL", "52560001", "whole number of minutes from 0 to 52560000"),
        ("CACHE_DEFAULT_TTL", "9" * 5000, "whole number of minutes from 0 to 52560000"),
        ("CACHEAPI_DATA_DIR", "a\0b", "path of a directory"),
        ("CACHEAPI_MAX_BODY_MB", "0", "whole number of MiB from 1 to 1024"),
        ("CACHEAPI_MAX_BODY_MB", "8MB", "whole number of MiB from 1 to 1024"),
        ("CACHE_FILE_MAX_MB", "0", "whole number of MiB from 1 to"),
        ("CACHE_FILE_MAX_MB", "big", "whole number of MiB from 1 to"),
        ("PORT", "0", "whole number from 1 to 65535"),
        ("PORT", "65536", "whole number from 1 to 65535"),
        ("PORT", "http", "whole number from 1 to 65535"),
        ("WEB_CONCURRENCY", "0", "whole number from 1 to 1024"),
        ("WEB_CONCURRENCY", "auto", "whole number from 1 to 1024"),
        ("MEMCACHED_PORT", "0", "whole number from 1 to 65535"),
        ("MEMCACHED_TIMEOUT_MS", "0", "whole number of milliseconds from 1 to 60000"),
        ("MEMCACHED_TIMEOUT_MS", "fast", "whole number of milliseconds from 1 to 60000"),
        ("MEMCACHED_HOST", "a b", "host:port:weight"),
        ("MEMCACHED_HOST", "a:0", "host:port:weight"),
        ("MEMCACHED_HOST", "a:99999", "host:port:weight"),
        ("MEMCACHED_HOST", "a:1:0", "host:port:weight"),
        ("MEMCACHED_HOST", "a:1,,b:1", "host:port:weight"),
        ("MEMCACHED_HOST", "a:1,a:1", "host:port:weight"),
        ("MEMCACHED_HOST", "::1", "host:port:weight"),
    ],
    ids=lambda value: value[:30],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load({variable: value}, None)
    message = str(raised.value)
    assert message.startswith(f"{variable}: ")
    assert repr(value) in message
    assert allowed in message
    assert "\n" not in message
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("value", [SECRET, "two words", "é", ",", " , ", "tab\there"])
def test_a_wrong_secret_is_not_repeated(value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"CACHEAPI_API_KEY": value}, None)
    message = str(raised.value)
    assert message == (
        "CACHEAPI_API_KEY: the given value is not allowed; it must be one or more keys, "
        "comma-separated, of printable ASCII characters."
    )


def test_settings_do_not_show_their_values() -> None:
    settings = load({"CACHEAPI_API_KEY": "hush", "MEMCACHED_PASSWORD": "quiet"}, None)
    for text in (repr(settings), str(settings), f"{settings}"):
        assert "hush" not in text
        assert "quiet" not in text


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("CACHE_DRIVERS", "CACHE_DRIVER"),
        ("CACHE_TTL", None),
        ("CACHE_DEFAULT_TTL_", "CACHE_DEFAULT_TTL"),
        ("CACHEAPI_APIKEY", "CACHEAPI_API_KEY"),
        ("MEMCACHED_HOSTS", "MEMCACHED_HOST"),
        ("MEMCACHED_PASS", "MEMCACHED_PASSWORD"),
        ("CACHEAPI_DATADIR", "CACHEAPI_DATA_DIR"),
        ("CACHEAPI_ZZZZZZZZZZZZZZZZZZZZZ", None),
    ],
)
def test_a_misspelt_name_gets_a_warning_and_a_suggestion(name: str, suggestion: str | None) -> None:
    (warning,) = load({name: "hush"}, None).warnings
    assert warning.startswith(f"{name} is set, but there is no such setting")
    assert "hush" not in warning
    if suggestion:
        assert warning.endswith(f"Did you mean '{suggestion}'?")


def test_names_of_other_programs_are_no_warnings() -> None:
    environ = {"PATH": "/bin", "CACHE": "1", "REDIS_HOST": "x", "cache_driver": "x"}
    assert load(environ, None).warnings == ()


def test_warnings_are_logged_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environ = {"CACHE_DRIVERS": "x", "CACHEAPI_DATA_DIR": str(tmp_path)}
    close_app(create_app(load(environ, None)))
    assert "Did you mean 'CACHE_DRIVER'?" in caplog.text


def test_the_defaults() -> None:
    settings = load({}, None)
    assert {
        name: settings[name]
        for name in (
            "CACHE_DRIVER",
            "CACHE_DEFAULT_TTL",
            "CACHEAPI_API_KEY",
            "CACHEAPI_DATA_DIR",
            "CACHEAPI_MAX_BODY_MB",
            "HOST",
            "PORT",
            "WEB_CONCURRENCY",
            "MEMCACHED_PORT",
            "MEMCACHED_USERNAME",
            "MEMCACHED_PASSWORD",
            "MEMCACHED_PREFIX",
        )
    } == {
        "CACHE_DRIVER": "file",
        "CACHE_DEFAULT_TTL": 300,
        "CACHEAPI_API_KEY": None,
        "CACHEAPI_DATA_DIR": "var",
        "CACHEAPI_MAX_BODY_MB": 8,
        "HOST": "127.0.0.1",
        "PORT": 8000,
        "WEB_CONCURRENCY": None,
        "MEMCACHED_PORT": 11211,
        "MEMCACHED_USERNAME": None,
        "MEMCACHED_PASSWORD": None,
        "MEMCACHED_PREFIX": "",
    }
    assert [server.host for server in settings["MEMCACHED_HOST"]] == ["localhost"]
    assert set(settings) == set(table())
    assert len(settings) == len(table())


def test_an_empty_value_is_the_same_as_none_unless_it_may_be_empty() -> None:
    empty = dict.fromkeys(table(), "")
    assert dict(load(empty, None)) == dict(load({}, None)) | {
        "REDIS_PREFIX": "",
        "CACHEAPI_READY_SERVICES": "",
    }
    assert load({}, None)["REDIS_PREFIX"] == "cacheapi:"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "# settings\nCACHE_DRIVER=memcached\nCACHE_DEFAULT_TTL=5\nPORT='8080'\nCACHE_BARE\n"
    )
    settings = load({"CACHE_DEFAULT_TTL": "7"}, dotenv)
    assert settings["CACHE_DRIVER"] == "memcached"
    assert settings["CACHE_DEFAULT_TTL"] == 7
    assert settings["PORT"] == 8080


def test_the_file_may_be_absent(tmp_path: Path) -> None:
    assert load({}, tmp_path / "absent")["PORT"] == 8000


def test_the_file_stands_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PORT=8123\n")
    monkeypatch.delenv("PORT", raising=False)
    assert load()["PORT"] == 8123
    monkeypatch.setenv("PORT", "8124")
    assert load()["PORT"] == 8124


def test_a_wrong_value_in_the_file_is_named(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=none\n")
    with pytest.raises(SettingsError, match=r"^PORT: 'none' is not allowed"):
        load({}, dotenv)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("one", ("one",)), ("one,two", ("one", "two")), (" one , two ,", ("one", "two"))],
)
def test_api_keys_are_a_list(text: str, keys: tuple[str, ...]) -> None:
    assert load({"CACHEAPI_API_KEY": text}, None)["CACHEAPI_API_KEY"] == keys


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"MEMCACHED_USERNAME": "me"}, "MEMCACHED_PASSWORD"),
        ({"MEMCACHED_PASSWORD": "hush"}, "MEMCACHED_USERNAME"),
        ({"MEMCACHED_PREFIX": "a b"}, "MEMCACHED_PREFIX"),
        ({"MEMCACHED_PREFIX": "x" * 251}, "MEMCACHED_PREFIX"),
    ],
)
def test_settings_that_do_not_go_together_are_named(environ: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name) as raised:
        system_cache(load({"CACHE_DRIVER": "memcached", **environ}, None))
    assert "hush" not in str(raised.value)


def test_a_data_directory_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {"CACHEAPI_DATA_DIR": str(tmp_path / "file"), "CACHEAPI_API_KEY": "k"}
    with pytest.raises(SettingsError, match=r"^CACHEAPI_DATA_DIR: .* no directory"):
        create_app(load(environ, None))


def test_every_setting_has_a_default_that_is_allowed_and_a_help() -> None:
    for variable, option in table().items():
        assert isinstance(option, Option)
        assert option.variable == variable
        assert option.help.endswith(".")
        if option.default:
            option.kind.parse(option.default)
    assert {name for name, option in table().items() if option.secret} == {
        "CACHEAPI_API_KEY",
        "CACHEAPI_DATABASE_URL",
        "CACHEAPI_SECRET_KEY",
        "MEMCACHED_PASSWORD",
        "REDIS_PASSWORD",
        "REDIS_SENTINEL_PASSWORD",
        "REDIS_URL",
    }


def test_settings_are_a_mapping() -> None:
    settings = Settings({"A": 1})
    assert dict(settings) == {"A": 1}
    assert settings.warnings == ()


def test_the_log_of_a_start_has_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    environ = {"CACHEAPI_API_KEY": "hush", "CACHEAPI_DATA_DIR": str(tmp_path)}
    close_app(create_app(load(environ, None)))
    assert "hush" not in caplog.text


KUBERNETES = {
    "REDIS_PORT": "tcp://10.0.0.7:6379",
    "REDIS_SERVICE_HOST": "10.0.0.7",
    "REDIS_SERVICE_PORT": "6379",
    "REDIS_SERVICE_PORT_REDIS": "6379",
    "REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6379",
    "REDIS_PORT_6379_TCP_PROTO": "tcp",
    "REDIS_PORT_6379_TCP_PORT": "6379",
    "REDIS_PORT_6379_TCP_ADDR": "10.0.0.7",
    "MEMCACHED_PORT": "tcp://10.0.0.8:11211",
    "MEMCACHED_SERVICE_HOST": "10.0.0.8",
    "CACHEAPI_PORT": "tcp://10.0.0.9:80",
    "CACHEAPI_SERVICE_HOST": "10.0.0.9",
}


def test_what_kubernetes_sets_stops_no_start_with_another_driver() -> None:
    settings = load(KUBERNETES, None)
    assert settings.warnings == ()
    assert settings["CACHEAPI_PORT"] is None
    found, warnings = explain(KUBERNETES, "nothing")
    assert warnings == []
    assert not [each for each in found if each.fault]


@pytest.mark.parametrize("driver", ["redis", "memcached"])
def test_what_kubernetes_sets_is_named_where_it_matters(driver: str) -> None:
    variable = f"{driver.upper()}_PORT"
    given = {**KUBERNETES, "CACHE_DRIVER": driver}
    with pytest.raises(SettingsError) as raised:
        load(given, None)
    assert f"set by Kubernetes, for a Service named '{driver}'" in str(raised.value)
    assert "enableServiceLinks: false" in str(raised.value)
    found, _ = explain(given, "nothing")
    assert [each.option.variable for each in found if each.fault] == [variable]
    assert load({**given, variable: "7000"}, None)[variable] == 7000


def test_a_common_misspelling_is_named() -> None:
    (warning,) = load({"MEMCACHE_HOST": "10.0.0.8"}, None).warnings
    assert warning == (
        "MEMCACHE_HOST is set, but there is no such setting. Did you mean 'MEMCACHED_HOST'?"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("CACHE_DRIVER=file\nREDIS_HOST redis\n", 2),
        ("# all\n\nREDIS_PASSWORD='hush\nPORT=9\n", 3),
        ("= hush\n", 1),
        ('A="x" hush\n', 1),
    ],
)
def test_a_line_of_the_file_that_is_none_stops_the_start(
    tmp_path: Path, text: str, line: int
) -> None:
    file = tmp_path / ".env"
    file.write_text(text)
    for read in (load, explain):
        with pytest.raises(SettingsError) as raised:
            read({}, file)
        assert f"line {line}: it is not NAME=value." in str(raised.value)
        assert "\n" not in str(raised.value)
        assert "hush" not in str(raised.value)


def test_a_file_that_is_right_is_read_as_before(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# one\n\nexport PORT=9000\nREDIS_PASSWORD='a b #c'\nMEMCACHED_PREFIX=\"x\\ty\"\nHOST\n"
    )
    settings = load({}, file)
    assert settings["PORT"] == 9000
    assert settings["REDIS_PASSWORD"] == "a b #c"
    assert settings["MEMCACHED_PREFIX"] == "x\ty"
    assert settings["HOST"] == "127.0.0.1"
