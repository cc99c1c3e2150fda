"""Real servers on free ports of 127.0.0.1, stopped by their process ids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support import pausing
from tests.support.timing import Stopwatch

REPOSITORY = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when something listens on a port, after a minute at most: the machine may be busy."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def eventually(check, within: float = 5.0):
    """Return what ``check`` returns once that is true; fail after ``within`` seconds.

    The time in which the machine was busy with other work does not count, up to a minute.
    """
    watch, deadline = Stopwatch(), time.monotonic() + within + 60
    while True:
        result = check()
        if result:
            return result
        if watch() > within or time.monotonic() > deadline:
            raise AssertionError(f"still {result!r} after {within} s")
        time.sleep(0.02)


class Server:
    """A server process on a port; it can be killed, paused and started again on the same port."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.start()

    def start(self) -> None:
        raise NotImplementedError

    def _run(self, command: list[str], environ: Mapping[str, str] | None = None) -> None:
        """Run it, and return when it listens."""
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self._process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """Kill it as ``kill -9`` does."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it hang."""
        pausing.pause(self.pid, eventually)

    def resume(self) -> None:
        """Let it go on; return once it has done what it was sent meanwhile."""
        pausing.resume(self.pid, self.port, eventually)

    def connect(self) -> socket.socket:
        """Return a plain connection, to say what no client library would."""
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def stop(self) -> None:
        if self._process.poll() is None:
            self.kill()


class Memcached(Server):
    """A memcached server.

    :cvar host: where it listens.
    :param open_port: where the tests look into a server that wants a password on its port.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        open_port: int | None = None,
        port: int | None = None,
    ) -> None:
        self._arguments = arguments
        self._environ = environ
        self._open_port = open_port
        super().__init__(port)

    def start(self) -> None:
        command = ["memcached", "-l", self.host, "-p", str(self.port), "-U", "0"]
        if os.getuid() == 0:
            command += ["-u", "root"]
        if self._open_port is not None:
            command += ["-l", f"proto[ascii]:127.0.0.1:{self._open_port}"]
        self._run([*command, *self._arguments], self._environ)

    def say(self, command: bytes) -> bytes:
        """Send a raw command and return the first part of the reply."""
        with self._look() as connection:
            connection.sendall(command)
            return connection.recv(65536)

    @contextlib.contextmanager
    def full_of_clients(self, most: int) -> Iterator[None]:
        """Hold more connections than the ``most`` that it was started to take."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                for _ in range(most + 40):
                    held.enter_context(self.connect())

            def full() -> bool:
                # Some that it took in at first it may have closed again.
                if not any(self._takes_clients() for _ in range(3)):
                    return True
                held.enter_context(self.connect())
                return False

            eventually(full, 20)
            yield
        eventually(self._takes_clients)

    def _takes_clients(self) -> bool:
        try:
            return self.say(b"version\r\n").startswith(b"VERSION")
        except OSError:
            return False

    def plant(self, key: str, value: bytes, flags: int) -> None:
        """Store as another program would, with its flags."""
        head = f"set {key} {flags} 0 {len(value)}\r\n".encode()
        assert self.say(head + value + b"\r\n") == b"STORED\r\n"

    def _look(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._open_port or self.port), 5)

    def statistics(self) -> dict[str, str]:
        with self._look() as connection, connection.makefile("rb") as replies:
            connection.sendall(b"stats\r\n")
            lines = iter(replies.readline, b"END\r\n")
            return {line.split()[1].decode(): line.split()[2].decode() for line in lines}


@contextlib.contextmanager
def memcached(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    open_port: int | None = None,
    port: int | None = None,
) -> Iterator[Memcached]:
    """Run a memcached server."""
    server = Memcached(*arguments, environ=environ, open_port=open_port, port=port)
    try:
        yield server
    finally:
        server.stop()


SASL_PASSWORD = "s3cr-3t-of-the-test"
SASL_USER = "user@cacheapi"


@contextlib.contextmanager
def sasl_memcached(*arguments: str) -> Iterator[Memcached]:
    """Run a memcached server that wants :data:`SASL_USER` and :data:`SASL_PASSWORD`."""
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        database = base / "users"
        (base / "memcached.conf").write_text(f"mech_list: plain\nsasldb_path: {database}\n")
        user, realm = SASL_USER.split("@")
        subprocess.run(
            ["saslpasswd2", "-p", "-a", "memcached", "-c", "-u", realm, "-f", database, user],
            input=SASL_PASSWORD.encode(),
            check=True,
        )
        environ = {"SASL_CONF_PATH": str(base)}
        with memcached("-S", *arguments, environ=environ, open_port=free_port()) as server:
            yield server


class Service:
    """A live ``gunicorn wsgi:app`` with a data directory of its own.

    :cvar within: the command that it is run by, if any.
    """

    api_key = "the-key-of-the-tests"
    within: tuple[str, ...] = ()

    def __init__(
        self, directory: Path, *arguments: str, app: str = "wsgi:app", **settings: str
    ) -> None:
        self.port = free_port()
        self._app = app
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self.log = directory / "log"
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CACHE", "MEMCACHED_", "REDIS_")) and name != "WEB_CONCURRENCY"
        } | {
            "CACHEAPI_DATA_DIR": str(directory / "data"),
            "CACHEAPI_API_KEY": self.api_key,
            "PORT": str(self.port),
            **settings,
        }
        self._arguments = arguments
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, sys.executable, "-m", "gunicorn", self._app, *self._arguments],
                cwd=REPOSITORY,
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for_port(self.port, self.process)
        except RuntimeError as error:
            raise RuntimeError(self.log.read_text()) from error
        # The port is open before the workers are there.
        wanted = int(self.environ.get("WEB_CONCURRENCY") or len(os.sched_getaffinity(0)))
        eventually(lambda: len(self.workers()) >= wanted, 20)

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def stop(self) -> int:
        """Stop it as an operator does; return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            for worker in self.workers():
                os.kill(worker, signal.SIGKILL)
            self.process.kill()
            return self.process.wait()


@contextlib.contextmanager
def service(
    directory: Path, *arguments: str, app: str = "wsgi:app", **settings: str
) -> Iterator[Service]:
    """Run the service, or a variant of its application."""
    directory.mkdir(exist_ok=True)
    live = Service(directory, *arguments, app=app, **settings)
    try:
        yield live
    finally:
        live.stop()
