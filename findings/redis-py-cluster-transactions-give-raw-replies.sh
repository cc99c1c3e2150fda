#!/bin/sh
# redis-py 8.1.0, RedisCluster: what a transaction returns has other types than the same calls without one.
#
# redis-py makes Python's types of the replies: SMEMBERS is a set, a score is paired in a tuple, INCRBYFLOAT is a
# float, EXPIRE is a bool. So it is with redis.Redis, in a pipeline and in a transaction, and with RedisCluster
# alone and in a pipeline. In RedisCluster's pipeline(transaction=True) the replies come as the server sent them:
# a list for the set, pairs as lists, and the count as bytes, with which the next sum is a TypeError. What is
# read within WATCH, before multi(), is converted. Code that worked with one server breaks in the cluster at
# its transactions alone.
#
# Seen (Redis 7.0.15, one node with all slots): 'everything else: {b'a'} [(b'a', 1.5)] 0.5 True';
# 'RedisCluster, transaction: [b'a'] [[b'a', 1.5]] b'0.5' 1'.
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
one = redis.Redis(port=port)
one.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
for _ in range(100):
    if one.cluster("INFO")["cluster_state"] == "ok":
        break
    time.sleep(0.1)
cluster = redis.RedisCluster(host="127.0.0.1", port=port)


def calls(client):
    return [
        client.smembers("{k}set"),
        client.zrange("{k}sorted", 0, -1, withscores=True),
        client.incrbyfloat("{k}count", 0.5),
        client.expire("{k}set", 100),
    ]


def seen(client, transaction=None):
    one.delete("{k}count")
    if transaction is None:
        return calls(client)
    with client.pipeline(transaction=transaction) as pipe:
        calls(pipe)
        return pipe.execute()


one.sadd("{k}set", "a")
one.zadd("{k}sorted", {"a": 1.5})
usual = [{b"a"}, [(b"a", 1.5)], 0.5, True]
for client in (one, cluster):
    for transaction in (None, False, True):
        if (client, transaction) != (cluster, True):
            found = seen(client, transaction)
            assert repr(found) == repr(usual), (client, transaction, found)
print("everything else:", *usual)
raw = seen(cluster, True)
print("RedisCluster, transaction:", *raw)
assert repr(raw) == repr([[b"a"], [[b"a", 1.5]], b"0.5", 1]), raw
PYTHON
echo "redis-py 8.1.0: as described"
