#!/bin/sh
# libmc 1.4.17: a value whose flags it does not know is None, which is what an absent key is.
#
# The flags beside a value of memcached are the writer's own. libmc's own text has the flags 32, and 16
# is what pymemcache and pylibmc write a text with: the three clients share a server only in part. That
# libmc cannot read such a value is no surprise; that get() gives None for it, with no exception and
# nothing in a log, is: who reads takes it for a miss, computes the value, and overwrites the other
# program's. get_multi() has the key among its answers, with None.
#
# Seen: flags 0: b'{"a": 1}'; flags 16: None, though the server has the key.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 &
pid=$!
trap 'kill $pid; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install libmc==1.4.17
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys

import libmc

port = int(sys.argv[1])
connection = socket.create_connection(("127.0.0.1", port), 5)
for flags in (0, 16):
    connection.sendall(b'set key%d %d 0 8\r\n{"a": 1}\r\n' % (flags, flags))
    assert connection.recv(100) == b"STORED\r\n"
connection.sendall(b"get key16\r\n")
there = connection.recv(100)
assert there.startswith(b"VALUE key16 16 8"), there
client = libmc.Client([f"127.0.0.1:{port}"])
found = {flags: client.get(f"key{flags}") for flags in (0, 16)}
print(found, client.get("absent"), client.get_multi(["key0", "key16", "absent"]))
assert found == {0: b'{"a": 1}', 16: None}, found
PYTHON
echo "libmc 1.4.17: as described"
