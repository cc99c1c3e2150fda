"""One way to call the service, in this process or over a socket, and to look into its store."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from backends.file.backend import FileBackend
from cacheapi import create_app, load
from tests.support.processes import Memcached
from tests.support.redis import Redis
from tests.support.redis_groups import Cluster, SentinelGroup

API_KEY = "the-key-of-the-tests"
ALL = "/api/v2/cache"
DEFAULT_SECONDS = 300 * 60


def entry(key: str) -> str:
    """Return the path of a key, every special character of it percent-encoded."""
    return f"{ALL}/{quote(key, safe='')}"


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of the answer, once its shape is proven to be the contract's."""
        assert self.headers["Content-Type"] == "application/json"
        document = self.json
        assert list(document) == ["error"]
        error: dict[str, Any] = document["error"]
        assert sorted(error) == ["code", "context", "message", "status_code"]
        assert error["code"] == error["status_code"] == self.status
        assert isinstance(error["message"], str)
        assert error["message"]
        return error

    @property
    def message(self) -> str:
        return str(self.error["message"])


class FileStore:
    """What the file backend keeps."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def plant(self, key: str, value: bytes) -> None:
        backend = FileBackend(data_dir=str(self.data_dir))
        backend.set(key, value, None)
        backend.close()

    def get(self, key: str) -> bytes:
        with contextlib.closing(FileBackend(data_dir=str(self.data_dir))) as backend:
            return bytes(backend.get(key) or b"")

    def lifetime(self, key: str) -> float | None:
        """Return the seconds that a key has left, ``None`` for ever."""
        with contextlib.closing(sqlite3.connect(self.data_dir / "cache.sqlite3")) as database:
            (expires,) = database.execute(
                "SELECT expires FROM entries WHERE key = ?", (key.encode(),)
            ).fetchone()
        return None if math.isinf(expires) else expires - time.time()


class MemcachedStore:
    """What memcached servers keep."""

    def __init__(self, *servers: Memcached) -> None:
        self.servers = servers

    def plant(self, key: str, value: bytes) -> None:
        # On all of them: which of them the pool asks for a key is its own affair.
        for server in self.servers:
            server.plant(key, value, 0)

    def get(self, key: str) -> bytes:
        """Return the stored bytes of a key that has no line ends in them."""
        (reply,) = self._hits(b"get %s\r\n" % key.encode())
        return reply.split(b"\r\n")[1]

    def lifetime(self, key: str) -> float | None:
        """Return the seconds that a key has left, ``None`` for ever."""
        (reply,) = self._hits(b"mg %s t\r\n" % key.encode())
        seconds = int(reply.split()[1][1:])
        return None if seconds == -1 else seconds

    def _hits(self, command: bytes) -> list[bytes]:
        replies = [server.say(command) for server in self.servers]
        return [reply for reply in replies if reply.startswith((b"VALUE", b"HD"))]


class RedisStore:
    """What Redis keeps, on one server or on several, below the prefix that is the default."""

    def __init__(self, servers: Redis | SentinelGroup | Cluster) -> None:
        self.servers = servers

    def plant(self, key: str, value: bytes) -> None:
        self.servers.call("SET", f"cacheapi:{key}", value)

    def get(self, key: str) -> bytes:
        return bytes(self.servers.call("GET", f"cacheapi:{key}"))

    def lifetime(self, key: str) -> float | None:
        """Return the seconds that a key has left, ``None`` for ever."""
        left = self.servers.call("PTTL", f"cacheapi:{key}")
        assert left != -2
        return None if left == -1 else left / 1000


Store = FileStore | MemcachedStore | RedisStore


class Api:
    """A service to call."""

    api_key = API_KEY

    def __init__(self, driver: str, store: Store) -> None:
        self.driver = driver
        self.store = store

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | None] | None = None,
        body: Any = None,
        query: str | None = None,
    ) -> Answer:
        """Send a request with the API key; a header that is ``None`` is left out.

        A body that is not bytes goes as JSON.
        """
        sent: dict[str, str | None] = {"X-DreamFactory-API-Key": self.api_key}
        if body is not None:
            sent["Content-Type"] = "application/json"
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
        sent.update(headers or {})
        return self._send(
            method,
            path if query is None else f"{path}?{query}",
            {name: value for name, value in sent.items() if value is not None},
            body,
        )

    def _send(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        raise NotImplementedError

    def store_one(self, key: str, value: Any, **more: Any) -> Answer:
        answer = self.call("POST", ALL, body={"key": key, "value": value, **more})
        assert answer.status == 201, answer
        return answer

    def value(self, key: str) -> Any:
        """Return the value of a key that is there."""
        answer = self.call("GET", entry(key))
        assert answer.status == 200, answer
        return answer.json["value"]

    def status(self, key: str) -> int:
        return self.call("GET", entry(key)).status

    def etag(self, key: str) -> str:
        tag = self.call("GET", entry(key)).headers["ETag"]
        assert isinstance(tag, str)
        return tag

    def close(self) -> None:
        """Close the connections."""


class AppApi(Api):
    """The application in this process."""

    def __init__(self, driver: str, store: Store, app: Flask) -> None:
        super().__init__(driver, store)
        self.app = app

    def _send(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        path, _, query = target.partition("?")
        environ = EnvironBuilder(method=method, headers=headers).get_environ()
        # What gunicorn makes of a raw request line.
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
        environ["QUERY_STRING"] = query
        environ["wsgi.input"] = io.BytesIO(body or b"")
        if body is not None:
            environ["CONTENT_LENGTH"] = headers.get("Content-Length", str(len(body)))
        chunks, status, answered = run_wsgi_app(self.app, environ)
        try:
            return Answer(int(status.split()[0]), answered, b"".join(chunks))
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def close(self) -> None:
        close_app(self.app)


def close_app(app: Flask) -> None:
    """Close the connections of an application's caches, and of its database."""
    app.extensions["cacheapi"].close()


class LiveApi(Api):
    """A service behind a port; request lines go as they are."""

    def __init__(self, driver: str, store: Store, port: int) -> None:
        super().__init__(driver, store)
        self.port = port

    def _send(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            # A refused body may be answered before all of it was sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())


@contextlib.contextmanager
def application(directory: Path, **settings: str) -> Iterator[AppApi]:
    """The application with settings of its own, on a file unless they say otherwise."""
    given = {"CACHEAPI_API_KEY": API_KEY, "CACHEAPI_DATA_DIR": str(directory), **settings}
    app = create_app(load(given, None))
    api = AppApi(settings.get("CACHE_DRIVER", "file"), FileStore(directory), app)
    try:
        yield api
    finally:
        api.close()
