"""A process that is stopped and goes on, as one that hung does.

What it was sent meanwhile waits in its sockets, and it does that once it goes on: some time after
the signal, and not before what it is sent then on another connection, where it has several threads.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

# Of /proc/net/tcp and /proc/net/tcp6.
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN = "0A"


def pause(pid: int, eventually: Callable[[Callable[[], object]], object]) -> None:
    """Stop a process; return once none of its threads runs."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: set(_states(pid).values()) == {"T"})


def resume(pid: int, port: int, eventually: Callable[[Callable[[], object]], object]) -> None:
    """Let a process go on; return once it has done what it was sent meanwhile.

    :param port: where it listens.
    """
    unread = set(_unread(port))
    os.kill(pid, signal.SIGCONT)
    busy: dict[str, int] = {}

    def has_read() -> bool:
        unread.intersection_update(_unread(port))
        return not unread

    def has_done() -> bool:
        # What a thread has read it has done when it sleeps. One that waits for another's lock
        # sleeps too, but not again.
        states = _states(pid)
        for thread in states:
            busy.setdefault(thread, 2)
            busy[thread] -= states[thread] == "S"
        return all(busy[thread] <= 0 for thread in states)

    eventually(has_read)
    eventually(has_done)


def _states(pid: int) -> dict[str, str]:
    """Return the state of each thread; none if the process is gone."""
    states = {}
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            states[thread.name] = (thread / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
    return states


def _unread(port: int) -> Iterator[tuple[str, str]]:
    """Yield the connections to a port on which something waits to be read, or to be sent."""
    end = f":{port:04X}"
    for table in _TABLES:
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            here, there, state, queues = line.split()[1:5]
            unsent, unread = (int(size, 16) for size in queues.split(":"))
            if (here.endswith(end) and unread and state != _LISTEN) or (
                there.endswith(end) and unsent
            ):
                yield here, there
