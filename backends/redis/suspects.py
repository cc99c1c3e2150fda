"""The nodes of a cluster that do not answer: others shall not wait for them.

Who asks for a key of such a node is told at once what became of the last try. Meanwhile a
thread of its own asks the node, until it answers or is no longer a master.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import redis

from backends.redis.errors import Broken
from backends.redis.options import Address

# Between two tries; one that hangs takes the time limit too.
PAUSE_SECONDS: Final = 0.1


class Suspects:
    """Nodes that failed; for all threads.

    :param answers: asks one whether it is back; may take the time limit.
    :param learn: finds out who is a master now.
    """

    def __init__(self, answers: Callable[[Address], bool], learn: Callable[[], object]) -> None:
        self._answers = answers
        self._learn = learn
        self._failures: dict[Address, Broken] = {}
        self._threads: dict[Address, threading.Thread] = {}
        self._lock = threading.Lock()

    def __contains__(self, address: Address) -> bool:
        return address in self._failures

    def __iter__(self) -> Iterator[Address]:
        return iter(list(self._failures))

    def failure(self, address: Address) -> Broken | None:
        """Return what to say for a node, having asked it nothing; ``None``: ask it."""
        found = self._failures.get(address)
        if found is None:
            return None
        thread = self._threads.get(address)
        if thread is None or not thread.is_alive():
            # It ended in another process, before a fork.
            self._failures.pop(address, None)
            return None
        return Broken(found.cause, sent=False, node=found.node)

    def note(self, address: Address, failure: Broken) -> None:
        """Note that a node could not be connected to, or did not answer in time."""
        if failure.sent and not isinstance(failure.cause, redis.TimeoutError):
            # What was cut off may be well at the next try.
            return
        with self._lock:
            self._failures[address] = failure
            thread = self._threads.get(address)
            if thread is None or not thread.is_alive():
                thread = threading.Thread(
                    target=self._ask, args=(address,), name="redis-node", daemon=True
                )
                self._threads[address] = thread
                thread.start()

    def keep(self, masters: set[Address]) -> None:
        """Forget what is no master any more."""
        for address in self._failures.keys() - masters:
            self._failures.pop(address, None)

    def clear(self) -> None:
        """Forget all of them."""
        self._failures.clear()

    def _ask(self, address: Address) -> None:
        while True:
            time.sleep(PAUSE_SECONDS)
            with self._lock:
                if address not in self._failures:
                    del self._threads[address]
                    return
            self._learn()
            if address in self._failures and self._answers(address):
                self._failures.pop(address, None)
