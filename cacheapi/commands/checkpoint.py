"""How far a long command has come, in a small file beside its large one.

It is written whole or not at all, and only after what it speaks of is done: so a command
that ended in whatever way can go on from it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cacheapi.commands.failures import Exit, Failure


class Checkpoint:
    """A file that says how far it is.

    :param path: the file; ``None``: nothing is kept.
    :param about: what it is about; one about something else is not gone on from.
    """

    def __init__(self, path: Path | None, about: dict[str, Any]) -> None:
        self._path = path
        self._about = about

    def read(self) -> dict[str, Any]:
        """Return what was kept last; empty: nothing.

        :raises Failure: it is about something else, or cannot be read.
        """
        if self._path is None:
            return {}
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            about, state = kept["about"], kept["state"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"{str(self._path)!r} is no checkpoint; delete it.") from error
        if about != self._about:
            wrong = ", ".join(f"{name} {value!r}" for name, value in about.items())
            raise Failure(f"{str(self._path)!r} is of {wrong}; not of this one.", Exit.USAGE)
        assert isinstance(state, dict)
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Keep how far it is."""
        if self._path is None:
            return
        draft = self._path.with_name(f"{self._path.name}.new")
        # A cursor may have keys in it.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"about": self._about, "state": state}, file)
        draft.replace(self._path)

    def remove(self) -> None:
        """Forget it: all is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
