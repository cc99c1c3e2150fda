"""Faults of servers that stand in for each other: Sentinel's master, and a Cluster."""

from __future__ import annotations

import time

from tests.soak.client import ALL_KEYS
from tests.soak.faults import (
    FAILOVER,
    FAULT_SECONDS,
    SINGLE_BACK,
    TOLERANCE,
    Kind,
    Stage,
    break_server,
    choose_action,
)
from tests.soak.ledger import Window
from tests.support.processes import Server
from tests.support.redis_groups import Cluster, SentinelGroup

# Replication is asynchronous: writes this young may be lost with a master.
LAG = 2.0
# How long a group of servers may take to be whole again, which no client notices.
WHOLE = 30.0


class Group(Kind):
    """Servers of which another takes over from a master that fails."""

    lists = True

    def victims(self) -> tuple[list[Server], list[Server]]:
        """Return the servers that serve, and those that do not."""
        raise NotImplementedError

    def keys_of(self, server: Server) -> list[str]:
        """Return the keys that a serving server holds."""
        raise NotImplementedError

    def is_whole(self) -> bool:
        """Return whether every server is up and could take over."""
        raise NotImplementedError

    def fault(self, stage: Stage) -> None:
        stage.until(self.is_whole, WHOLE, "the servers are whole again")
        action = choose_action(stage)
        serving, others = self.victims()
        if stage.random.random() < 0.7:
            self._failover(stage, stage.random.choice(serving), action)
        else:
            # Nobody may notice.
            break_server(stage, stage.random.choice(others), action)
            stage.wait(SINGLE_BACK)

    def _failover(self, stage: Stage, master: Server, action: str) -> None:
        touched = self.keys_of(master)
        window = stage.ledger.open(Window(f"{action} of the master at {master.port}"))
        stage.ledger.close(window, after=FAILOVER + TOLERANCE)
        # A master that starts again before another took over does so with nothing in it.
        since = time.monotonic() - LAG
        stage.model.loosen(touched, since=since, gone=action == "kill")
        break_server(stage, master, action)
        stage.wait(FAILOVER + TOLERANCE - FAULT_SECONDS)
        stage.until(self.is_whole, WHOLE, "the servers are whole again")
        stage.model.settle(touched)


class SentinelKind(Group):
    name = "sentinel"

    def __init__(self, group: SentinelGroup) -> None:
        self.group = group

    @property
    def settings(self) -> dict[str, str]:
        return {"CACHE_DRIVER": "redis", **self.group.settings}

    def victims(self) -> tuple[list[Server], list[Server]]:
        master = self.group.master
        others = [server for server in self.group.servers if server is not master]
        return [master], [*others, *self.group.sentinels]

    def keys_of(self, server: Server) -> list[str]:
        return ALL_KEYS

    def is_whole(self) -> bool:
        """Return whether all follow one master, and the Sentinels agree on it."""
        ports = {sentinel.master_port() for sentinel in self.group.sentinels}
        found = [server.info("replication") for server in self.group.servers]
        followers = [one for one in found if one["role"] == "slave"]
        return (
            len(ports) == 1
            and len(followers) == len(found) - 1
            and all(one["master_link_status"] == "up" for one in followers)
            and {int(one["master_port"]) for one in followers} == ports
            and all(sentinel.is_ready() for sentinel in self.group.sentinels)
        )


class ClusterKind(Group):
    name = "cluster"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.slots: dict[str, int] = {}

    @property
    def settings(self) -> dict[str, str]:
        return {"CACHE_DRIVER": "redis", **self.cluster.settings}

    def prepare(self, stage: Stage) -> None:
        node = self.cluster.nodes[0]
        with node.client() as client:
            for key in ALL_KEYS:
                stored = f"cacheapi:{key}"
                self.slots[key] = client.execute_command("CLUSTER", "KEYSLOT", stored)

    def victims(self) -> tuple[list[Server], list[Server]]:
        masters = self.cluster.masters()
        return [*masters], [node for node in self.cluster.nodes if node not in masters]

    def keys_of(self, server: Server) -> list[str]:
        ranges = [
            (first, last)
            for first, last, (_, port, *_), *_ in self.cluster.nodes[0].call("CLUSTER", "SLOTS")
            if port == server.port
        ]
        return [
            key
            for key, slot in self.slots.items()
            if any(first <= slot <= last for first, last in ranges)
        ]

    def is_whole(self) -> bool:
        return all(node.is_ready() for node in self.cluster.nodes)
