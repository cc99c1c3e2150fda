"""Settings with where they come from, Python, the data directory, the database."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from cacheapi.commands.diagnosis import interpreter
from cacheapi.commands.diagnosis.findings import Finding, Level
from cacheapi.commands.here import foreign_owner, no_service, nothing_is_in
from cacheapi.registry.database.errors import DatabaseFailed
from cacheapi.registry.live import Registry
from cacheapi.registry.vault import MASK
from cacheapi.settings import Explained, Settings

DOTENV: Final = ".env"
# What nobody but the service may read.
SECRET_FILES: Final = ("api-key", "secret-key", "cacheapi.sqlite3", "cache.sqlite3")
# With less than this a disk is nearly full, whatever the cache may take.
LITTLE_SPACE: Final = 200 * 1024 * 1024
# Files of the data directory.
MOST_LOOKED_AT: Final = 10_000
# SQLite's locks are not safe there.
NETWORK: Final = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs"}


class Setting(NamedTuple):
    """A setting as it may be shown."""

    name: str
    value: str | None
    source: str
    fault: str | None


def shown(explained: Explained) -> Setting:
    """Return a setting without its secret."""
    text = explained.text
    if explained.option.secret and text:
        text = MASK
    return Setting(explained.option.variable, text, explained.source, explained.fault)


def setting_findings(explained: list[Explained], warnings: list[str]) -> Iterator[Finding]:
    """Yield what is wrong with the settings."""
    for each in explained:
        if each.fault is not None:
            name = each.option.variable
            place = f"the file {each.source}" if each.source == DOTENV else f"the {each.source}"
            yield Finding(
                Level.FAILURE, "settings", each.fault, f"Correct {name} in {place}: nothing starts."
            )
    for warning in warnings:
        action = "Correct the name, or take it out: it does nothing."
        yield Finding(Level.WARNING, "settings", warning, action)
    secret = any(each.option.secret and each.source == DOTENV for each in explained)
    if secret and Path(DOTENV).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        message = "The file .env has secrets, and others on this machine may read it."
        yield Finding(Level.WARNING, "settings", message, "chmod 600 .env")


def together_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with settings that are right one by one."""
    if settings["CACHEAPI_DATABASE_URL"] and not settings["CACHEAPI_SECRET_KEY"]:
        yield Finding(
            Level.WARNING,
            "settings",
            "CACHEAPI_DATABASE_URL is set without CACHEAPI_SECRET_KEY: another machine cannot read "
            "the passwords of services that this one stores.",
            "Give all machines the same CACHEAPI_SECRET_KEY.",
        )


def python_findings() -> Iterator[Finding]:
    """Yield what is wrong with the Python that runs this."""
    if not interpreter.optimised():
        yield Finding(
            Level.ADVICE,
            "Python",
            f"{sys.base_prefix!r} was built without optimisations: a request costs a sixth to a "
            "quarter more processor time.",
            "Make the environment with the system's own Python, or build this one with "
            "--enable-optimizations --with-lto.",
        )


def directory(settings: Settings) -> tuple[dict[str, Any], list[Finding]]:
    """Look at the data directory; return what is so, and what is wrong with it."""
    path = Path(settings["CACHEAPI_DATA_DIR"])
    found: dict[str, Any] = {"path": str(path.absolute()), "exists": False}
    try:
        found["path"] = str(path.resolve())
        found["exists"] = path.is_dir()
        if not found["exists"] and path.exists():
            return found, [_unusable(path, "is a file and no directory")]
        if found["exists"]:
            # It is there, but whoever may not enter it learns nothing else.
            os.stat(path / SECRET_FILES[0])
    except FileNotFoundError:
        pass
    except OSError as error:
        found["writable"] = False
        return found, [_unusable(path, f"cannot be looked into ({error.strerror})")]
    if nothing_is_in(path):
        action = "Start the service once, or run this in its directory and with its settings."
        return found, [Finding(Level.WARNING, "data directory", no_service(path), action)]
    space = shutil.disk_usage(path)
    found |= {
        "writable": os.access(path, os.W_OK | os.X_OK),
        "free_bytes": space.free,
        "filesystem": _filesystem(path),
        "modes": {
            name: f"{stat.S_IMODE((path / name).stat().st_mode):04o}"
            for name in SECRET_FILES
            if (path / name).exists()
        },
    }
    return found, list(_directory_findings(path, settings, found))


def _unusable(path: Path, why: str) -> Finding:
    return Finding(
        Level.FAILURE,
        "data directory",
        f"{str(path)!r} {why}: nothing starts with it.",
        "Run as the service's user, give that user the directory (chown), or name another with "
        "CACHEAPI_DATA_DIR.",
    )


def _directory_findings(path: Path, settings: Settings, found: dict[str, Any]) -> Iterator[Finding]:
    where = "data directory"
    if not found["writable"]:
        message = f"{str(path)!r} cannot be written to by this user."
        yield Finding(Level.FAILURE, where, message, "Run as the service's user, or chown it.")
    owner = foreign_owner(settings)
    if owner is not None:
        message = f"{str(path)!r} belongs to {owner}, and not to this user."
        action = "Run these commands as that user: what they make is not the service's otherwise."
        yield Finding(Level.WARNING, where, message, action)
    foreign, count = _roots(path)
    if foreign is not None:
        such = f"{str(foreign)!r} belongs" if count == 1 else f"{count} files in it belong"
        message = f"{such} to root: the service cannot change what is root's."
        action = f"chown -R --reference={path} {path}"
        yield Finding(Level.WARNING, where, message, action)
    for name, mode in found["modes"].items():
        if int(mode, 8) & 0o077:
            message = f"{str(path / name)!r} may be read by others on this machine ({mode})."
            yield Finding(Level.WARNING, where, message, f"chmod 600 {path / name}")
    if found["filesystem"] in NETWORK:
        message = f"{str(path)!r} is on a network file system ({found['filesystem']})."
        action = "Move it to a local disk: SQLite's locks are not safe there."
        yield Finding(Level.WARNING, where, message, action)
    needed = LITTLE_SPACE
    if settings["CACHE_DRIVER"] == "file":
        needed += max(0, settings["CACHE_FILE_MAX_MB"] * 2**20 - _size(path / "cache.sqlite3"))
    if found["free_bytes"] < needed:
        free = found["free_bytes"] // 2**20
        message = f"The disk of {str(path)!r} has {free} MiB left; {needed // 2**20} may be needed."
        level = Level.FAILURE if found["free_bytes"] < LITTLE_SPACE // 4 else Level.WARNING
        yield Finding(level, where, message, "Make room, or lower CACHE_FILE_MAX_MB.")


def database(registry: Registry, settings: Settings) -> tuple[dict[str, Any], list[Finding]]:
    """Read the database of services and API keys."""
    place = "CACHEAPI_DATABASE_URL" if settings["CACHEAPI_DATABASE_URL"] else "cacheapi.sqlite3"
    try:
        services, api_keys = registry.store.counts()
    except DatabaseFailed as error:
        reason = str(error)
        found = {"place": place, "readable": False, "error": reason}
        message = f"The database of services and API keys cannot be read: {reason}"
        action = f"See that it runs and lets this machine in, as {place} says."
        return found, [Finding(Level.FAILURE, "database", message, action)]
    found = {
        "place": place,
        "readable": True,
        "services": services,
        "api_keys": api_keys,
    }
    return found, []


def _roots(path: Path) -> tuple[Path | None, int]:
    """Return one of the files that are root's in a directory that is not, and their number."""
    if path.stat().st_uid == 0:
        return None, 0
    found: list[Path] = []
    with contextlib.suppress(OSError):
        for each in itertools.islice(path.rglob("*"), MOST_LOOKED_AT):
            # Some go meanwhile.
            with contextlib.suppress(OSError):
                if each.lstat().st_uid == 0:
                    found.append(each)
    return (min(found), len(found)) if found else (None, 0)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _filesystem(path: Path) -> str | None:
    """Return the type of the file system that a directory is on, where the system says it."""
    here = path.resolve()
    found, longest = None, -1
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, mounted, kind, *_ = line.split()
        if here.is_relative_to(mounted) and len(mounted) >= longest:
            found, longest = kind, len(mounted)
    return found
