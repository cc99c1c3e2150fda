#!/bin/sh
# twemproxy 0.5.0 (Debian's nutcracker): one dead server of a pool takes the whole multi-get with it.
#
# A "get" of several keys is divided among the servers behind the proxy, and its answer put together. Where
# one of them is down the answer to the client is the single line "SERVER_ERROR Connection refused", though
# the others have answered and their values were there; then the connection is closed, so what was sent
# behind it on the same connection goes unanswered. A get of each key alone is answered by every server
# that is up, and the connection stays. (Without auto_eject_hosts, which is off by default.)
#
# Seen: of 20 keys alone some are there and some are the error; all 20 in one get: the error, then the end.
set -eu
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
nutcracker=$(command -v nutcracker || echo /usr/sbin/nutcracker)
folder=$(mktemp -d)
one=$(port) two=$(port) front=$(port) figures=$(port)
memcached -u "$(id -un)" -l 127.0.0.1 -p "$one" -U 0 & first=$!
memcached -u "$(id -un)" -l 127.0.0.1 -p "$two" -U 0 & second=$!
cat >"$folder/conf.yml" <<CONF
pool:
  listen: 127.0.0.1:$front
  hash: md5
  distribution: ketama
  timeout: 2000
  servers:
   - 127.0.0.1:$one:1
   - 127.0.0.1:$two:1
CONF
"$nutcracker" -c "$folder/conf.yml" -a 127.0.0.1 -s "$figures" 2>/dev/null & proxy=$!
trap 'kill $first $proxy; rm -rf "$folder"' EXIT
sleep 2
python3 - "$front" "$second" <<'PYTHON'
import os
import signal
import socket
import sys
import time

front, second = map(int, sys.argv[1:])
connection = socket.create_connection(("127.0.0.1", front), 5)
connection.settimeout(5)
keys = [b"key%d" % number for number in range(20)]


def ask(command):
    connection.sendall(command)
    time.sleep(0.05)
    return connection.recv(65536)


for key in keys:
    assert ask(b"set %b 0 0 1\r\n1\r\n" % key) == b"STORED\r\n"
os.kill(second, signal.SIGKILL)
time.sleep(0.5)
alone = [ask(b"get %b\r\n" % key) for key in keys]
there = sum(answer.startswith(b"VALUE") for answer in alone)
refused = sum(answer == b"SERVER_ERROR Connection refused\r\n" for answer in alone)
together = ask(b"get %b\r\n" % b" ".join(keys))
end = connection.recv(100)
print(f"alone: {there} there, {refused} refused; together: {together!r}, then {end!r}")
assert there > 0, alone
assert there + refused == 20, alone
assert together == b"SERVER_ERROR Connection refused\r\n", together
assert end == b"", end
PYTHON
echo "twemproxy 0.5.0: as described"
