#!/bin/sh
# redis-py 8.1.0, RedisCluster: a WATCH is lost with its connection, and the transaction goes through all the same.
#
# WATCH is the connection's: who loses it between WATCH and EXEC cannot know any more whether another client has
# changed the key. redis.Redis says so: its pipeline raises WatchError, and the usual loop begins anew. The same
# lines with RedisCluster send MULTI … EXEC again over a new connection, which watches nothing: "OK", and what the
# other client wrote in between is gone. A server that closes idle connections, a restart and a balancer's time
# limit all do that. With the connection whole it raises WatchError as it should.
#
# Seen: Redis 7.0.15, one node with all slots: 'Redis, cut: WatchError, stock 3', 'RedisCluster, whole: WatchError,
# stock 3', 'RedisCluster, cut: done, stock 9', where another client had set 3.
set -eu
folder=$(mktemp -d)
# A node has a second port, 10,000 above its own.
port=$(python3 -c 'import random; print(random.randrange(20000, 30000))')
redis-server --port "$port" --bind 127.0.0.1 --cluster-enabled yes --save '' --dir "$folder" >/dev/null & pid=$!
trap 'kill $pid; wait $pid || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install redis==8.1.0
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time

import redis

port = int(sys.argv[1])
other = redis.Redis(port=port)
other.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
for _ in range(100):
    if other.cluster("INFO")["cluster_state"] == "ok":
        break
    time.sleep(0.1)


def take_one(client, cut: bool) -> tuple[str, int]:
    other.set("stock", 10)
    with client.pipeline(transaction=True) as pipe:
        pipe.watch("stock")
        seen = int(pipe.get("stock"))
        other.set("stock", 3)
        if cut:
            other.client_kill_filter(_type="normal", skipme=True)
        pipe.multi()
        pipe.set("stock", seen - 1)
        try:
            pipe.execute()
            said = "done"
        except redis.WatchError:
            said = "WatchError"
    return said, int(other.get("stock"))


seen = {
    "Redis, cut": take_one(redis.Redis(port=port), True),
    "RedisCluster, whole": take_one(redis.RedisCluster(host="127.0.0.1", port=port), False),
    "RedisCluster, cut": take_one(redis.RedisCluster(host="127.0.0.1", port=port), True),
}
for name, (said, stock) in seen.items():
    print(f"{name}: {said}, stock {stock}")
assert list(seen.values()) == [("WatchError", 3), ("WatchError", 3), ("done", 9)], seen
PYTHON
echo "redis-py 8.1.0: as described"
