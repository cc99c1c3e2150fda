"""twemproxy (``nutcracker``) in front of memcached or Redis servers."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.processes import Server, free_port
from tests.support.tools import tool


class Nutcracker(Server):
    """A proxy before servers; it knows few commands, and closes the connection at others.

    :param servers: where keys go, by their hash.
    :param redis: they are Redis, not memcached.
    :param lines: more of its settings.
    """

    def __init__(self, servers: Sequence[Server], *lines: str, redis: bool = False) -> None:
        self._program = tool("nutcracker")
        self._redis = redis
        self._home = tempfile.TemporaryDirectory()
        self._lines = [
            *("hash: md5", "distribution: ketama", f"redis: {str(redis).lower()}"),
            *("server_retry_timeout: 500", "timeout: 5000", *lines, "servers:"),
            *(f" - 127.0.0.1:{server.port}:1" for server in servers),
        ]
        super().__init__()

    def start(self) -> None:
        path = Path(self._home.name) / "nutcracker.yml"
        lines = [f"listen: 127.0.0.1:{self.port}", *self._lines]
        path.write_text("pool:\n" + "".join(f"  {line}\n" for line in lines))
        # It serves its own statistics on a port as well.
        self._run([self._program, "-c", str(path), "-a", "127.0.0.1", "-s", str(free_port())])

    @property
    def settings(self) -> dict[str, str]:
        """What the service needs to use it."""
        kind = "REDIS" if self._redis else "MEMCACHED"
        return {f"{kind}_HOST": "127.0.0.1", f"{kind}_PORT": str(self.port)}

    def stop(self) -> None:
        super().stop()
        self._home.cleanup()


@contextlib.contextmanager
def nutcracker(servers: Sequence[Server], *lines: str, redis: bool = False) -> Iterator[Nutcracker]:
    """Run one."""
    proxy = Nutcracker(servers, *lines, redis=redis)
    try:
        yield proxy
    finally:
        proxy.stop()
