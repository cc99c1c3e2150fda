#!/bin/sh
# memcached 1.6.18 (Debian 12): "incr" takes a number from 2^63 on, or says that it is none, depending on the
# value that lay in the same place of its memory before.
#
# protocol.txt: "the decimal representation of a 64-bit unsigned integer". Of a stored number with the highest
# bit set the server makes sure that it is not a negative one, and looks for its sign not in the digits alone
# but on behind them, in what an earlier and longer value has left in the same chunk. If there is a "-", the
# number is refused. So a counter of large numbers works for months and is refused on a day, until it is stored
# anew. Below 2^63 no number is.
#
# Seen: behind a value of 30 "x" 2^63 and 2^64-2 are counted on; behind one of 30 "-" both are "CLIENT_ERROR
# cannot increment or decrement non-numeric value", and 2^63-2 is counted on.
set -eu
python3 - <<'PYTHON'
import os
import pwd
import socket
import subprocess
import time

VERSION = subprocess.run(["memcached", "-V"], capture_output=True, text=True).stdout.strip()
print(VERSION)
assert VERSION == "memcached 1.6.18", VERSION
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
user = pwd.getpwuid(os.getuid()).pw_name
server = subprocess.Popen(["memcached", "-u", user, "-l", "127.0.0.1", "-p", str(port), "-U", "0"])
try:
    for _ in range(100):
        try:
            connection = socket.create_connection(("127.0.0.1", port), 5)
            break
        except OSError:
            time.sleep(0.05)
    replies = connection.makefile("rb")

    def say(command: bytes) -> str:
        connection.sendall(command + b"\r\n")
        return replies.readline().decode().strip()

    def store(value: bytes) -> None:
        assert say(b"set n 0 0 %d\r\n%b" % (len(value), value)) == "STORED"

    found = {}
    for before in ("x", "-"):
        for number in (2**63 - 2, 2**63, 2**64 - 2):
            store(before.encode() * 30)
            assert say(b"delete n") == "DELETED"
            store(b"%d" % number)
            found[before, number] = say(b"incr n 1")
            print(f"behind {before!r} {number}: {found[before, number]}")
finally:
    server.terminate()
    server.wait()

refused = "CLIENT_ERROR cannot increment or decrement non-numeric value"
for (before, number), said in found.items():
    assert said == (refused if before == "-" and number >= 2**63 else str(number + 1)), (before, number)
PYTHON
echo "memcached 1.6.18: as described"
