"""Files that the program keeps: they belong to whom their folder belongs to, whoever makes them.

A service runs as a user of its own, and its operator may be root. What a command of root's made
in the service's directory would be root's, and the service could not change it: so it is given
to the owner of the folder that it is made in. That is done to what is new alone, and by its
descriptor: the service's user may have put a link there, which must not give away what is root's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MODE: Final = 0o600
_ROOT: Final = 0
# A file that others make and remove meanwhile.
_ATTEMPTS: Final = 4


def folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder, and those that it is in, where they are not there.

    :param mode: of the folder itself.
    :raises OSError: it cannot be made, or is none.
    """
    if not path.parent.is_dir():
        folder(path.parent, 0o777)
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if os.geteuid() == _ROOT:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            give(descriptor, path.parent)
        finally:
            os.close(descriptor)


def opened(path: Path, flags: int) -> int:
    """Open a file, made with mode 0600 where there is none; return its descriptor.

    :param flags: of :func:`os.open`, without ``O_CREAT``.
    :raises OSError: it cannot be opened.
    """
    flags |= os.O_CLOEXEC
    if os.geteuid() == _ROOT:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, flags)
            with contextlib.suppress(FileExistsError):
                descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE)
                give(descriptor, path.parent)
                return descriptor
    return os.open(path, flags | os.O_CREAT, _MODE)


def give(descriptor: int, directory: Path) -> None:
    """Give a file that is new to the owner of a folder, if root has made it."""
    if os.geteuid() != _ROOT:
        return
    # Where even root may not, it stays as it is.
    with contextlib.suppress(OSError):
        owner = directory.stat()
        if owner.st_uid != _ROOT:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock of a file, which other processes and threads wait for; give its descriptor.

    :param shared: others may hold it so too.
    :raises OSError: the file cannot be made.
    """
    descriptor = opened(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
