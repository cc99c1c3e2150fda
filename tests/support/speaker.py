"""A server that says what it is told to, to try what takes replies."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

from backends.memcached.greeting import GREETING


class Speaker:
    """Answer whatever comes with ``parts``, each a packet, and then with nothing.

    The greeting of a client of memcached is answered as memcached does. Where a part is
    empty it waits for ``go_on``.
    """

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.parts: Sequence[bytes] = ()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while data := connection.recv(65536):
                    if data == GREETING:
                        connection.sendall(b"VERSION 1.6.18\r\n")
                        continue
                    for part in self.parts:
                        if part == b"":
                            self.go_on.wait(5)
                        connection.sendall(part)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def speaking() -> Iterator[Speaker]:
    """Run one."""
    speaker = Speaker()
    try:
        yield speaker
    finally:
        speaker.close()
