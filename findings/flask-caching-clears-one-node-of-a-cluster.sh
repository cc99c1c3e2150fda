#!/bin/sh
# Flask-Caching 2.5.1 (cachelib 0.17.0, redis-py 8.1.0), RedisClusterCache: clear() clears one node, and says True.
#
# With a key prefix ("flask_cache_" unless the application says another) clear() asks for the keys that begin with
# it, and deletes them. RedisCluster.keys() asks one node only, its default node, so what the other masters hold
# stays: of three, two thirds, and the result is True all the same. Again and again it is that node: the second
# call finds nothing there, and is False. An old page, price or right that was cleared after a release is served
# on until it expires, by chance of its hash.
#
# Seen: of 60 entries on three masters of Redis 7.0.15 some 20 are gone after 'clear(): True', and no more after
# 'clear(): False'; each other key is still read.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install \
    flask-caching==2.5.1 cachelib==0.17.0 flask==3.1.3 redis==8.1.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib
import random
import subprocess
import sys
import time

import redis
from flask import Flask
from flask_caching import Cache

# A node has a second port, 10,000 above its own.
PORTS = random.sample(range(20000, 30000), 3)
NODES = [f"127.0.0.1:{port}" for port in PORTS]
processes = []
try:
    for port in PORTS:
        folder = pathlib.Path(sys.argv[1], str(port))
        folder.mkdir()
        options = "--bind 127.0.0.1 --cluster-enabled yes".split()
        processes.append(
            subprocess.Popen(
                ["redis-server", "--port", str(port), *options, "--save", "", "--dir", str(folder)],
                stdout=subprocess.DEVNULL,
            )
        )
    nodes = [redis.Redis(port=port) for port in PORTS]
    for node in nodes:
        for _ in range(100):
            try:
                node.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.1)
    create = ["redis-cli", "--cluster", "create", *NODES, "--cluster-yes"]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
    app = Flask("application")
    cache = Cache(app, config={"CACHE_TYPE": "RedisClusterCache", "CACHE_REDIS_CLUSTER": ",".join(NODES)})
    with app.app_context():
        for number in range(60):
            cache.set(f"key{number}", number)
        sizes = [[node.dbsize() for node in nodes]]
        said = []
        for _ in range(2):
            said.append(cache.clear())
            sizes.append([node.dbsize() for node in nodes])
            print(f"clear(): {said[-1]}, entries on the nodes before and after: {sizes[-2]} {sizes[-1]}")
        left = sum(cache.get(f"key{number}") == number for number in range(60))
    print(left, "of 60 are still read")
    before, after, again = sizes
    assert sum(before) == 60, before
    assert min(before) > 0, before
    assert after.count(0) == 1, after
    assert sum(map(int.__ne__, before, after)) == 1, (before, after)
    assert again == after, again
    assert said == [True, False], said
    assert left == sum(after), left
finally:
    for process in processes:
        process.terminate()
        process.wait()
PYTHON
echo "Flask-Caching 2.5.1: as described"
