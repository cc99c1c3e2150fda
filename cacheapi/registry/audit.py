"""The audit log: who changed which service or API key, or flushed one. No line holds a secret.

It is written to the program's log, and kept in files of the data directory, which have the last
of this machine. What is done often, such as purges, has a file of its own: it pushes out nothing
else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from backends import owned
from cacheapi.registry.rights import Caller

log = logging.getLogger("cacheapi.audit")

# Of one file; there are two of each kind, an old one and the present one.
MOST_BYTES: Final = 512 * 1024
# What a service holds, and what services and API keys there are.
FLUSHED: Final = "flushed"
PURGED: Final = "purged"
DELETED_PREFIX: Final = "deleted by prefix in"
IMPORTED: Final = "imported into"
CONTENTS: Final = (FLUSHED, PURGED, DELETED_PREFIX, IMPORTED)
_FILES: Final = ("changes", "contents")
_FOLDER: Final = "audit"
_LOCK: Final = "lock"
_PLACE: Final = re.compile(r"[0-9]{1,20}")


class Act(msgspec.Struct, frozen=True, array_like=True):
    """What somebody did.

    :ivar moment: Unix time in nanoseconds.
    :ivar who: who that was in words: ``API key 3``, ``command line``.
    :ivar caller: the name of that API key, or of the person at the machine.
    :ivar action: a verb in the past: ``created``, ``changed``, ``deleted``, ``flushed``.
    :ivar kind: what it was done to: ``service``, ``API key``.
    :ivar number: its id, if it has one.
    :ivar name: its name at that time.
    :ivar detail: what of it, in words: which fields changed, how many keys were deleted.
    """

    moment: int
    who: str
    caller: str
    action: str
    kind: str
    number: int | None
    name: str
    # Lines of before have none.
    detail: str = ""

    @property
    def time(self) -> float:
        """The same in seconds."""
        return self.moment / 1e9


class Acts(NamedTuple):
    """Some acts, the newest first, and the place of the next ones; ``None``: there are none."""

    acts: list[Act]
    following: str | None


class BadPlace(ValueError):
    """A text is no place in the audit log."""


# Where nothing can be kept, which was told.
_lost: set[Path] = set()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Act)


def note(
    data_dir: Path | None,
    caller: Caller,
    action: str,
    kind: str,
    number: int | None,
    name: str,
    detail: str = "",
) -> None:
    """Write and keep a line: the caller, then what was done to what.

    :param data_dir: where it is kept; where it cannot be, or with ``None``, the program's log
        alone has it.
    :param action: as :class:`Act` has it.
    :param detail: likewise. It names keys only where logs may have them, each as JSON.
    """
    if caller.number is not None:
        who = f"API key {caller.number}"
    else:
        # Who works at the machine itself shows no key; the name of one without an id says where
        # it stands.
        who = "API key" if caller.digest else "command line"
    what = kind if number is None else f"{kind} {number}"
    # As JSON, so that no name can end the line or pretend to be another field.
    shown = (who, json.dumps(caller.name), action, what, json.dumps(name))
    more = f" ({detail})" if detail else ""
    log.info("%s %s %s %s %s%s", *shown, more, extra={"action": action})
    if data_dir is None:
        return
    act = Act(time.time_ns(), who, caller.name, action, kind, number, name, detail)
    try:
        _keep(data_dir / _FOLDER, act)
    except OSError as error:
        # The log above has it, and whoever did it waits for no disk. Told once.
        if data_dir not in _lost:
            log.warning("The audit log cannot be kept in files: %s", error)
        _lost.add(data_dir)
    else:
        _lost.discard(data_dir)


def acts(data_dir: Path, most: int, place: str | None = None, search: str = "") -> Acts:
    """Return what was done on this machine, the newest first: a page of it.

    :param place: :attr:`Acts.following` of the page before.
    :param search: only with this in one of its texts.
    :raises BadPlace: there is no such place.
    """
    if place is not None and not _PLACE.fullmatch(place):
        raise BadPlace(place)
    before = None if place is None else int(place)
    wanted = search.casefold()
    found = [
        act
        for act in _kept(data_dir / _FOLDER)
        if (before is None or act.moment < before) and wanted in _text(act)
    ]
    found.sort(key=lambda act: act.moment, reverse=True)
    page = found[:most]
    return Acts(page, str(page[-1].moment) if len(found) > most else None)


def machine() -> str:
    """Return the name of this machine, whose log alone is here."""
    return socket.gethostname()


def _text(act: Act) -> str:
    what = act.kind if act.number is None else f"{act.kind} {act.number}"
    texts = act.who, act.caller, f"{act.action} {what}", act.name, act.detail
    return "\n".join(texts).casefold()


def _keep(directory: Path, act: Act) -> None:
    owned.folder(directory)
    file = directory / _FILES[act.action in CONTENTS]
    # Of two who find it full one puts it aside; a line goes into the file that is there then.
    with owned.locked(directory / _LOCK):
        descriptor = owned.opened(file, os.O_WRONLY | os.O_APPEND)
        try:
            # A line that a crash has cut short does not take the next with it.
            os.write(descriptor, b"\n" + _encoder.encode(act))
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size > MOST_BYTES:
            file.replace(file.with_suffix(".old"))


def _kept(directory: Path) -> list[Act]:
    found = []
    for name in _FILES:
        for file in (directory / f"{name}.old", directory / name):
            with contextlib.suppress(OSError):
                for line in file.read_bytes().split(b"\n"):
                    with contextlib.suppress(msgspec.DecodeError):
                        found.append(_decoder.decode(line))
    return found


def shown(act: Act) -> dict[str, Any]:
    """Return an act as the API has it."""
    return {
        "time": act.time,
        "who": act.who,
        "caller": act.caller,
        "action": act.action,
        "kind": act.kind,
        "id": act.number,
        "name": act.name,
        "detail": act.detail,
    }
