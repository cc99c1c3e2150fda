#!/bin/sh
# pylibmc 1.6.3 (libmemcached 1.0) and memcached 1.6.18 -M: one large write to a full server stops all reads of it.
#
# memcached has two texts for "no memory", and which one it says depends on the size of the value: to one
# that is stored in pieces (over 512 kB) "SERVER_ERROR Out of memory during read", to others "SERVER_ERROR
# out of memory storing object". libmemcached knows the second alone: set() raises "error 48", and all goes
# on. The first it takes for a broken server: "error 10 … SERVER ERROR", and from then on the server, which
# has answered in full and serves everybody else, "has failed and is disabled until timed retry": each
# get() and set() of any key raises ServerDown at once, without a word to the server, for seconds; of a
# pool, the keys of that server.
#
# Seen: after "error 48" get() works; after "error 10" it raises ServerDown, while a socket reads the value.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 -M -m 8 -I 1m &
pid=$!
trap 'kill $pid; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pylibmc==1.6.3
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys

import pylibmc

port = int(sys.argv[1])
client = pylibmc.Client([f"127.0.0.1:{port}"])


def fill(size: int) -> str:
    for number in range(1000):
        try:
            client.set(f"{size}:{number}", "x" * size)
        except pylibmc.Error as error:
            return str(error)
    return "never full"


def read() -> str:
    try:
        return str(client.get("kept"))
    except pylibmc.Error as error:
        return f"{type(error).__name__}: {error}"


client.set("kept", "here")
small, after_small = fill(100_000), read()
large, after_large = fill(900_000), read()
connection = socket.create_connection(("127.0.0.1", port), 5)
connection.sendall(b"get kept\r\n")
there = connection.recv(100)
print(small, "| then get:", after_small)
print(large, "| then get:", after_large, "| by a socket:", there)
assert "error 48" in small, small
assert after_small == "here", after_small
assert "error 10" in large, large
assert after_large.startswith("ServerDown"), after_large
assert b"\r\nhere\r\n" in there, there
PYTHON
echo "pylibmc 1.6.3: as described"
