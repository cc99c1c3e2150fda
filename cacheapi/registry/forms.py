"""The ``config`` of a service: its fields are its backend's options, by their public names.

So there is one rule for a value, the option's kind, wherever it comes from: the
environment, the file of services, or the API.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from backends import registry
from backends.base import Backend
from backends.errors import DriverMissing, InvalidOption, PluginBroken
from backends.naming import in_names
from backends.options import DATA_DIR, NotAllowed, Option
from cacheapi.caching.values import BadValues, Values
from cacheapi.caching.values import make as make_values
from cacheapi.registry.errors import Fault, Invalid, no_field
from cacheapi.registry.vault import MASK
from cacheapi.responses.addresses import BadAddress
from cacheapi.responses.config import Config as RemoteConfig
from cacheapi.responses.config import config_of
from cacheapi.responses.options import BASE_URL
from cacheapi.responses.remote import REMOTE, RemoteType
from cacheapi.settings import DEFAULT_TTL, JSON_FLAGS, RAW_BYTES, VALUES

Config = Mapping[str, Any]
# What makes a type of service: a backend, or what stands in front of an HTTP API.
Kind: TypeAlias = type[Backend] | RemoteType
# The field of what stands before every key.
PREFIX: Final = "prefix"
# Of the prefix that a new service gets which gives none.
ENDING: Final = ":"
_PREFIX_HELP: Final = "A new service that gives none has its name with `:` behind it."
_JSON: Final[Mapping[str, type]] = {"string": str, "integer": int, "boolean": bool}
# What is said of so many kinds is remembered; there are four, and those of plugins.
MOST_KINDS: Final = 64


def types() -> dict[str, Kind]:
    """Return the kinds by the types of service that they make; no broken plugin."""
    kinds: list[Kind] = [*registry.backend_classes(), REMOTE]
    return {kind.service_type: kind for kind in reversed(kinds)}


def kind_of(service_type: str) -> Kind:
    """Return the kind of a type.

    :raises Invalid: there is no such type.
    """
    built_in = registry.built_in_class(service_type)
    if built_in is not None:
        return built_in
    known = types()
    if service_type not in known:
        names = ", ".join(sorted(known))
        raise Invalid([Fault(f"There is no type {service_type!r}; there are {names}.", "type")])
    return known[service_type]


def kinds_of(service_types: Iterable[str]) -> dict[str, Kind]:
    """Return the kinds by their types, without types that there are not."""
    kinds: dict[str, Kind] = {}
    for service_type in set(service_types):
        with contextlib.suppress(Invalid):
            kinds[service_type] = kind_of(service_type)
    return kinds


def options(kind: Kind) -> dict[str, Option]:
    """Return the fields of a ``config``.

    A directory is none of them: a service that keeps files has one of its own.
    """
    return dict(_options(kind))


@functools.lru_cache(MOST_KINDS)
def _options(kind: Kind) -> dict[str, Option]:
    shown = [option for option in kind.options if option is not DATA_DIR]
    if isinstance(kind, RemoteType):
        return {option.field: option for option in shown}
    flags = [JSON_FLAGS] if kind.keeps_flags else []
    return {option.field: option for option in [*shown, DEFAULT_TTL, VALUES, *flags, RAW_BYTES]}


def config_schema(kind: Kind) -> list[dict[str, Any]]:
    """Describe the form of a type of service."""
    return [
        {
            "name": name,
            "label": option.label,
            "type": option.kind.json,
            "required": option.required,
            # A new service's is of its own name.
            "default": None if name == PREFIX else _default(option),
            "description": f"{option.help} {_PREFIX_HELP}" if name == PREFIX else option.help,
            "allowed": option.kind.allowed,
            "unit": option.kind.unit or None,
            "secret": option.secret,
        }
        for name, option in options(kind).items()
    ]


def check(kind: Kind, config: Mapping[str, Any], kept: Config) -> dict[str, Any]:
    """Return a config of the fields that are given, checked one by one.

    :param kept: what :data:`~cacheapi.registry.vault.MASK` stands for, by secret field.
    :raises Invalid: names every field that is wrong.
    """
    known = options(kind)
    faults, checked = [], {}
    for name, value in config.items():
        option = known.get(name)
        if option is None:
            faults.append(no_field(name, known))
            continue
        if option.secret and value == MASK:
            if name in kept:
                checked[name] = kept[name]
            else:
                faults.append(Fault("There is nothing stored that this mask stands for.", name))
            continue
        if value is None or (value == "" and not option.may_be_empty):
            continue
        try:
            option.kind.parse(_text(option, value))
        except NotAllowed as error:
            why = in_names(called(kind), str(error))
            faults.append(Fault(f"The given value is not allowed: {why}.", name))
        except ValueError:
            shown = "The given value" if option.secret else repr(value)
            faults.append(Fault(not_allowed(shown, option.kind.allowed), name))
        else:
            checked[name] = _normal(option, value)
    if faults:
        raise Invalid([Fault(fault.message, f"config.{fault.field}") for fault in faults])
    return checked


def not_allowed(shown: str, allowed: str) -> str:
    """Return what is said of a value that its field does not take.

    :param allowed: what it takes, as :attr:`~backends.options.Kind.allowed` says it.
    """
    return f"{shown} is not allowed; it must be {allowed}."


def own_prefix(service_type: object, name: object) -> str | None:
    """Return the prefix of a new service that gives none, if its type has prefixes.

    So services on one server share no keys unless somebody wants that.
    """
    backend = types().get(service_type) if isinstance(service_type, str) else None
    option = None if backend is None else options(backend).get(PREFIX)
    if option is None or not isinstance(name, str):
        return None
    try:
        return str(option.kind.parse(f"{name}{ENDING}"))
    except ValueError:
        # A plugin may have other ideas of what a prefix is.
        return None


def make_backend(backend: type[Backend], config: Config, directory: Path) -> Backend:
    """Make the backend of a checked config. Opens no connection.

    :param directory: its own, if it keeps files.
    :raises Invalid: the fields do not go together, or its driver is missing or broken.
    """
    given = {option.variable: _value(option, config) for option in options(backend).values()}
    given[DATA_DIR.variable] = str(directory)
    values(backend, config)
    try:
        made = registry.create(backend.driver, given)
    except InvalidOption as error:
        raise Invalid([_fault_of(backend, str(error))]) from error
    except (DriverMissing, PluginBroken) as error:
        raise Invalid([Fault(in_names(called(backend), str(error)), "type")]) from error
    made.called = called(backend)
    return made


def make_remote(config: Config) -> tuple[RemoteConfig, str]:
    """Return the settings of a service in front of an HTTP API, and the name of its cache.

    :raises Invalid: one is missing.
    """
    values = {name: _value(option, config) for name, option in options(REMOTE).items()}
    try:
        return config_of(values), values["cache"]
    except BadAddress as error:
        raise Invalid([Fault(str(error), f"config.{BASE_URL.field}")]) from error


def default_ttl(config: Config) -> int:
    """Return the default lifetime of a checked config, in minutes."""
    return int(_value(DEFAULT_TTL, config))


def values(backend: type[Backend] | Backend, config: Config) -> Values:
    """Return how the service of a checked config reads and writes its values.

    :raises Invalid: it would not read again what it stores.
    """
    form, flags = _value(VALUES, config), _value(JSON_FLAGS, config)
    try:
        return make_values(backend, form, flags, raw_bytes=_value(RAW_BYTES, config))
    except BadValues as error:
        raise Invalid([Fault(str(error), f"config.{JSON_FLAGS.field}")]) from error


def of_environment(kind: Kind, texts: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the config that the variables of the environment say, to be shown.

    A mask stands for each secret in it: it is the environment's, and nobody tries it elsewhere.

    :param texts: what is set, defaults filled in, by variable.
    """
    config: dict[str, Any] = {}
    for field, option in _options(kind).items():
        text = texts.get(option.variable)
        if text or (text == "" and option.may_be_empty):
            config[field] = MASK if option.secret else _normal(option, text)
    return config


def shown(kind: Kind, config: Config) -> dict[str, Any]:
    """Return all fields as a client may see them: defaults filled in, secrets masked."""
    return {
        name: MASK if is_secret and name in config else config.get(name, default)
        for name, is_secret, default in _defaults(kind)
    }


@functools.lru_cache(MOST_KINDS)
def _defaults(kind: Kind) -> list[tuple[str, bool, Any]]:
    """Return the name of each field, whether it is a secret, and what it is where nobody says."""
    return [(name, option.secret, _default(option)) for name, option in _options(kind).items()]


def secret_fields(kind: Kind) -> set[str]:
    """Return the names of the fields that are secrets."""
    return {name for name, option in options(kind).items() if option.secret}


def _text(option: Option, value: Any) -> str:
    """Return a JSON value as an environment would have it.

    :raises ValueError: it is of another type.
    """
    if isinstance(value, str):
        return value
    if type(value) is not _JSON[option.kind.json]:
        raise ValueError
    return str(value).lower()


def _normal(option: Option, value: Any) -> Any:
    text = _text(option, value)
    return text if option.kind.json == "string" else option.kind.parse(text)


def _value(option: Option, config: Config) -> Any:
    if option.field in config:
        return option.kind.parse(_text(option, config[option.field]))
    default = option.field_default
    return option.kind.parse(default) if default else default


def _default(option: Option) -> Any:
    default = option.field_default
    return default if default is None else _normal(option, default)


def called(kind: Kind) -> Mapping[str, str]:
    """Return the names of fields, by the variables that a message may name."""
    return {option.variable: field for field, option in _options(kind).items()}


def _fault_of(backend: type[Backend], message: str) -> Fault:
    """Return what a backend says of its variables, said of the fields."""
    names = called(backend)
    found = [name for name in re.findall(r"\b[A-Z][A-Z0-9_]+\b", message) if name in names]
    field = f"config.{names[found[0]]}" if found else None
    return Fault(in_names(names, message), field)
