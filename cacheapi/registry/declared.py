"""The services that a file declares: TOML, one table ``[[service]]`` each.

For fleets: what is in the file cannot be changed over the API. It is read again when it
changes; a file that is wrong then is told in the log, and the last right one stays.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from cacheapi.registry.definition import Definition, Source, define
from cacheapi.registry.errors import Invalid


class BadFile(Exception):
    """The file cannot be used; one line says where and why, and repeats no secret."""


def read(path: Path) -> dict[str, Definition]:
    """Return the services of a file by name.

    :raises BadFile: it cannot be read, is no TOML, or describes a service wrongly.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"{str(path)!r} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"{str(path)!r} is not UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        # The place, and not the text there.
        raise BadFile(f"{str(path)!r} is not TOML: {error}.") from error
    declared: dict[str, Definition] = {}
    for index, item in enumerate(_items(path, document)):
        where = f"{str(path)!r}, service {item.get('name', index + 1)!r}"
        try:
            definition = define(item, Source.FILE)
        except Invalid as error:
            fault = error.faults[0]
            field = f"{fault.field}: " if fault.field else ""
            raise BadFile(f"{where}: {field}{fault.message}") from error
        if definition.name in declared:
            raise BadFile(f"{where}: the name is there twice.")
        declared[definition.name] = definition
    return declared


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when the file does; ``None`` where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _items(path: Path, document: dict[str, Any]) -> list[dict[str, Any]]:
    items = document.get("service", [])
    if document.keys() - {"service"} or not isinstance(items, list):
        raise BadFile(f"{str(path)!r}: it must have tables [[service]] and nothing else.")
    if not all(isinstance(item, dict) for item in items):
        raise BadFile(f"{str(path)!r}: each [[service]] must be a table.")
    return items
