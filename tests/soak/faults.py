"""The faults of servers that stand alone or in a pool: what each may do to which keys."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from typing import ClassVar, Protocol

from tests.soak.client import ALL_KEYS
from tests.soak.ledger import Ledger, Window
from tests.soak.model import Model, Slack
from tests.support.live import CACHE, Connection
from tests.support.processes import Memcached, Server, Service
from tests.support.redis import Redis

# How long a server stays dead or stopped.
FAULT_SECONDS = 3.0
# The promises of the fault matrix, in seconds.
SINGLE_BACK = 3.0
POOL_BACK = 7.0
FAILOVER = 5.0
WORKER_BACK = 1.0
# What a machine that has other work may add to a promised time.
TOLERANCE = 2.0

MEMCACHED_SLACK = Slack(1.6, 5.0)
EXACT_SLACK = Slack(0.05, 1.0)


class Stage(Protocol):
    """What a fault needs of the run."""

    model: Model
    ledger: Ledger
    random: random.Random
    service: Service

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def until(self, check: Callable[[], bool], within: float, promise: str) -> None:
        """Let time pass until something is so; else the promise is broken."""


class Kind:
    """A backend.

    :cvar lists: whether it can list keys.
    :cvar stores: how many servers hold keys, each its own.
    """

    name: ClassVar[str]
    lists: ClassVar[bool] = False
    stores: ClassVar[int] = 1
    slack: ClassVar[Slack] = EXACT_SLACK

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the service."""
        raise NotImplementedError

    def prepare(self, stage: Stage) -> None:
        """Look at where the keys are, before the first request of a client."""

    def fault(self, stage: Stage) -> None:
        """Do a fault, and return when it is over."""
        raise NotImplementedError


def break_server(stage: Stage, server: Server, action: str, store: int | None = None) -> None:
    """Kill or stop a server, and bring it back.

    :param store: its number in the model, where what it holds is gone once it is dead.
    """
    if action == "stop":
        server.pause()
        stage.wait(FAULT_SECONDS)
        server.resume()
        return
    server.kill()
    if store is not None:
        stage.model.kill(store)
    stage.wait(FAULT_SECONDS)
    if store is not None:
        stage.model.revive(store)
    server.start()


def choose_action(stage: Stage) -> str:
    return stage.random.choice(("kill", "stop"))


class Single(Kind):
    """One server, which keeps nothing on disk."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def fault(self, stage: Stage) -> None:
        action = choose_action(stage)
        window = stage.ledger.open(Window(f"{action} of the server"))
        stage.model.loosen(ALL_KEYS)
        break_server(stage, self.server, action, 0)
        stage.ledger.close(window, after=SINGLE_BACK)
        stage.wait(SINGLE_BACK)
        stage.model.settle(ALL_KEYS)


class OneMemcached(Single):
    name = "memcached"
    slack = MEMCACHED_SLACK

    @property
    def settings(self) -> dict[str, str]:
        return {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{self.server.port}"}


class OneRedis(Single):
    name = "redis"
    lists = True

    def __init__(self, server: Redis) -> None:
        super().__init__(server)
        self._settings = server.settings

    @property
    def settings(self) -> dict[str, str]:
        return {"CACHE_DRIVER": "redis", **self._settings}


class Pool(Kind):
    """Three memcached: the keys of one that fails go to the others, and come back to it."""

    name = "pool"
    stores = 3
    slack = MEMCACHED_SLACK
    # A get or a set is sent to another server; what would count twice is not.
    spared = frozenset({"get", "look", "set", "put", "touch"})
    # One when the server fails, one when it is tried again.
    failures_of_a_client = 2

    def __init__(self, servers: list[Memcached]) -> None:
        self.servers = servers
        self.home: dict[str, int] = {}

    @property
    def settings(self) -> dict[str, str]:
        hosts = ",".join(f"127.0.0.1:{server.port}:1" for server in self.servers)
        return {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": hosts}

    def prepare(self, stage: Stage) -> None:
        with Connection(stage.service.port) as connection:
            pairs = [{"key": key, "value": 1} for key in ALL_KEYS]
            assert connection.call("POST", CACHE, {"resource": pairs}).status == 201
            for key in ALL_KEYS:
                replies = [server.say(b"get %s\r\n" % key.encode()) for server in self.servers]
                (self.home[key],) = [
                    store for store, reply in enumerate(replies) if reply != b"END\r\n"
                ]
            assert connection.call("DELETE", CACHE).status == 200
        stage.model.settle(ALL_KEYS, self.home.__getitem__)

    def fault(self, stage: Stage) -> None:
        action = choose_action(stage)
        store = stage.random.randrange(self.stores)
        server = self.servers[store]
        touched = [key for key in ALL_KEYS if self.home[key] == store]
        window = Window(f"{action} of server {store}", self.spared, self.failures_of_a_client)
        stage.ledger.open(window)
        stage.model.loosen(touched, range(self.stores))
        break_server(stage, server, action, store)
        stage.ledger.close(window, after=POOL_BACK)
        stage.wait(POOL_BACK)
        stage.model.settle(touched, self.home.__getitem__)
        asked = _gets(server)
        stage.until(lambda: _gets(server) > asked, TOLERANCE, f"server {store} is in use again")


def _gets(server: Memcached) -> int:
    return int(server.statistics()["cmd_get"])


class File(Kind):
    """The embedded file; what fails is a worker in the midst of its work."""

    name = "file"
    lists = True
    settings = {"CACHE_DRIVER": "file"}  # noqa: RUF012

    def fault(self, stage: Stage) -> None:
        before = stage.service.workers()
        worker = stage.random.choice(before)
        window = stage.ledger.open(Window(f"kill of worker {worker}"))
        os.kill(worker, signal.SIGKILL)

        def replaced() -> bool:
            now = stage.service.workers()
            return worker not in now and len(now) == len(before)

        stage.until(replaced, WORKER_BACK + TOLERANCE, "the worker is replaced")
        stage.ledger.close(window, after=WORKER_BACK)
        stage.wait(WORKER_BACK)
