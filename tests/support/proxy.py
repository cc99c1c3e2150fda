"""A TCP proxy that spoils what a server answers."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

GARBAGE = b"\x00\xff\x17BLAH blah\r\n" * 4


class Proxy:
    """Pass connections on to a port, and replies as ``mode`` says.

    ``pass``: unchanged. ``cut``: ``size`` bytes, then closed. ``hold``: ``size`` bytes,
    then silence. ``reset``: closed with a reset. ``garbage``: something else instead.
    ``delay``: ``seconds`` late. ``swallow``: nothing at all. The first ``skip`` replies are
    unchanged in every mode, and so are those after the next ``times``, if that is given.

    ``target`` is where new connections go; those that there are stay where they are.
    """

    def __init__(self, target: int) -> None:
        self.mode = "pass"
        self.size = 0
        self.skip = 0
        self.times: int | None = None
        self.seconds = 0.0
        self.target = target
        self._sockets: list[socket.socket] = []
        self._forgotten: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                self._sockets += [client, server]
                for source, sink, spoil in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, spoil), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, spoil: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source in self._forgotten:
                    continue
                if not spoil or self._answer(data, sink):
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _answer(self, data: bytes, sink: socket.socket) -> bool:
        """Spoil a reply; return whether it is to be passed on."""
        if self.skip:
            self.skip -= 1
            return True
        if self.times is not None:
            if self.times == 0:
                return True
            self.times -= 1
        mode = self.mode
        if mode == "delay":
            time.sleep(self.seconds)
        elif mode == "garbage":
            sink.sendall(GARBAGE)
        elif mode in ("cut", "hold"):
            sink.sendall(data[: self.size])
            if mode == "cut":
                sink.shutdown(socket.SHUT_RDWR)
        elif mode == "reset":
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sink.close()
        return mode in ("pass", "delay")

    def forget(self) -> int:
        """Drop all connections so that neither side hears of it; new ones are passed on.

        :return: how many were ever dropped.
        """
        self._forgotten.update(self._sockets)
        return len(self._forgotten) // 2

    def refuse(self) -> None:
        """Take no new connections; those that there are go on."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        self._listener.close()
        for connection in self._sockets:
            connection.close()


@contextlib.contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy in front of a port."""
    running = Proxy(target)
    try:
        yield running
    finally:
        running.close()
