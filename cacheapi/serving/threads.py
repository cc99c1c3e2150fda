"""Threads that work for an event loop.

As :meth:`asyncio.loop.run_in_executor` has, with less between: what is done is put down, and the
loop is woken once for all that is. On the way there and back a request spends a third of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

_Work = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]
_Done = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Threads:
    """Threads of one event loop at a time; the process does not wait for them when it ends.

    :param most: how many there are at most; they start as they are needed.
    :param name: what their names begin with.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: SimpleQueue[_Work] = SimpleQueue()
        self._done: deque[_Done] = deque()
        # Whether the loop was told that something is done.
        self._told = False
        # The loop's alone: how many there are, and how much they have to do.
        self._number = 0
        self._load = 0

    def run(self, work: Callable[..., Result], *arguments: Any) -> asyncio.Future[Result]:
        """Have work done on a thread; to be called on the loop.

        :return: its result, or what it raised.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._told, self._load = loop, False, 0
        future: asyncio.Future[Result] = loop.create_future()
        self._load += 1
        self._waiting.put((future, work, arguments))
        if self._load > self._number < self._most:
            name = f"{self._name}_{self._number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
            self._number += 1
        return future

    def _work(self) -> None:
        while True:
            future, work, arguments = self._waiting.get()
            result, error = None, None
            try:
                result = work(*arguments)
            except BaseException as raised:  # noqa: BLE001 (raised where it is waited for)
                error = raised
            self._tell(future, result, error)
            # Until the next request it holds nothing of this one.
            del future, work, arguments, result, error

    def _tell(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        loop = future.get_loop()
        if loop is not self._loop:
            # It has ended, and nobody waits.
            return
        self._done.append((future, result, error))
        if not self._told:
            self._told = True
            # It may end in this moment.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Before it looks: what is done from here on is told again.
        self._told = False
        while self._done:
            future, result, error = self._done.popleft()
            if future.get_loop() is not self._loop:
                continue
            self._load -= 1
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
