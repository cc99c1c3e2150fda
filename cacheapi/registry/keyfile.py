"""A secret that the first start makes and keeps in the data directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from backends import owned


def keep(path: Path, make: Callable[[], str]) -> bool:
    """Write what ``make`` returns to a file of mode 0600, unless there is one.

    Of several processes at once, one does.

    :return: whether this one did.
    :raises OSError: the file cannot be made.
    """
    if path.exists():
        return False
    owned.folder(path.parent)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        owned.give(descriptor, path.parent)
        file.write(f"{make()}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    return True
