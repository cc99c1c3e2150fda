"""Every setting of the service: one table, from the environment and a ``.env`` file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from backends.errors import PluginBroken
from backends.options import BOOLEAN, DATA_DIR, TEXT, Kind, NotAllowed, Option, choice, integer
from backends.registry import BUILT_IN, drivers, options_of
from cacheapi import dotenv_file, kubernetes
from cacheapi.dotenv_file import SettingsError as SettingsError
from cacheapi.slips import did_you_mean

EVERY_SERVICE: Final = "*"
_PARTS: Final[Mapping[str, float | None]] = {"off": None, "errors": 0.0, "all": 1.0}
# One of them is nearly right, and what people write.
OWN_PREFIXES: Final = ("CACHE_", "CACHEAPI_", "MEMCACHE_", "MEMCACHED_", "REDIS_")
# What the program reads to reach a service elsewhere; the service itself does not.
PROGRAM: Final = frozenset({"CACHEAPI_URL", "CACHEAPI_KEY"})
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_OWN_PATHS: Final = frozenset({"api", "console", "health", "metrics", ".", ".."})
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]+)?|https?://\[[0-9a-f:]+\](?::[0-9]+)?")


def _driver(text: str) -> str:
    # Those of plugins are looked for only where it is one.
    if text not in BUILT_IN and text not in drivers():
        allowed = ", ".join(drivers())
        raise SettingsError(
            f"CACHE_DRIVER: {text!r} is not allowed; it must be one of {allowed}."
        ) from None
    return text


def parse_api_keys(text: str) -> tuple[str, ...]:
    """Parse comma-separated API keys.

    :raises ValueError: there is none, or one has a character that no header can carry.
    """
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    if not keys or not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise ValueError
    return keys


def _secret_key(text: str) -> str:
    if len(text) < 32:
        raise ValueError
    return text


def _on_or_off(text: str) -> bool:
    if text.lower() not in {"on", "off"}:
        raise ValueError(text)
    return text.lower() == "on"


def _database_url(text: str) -> str:
    if not text.startswith(("sqlite:///", "postgresql://")):
        raise ValueError
    return text


def _base_path(text: str) -> str:
    path = text.rstrip("/")
    if path and (not _PATH.fullmatch(path) or path.split("/")[1] in _OWN_PATHS):
        raise ValueError
    return path


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(","))
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError
    return origins


def _part_of_successes(text: str) -> float | None:
    if text in _PARTS:
        return _PARTS[text]
    part = float(text)
    if not 0 <= part <= 1:
        raise ValueError(text)
    return part


def _ready_services(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or (EVERY_SERVICE in names and len(names) > 1):
        raise ValueError
    return names


DEFAULT_TTL: Final = Option(
    variable="CACHE_DEFAULT_TTL",
    kind=integer(0, 52_560_000, "minutes"),
    default="300",
    help="Values stored without a `ttl` live so long, in **minutes**; with 0 they never expire.",
    public_name="default_ttl",
    title="Default TTL",
)

VALUES: Final = Option(
    variable="CACHE_VALUES",
    kind=choice("json", "php", "pylibmc", "libmc", "auto"),
    default="json",
    help="Read whose values besides JSON (see `docs/sharing.md`): `php` (written too), "
    "`pylibmc`, `libmc`, or `auto` for what is beyond doubt.",
    public_name="values",
    title="Values of",
)
JSON_FLAGS: Final = Option(
    variable="CACHE_JSON_FLAGS",
    kind=integer(0, 255),
    default=None,
    help="Give stored JSON these flags of memcached's, which make it native to others: 6 PHP, 2 "
    "Node's memcached, 1 Dalli and Perl with JSON. By default they are 6 where values are PHP's, "
    "else 0.",
    public_name="json_flags",
    title="Flags of JSON",
)
RAW_BYTES: Final = Option(
    variable="CACHE_RAW_BYTES",
    kind=BOOLEAN,
    default="false",
    help='Clients may store bytes of their choice, with `"encoding":"base64"`. **A program that '
    "shares the cache may run what it unpickles of them**.",
    public_name="raw_bytes",
    title="Raw bytes",
)

CORE: Final = (
    Option(
        variable="CACHE_DRIVER",
        kind=Kind("a driver", _driver),
        default="file",
        help="The backend of the system cache, the service `cache`.",
    ),
    DEFAULT_TTL,
    VALUES,
    JSON_FLAGS,
    RAW_BYTES,
    Option(
        variable="CACHEAPI_API_KEY",
        kind=Kind(
            "one or more keys, comma-separated, of printable ASCII characters", parse_api_keys
        ),
        default=None,
        help="API keys. With none set, the first start makes one in `<CACHEAPI_DATA_DIR>/api-key`.",
        secret=True,
    ),
    DATA_DIR,
    Option(
        variable="CACHEAPI_SERVICES_FILE",
        kind=TEXT,
        default=None,
        help="TOML file with services, read again when it changes.",
    ),
    Option(
        variable="CACHEAPI_DATABASE_URL",
        kind=Kind("sqlite:///path or postgresql://user:password@host/name", _database_url),
        default=None,
        help="Where services and API keys made over the API are kept: `postgresql://…` for "
        "several machines. By default `cacheapi.sqlite3` in `CACHEAPI_DATA_DIR`.",
        secret=True,
    ),
    Option(
        variable="CACHEAPI_SECRET_KEY",
        kind=Kind("a text of 32 characters or more", _secret_key),
        default=None,
        help="Encrypts the passwords of services; the same on all machines that share a "
        "database. With none set, one is made in `<CACHEAPI_DATA_DIR>/secret-key`.",
        secret=True,
    ),
    Option(
        variable="CACHEAPI_MAX_BODY_MB",
        kind=integer(1, 1024, "MiB"),
        default="8",
        help="Largest request body, in MiB.",
    ),
    Option(
        variable="CACHEAPI_MAX_BATCH",
        kind=integer(1, 1_000_000),
        default="10000",
        help="Most keys or items of one request.",
    ),
    Option(
        variable="CACHEAPI_SAMPLE_SECONDS",
        kind=integer(0, 3600, "seconds"),
        default="30",
        help="How often the statistics of each service are noted, for the last hour; 0: never.",
    ),
    Option(
        variable="CACHEAPI_READY_SERVICES",
        kind=Kind("names of services, comma-separated, or *", _ready_services),
        default="cache",
        help="Services that `/health/ready` tries: names, comma-separated, or `*` for every active "
        "one; may be empty for none.",
        may_be_empty=True,
    ),
    Option(
        variable="CACHEAPI_READY_TIMEOUT_MS",
        kind=integer(10, 60_000, "milliseconds"),
        default="800",
        help="How long `/health/ready` waits for all of them, in milliseconds.",
    ),
    Option(
        variable="CACHEAPI_METRICS",
        kind=choice("off", "key", "open"),
        default="key",
        help="Who may read `/metrics`: `key` administrators, `open` everybody; `off` counts "
        "nothing.",
    ),
    Option(
        variable="CACHEAPI_ACCESS_LOG",
        kind=Kind("off, errors, all, or a number from 0 to 1", _part_of_successes),
        default="off",
        help="Requests that get a line on the standard output: `errors`, `all`, or all errors and "
        "that part of the others, such as `0.01`.",
    ),
    Option(
        variable="CACHEAPI_LOG_FORMAT",
        kind=choice("text", "json"),
        default="text",
        help="What such a line is.",
    ),
    Option(
        variable="CACHEAPI_LOG_KEYS",
        kind=choice("off", "hash", "plain"),
        default="off",
        help="What such a line, and *Now*, says of the key: nothing, the start of its SHA-256, or "
        "with `plain` its text; the audit log then names tags and prefixes too.",
    ),
    Option(
        variable="CACHEAPI_CORS_ORIGINS",
        kind=Kind("origins such as https://shop.example, comma-separated, and not *", _origins),
        default=None,
        help="Origins whose pages may call the API from a browser, comma-separated.",
    ),
    Option(
        variable="CACHEAPI_CONSOLE",
        kind=Kind("on or off", _on_or_off),
        default="on",
        help="The web console at `/console`, for administrators.",
    ),
    Option(
        variable="HOST",
        kind=TEXT,
        default="127.0.0.1",
        help="Address to listen on.",
    ),
    Option(
        variable="PORT",
        kind=integer(1, 65535),
        default="8000",
        help="Port to listen on.",
    ),
    Option(
        variable="CACHEAPI_HOST",
        kind=TEXT,
        default=None,
        help="Address to listen on; wins over `HOST`, which shells and platforms set too.",
    ),
    Option(
        variable="CACHEAPI_PORT",
        kind=integer(1, 65535),
        default=None,
        help="Port to listen on; wins over `PORT`.",
    ),
    Option(
        variable="CACHEAPI_BASE_PATH",
        kind=Kind("a path such as /c, that begins with none of the service's own", _base_path),
        default=None,
        help="Path that the service is mounted under behind a proxy, such as `/c`.",
    ),
    Option(
        variable="SCRIPT_NAME",
        kind=Kind("a path such as /c, that begins with none of the service's own", _base_path),
        default=None,
        help="As gunicorn means it: the same, where `CACHEAPI_BASE_PATH` is not set.",
    ),
    Option(
        variable="WEB_CONCURRENCY",
        kind=integer(1, 1024),
        default=None,
        help="Worker processes; by default one for each core.",
    ),
)


class Settings(Mapping[str, Any]):
    """The values of all settings, by their variables.

    :ivar warnings: names that look like settings and are none.
    :ivar texts: the values as they were written, secrets too; defaults are filled in.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        warnings: tuple[str, ...] = (),
        texts: Mapping[str, str | None] | None = None,
    ) -> None:
        self._values = dict(values)
        self.warnings = warnings
        self.texts = dict(texts or {})

    def __getitem__(self, variable: str) -> Any:
        return self._values[variable]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Settings: {', '.join(self)}>"


def table(driver: str | None = None) -> dict[str, Option]:
    """Return all settings by their variables: the service's, then each backend's.

    :param driver: the one in use, whose settings are listed even if it is a plugin.
    """
    options = list(CORE)
    for name in [*BUILT_IN, *([driver] if driver and driver not in BUILT_IN else [])]:
        options.extend(options_of(name))
    return {option.variable: option for option in options}


def load(environ: Mapping[str, str] | None = None, dotenv: str | Path | None = ".env") -> Settings:
    """Read the settings; the environment wins over the file.

    An empty value is the same as none, unless the setting may be empty.

    :param environ: instead of the process's environment.
    :param dotenv: the file, which need not exist; ``None`` for no file.
    :raises SettingsError: a value is not allowed, or the driver is a broken plugin.
    """
    given: dict[str, str] = {}
    if dotenv is not None:
        given.update(dotenv_file.read(dotenv))
    given.update(os.environ if environ is None else environ)
    core = {option.variable: option for option in CORE}
    driver = _value(core["CACHE_DRIVER"], given)
    try:
        options = table(driver)
        given = kubernetes.without(given, {each.variable for each in options_of(driver)})
    except PluginBroken as error:
        raise SettingsError(str(error)) from error
    values = {variable: _value(option, given) for variable, option in options.items()}
    texts = {variable: _text(option, given) for variable, option in options.items()}
    return Settings(values, tuple(_misspelt(given, options)), texts)


class Explained(NamedTuple):
    """A setting with where its value comes from.

    :ivar text: its value as it was written; ``None``: it has none.
    :ivar source: ``environment``, the name of the file, or ``default``.
    :ivar fault: why it cannot be used.
    """

    option: Option
    text: str | None
    source: str
    fault: str | None


def explain(
    environ: Mapping[str, str] | None = None, dotenv: str | Path = ".env"
) -> tuple[list[Explained], list[str]]:
    """Return every setting, and warnings of names that are none; see :func:`load`.

    :raises SettingsError: the driver is a broken plugin.
    """
    file = dotenv_file.read(dotenv)
    own = os.environ if environ is None else environ
    given = {**file, **own}
    core = {option.variable: option for option in CORE}
    driver = given.get("CACHE_DRIVER") or core["CACHE_DRIVER"].default
    try:
        options = table(driver if driver in drivers() else None)
        used = options_of(driver) if driver in drivers() else ()
        given = kubernetes.without(given, {option.variable for option in used})
    except PluginBroken as error:
        raise SettingsError(str(error)) from error
    found = []
    for name, option in options.items():
        text = given.get(name)
        source = "environment" if name in own else str(dotenv)
        if not text and not (option.may_be_empty and text == ""):
            text, source = option.default, "default"
        fault = None
        try:
            _value(option, given)
        except SettingsError as error:
            fault = str(error)
        found.append(Explained(option, text, source, fault))
    return found, list(_misspelt(given, options))


def _text(option: Option, given: Mapping[str, str]) -> str | None:
    """Return what is written of a setting, or its default."""
    text = given.get(option.variable)
    return text if text or (option.may_be_empty and text == "") else option.default


def _value(option: Option, given: Mapping[str, str]) -> Any:
    text = _text(option, given)
    if not text:
        return text
    try:
        return option.kind.parse(text)
    except NotAllowed as error:
        raise SettingsError(
            f"{option.variable}: the given value is not allowed: {error}."
        ) from None
    except ValueError:
        hint = kubernetes.hint(option.variable, text)
        if hint is not None:
            raise SettingsError(hint) from None
        shown = "the given value" if option.secret else repr(text)
        # No chain: the parser's error may repeat a secret.
        raise SettingsError(
            f"{option.variable}: {shown} is not allowed; it must be {option.kind.allowed}."
        ) from None


def _misspelt(given: Mapping[str, str], options: Mapping[str, Option]) -> Iterator[str]:
    for name in sorted(given):
        if kubernetes.is_its_own(name) or name in PROGRAM:
            continue
        if name.startswith(OWN_PREFIXES) and name not in options:
            yield f"{name} is set, but there is no such setting.{did_you_mean(name, options)}"
