#!/bin/sh
# memcached 1.6.18 (Debian 12) with extstore: append and prepend to a value on the disk say that there is none.
#
# With "-o ext_path" values move from memory to disk by themselves when memory gets short; all else reads and
# changes them as before, and protocol.txt has no exception for "append". But to a value that lies on the disk
# "append" and "prepend" answer NOT_STORED, the answer for an absent key, and the meta command "ms … MA" its
# NS; "mg" and "get" have the value all the same. A program that appends to lists or logs takes the key for
# absent, and its usual next step, "add", says NOT_STORED too: neither goes, for as long as the value lies
# there. Whether it does depends on how much others have stored since.
#
# Seen: 5,600 values of 12 kB with -m 64: k100, on the disk: "append" NOT_STORED, "add" NOT_STORED, "mg" finds
# it; the last one, in memory: "append" STORED.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 -m 64 -o "ext_path=$folder/disk:512m" & server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
sleep 1
python3 - "$port" <<'PYTHON'
import socket
import sys
import time

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
connection.settimeout(10)


def ask(command: bytes) -> bytes:
    connection.sendall(command + b"\r\n")
    said = connection.recv(65536)
    while command == b"stats" and not said.endswith(b"END\r\n"):
        said += connection.recv(65536)
    return said


COUNT = 5600
for number in range(COUNT):
    assert ask(b"set k%d 0 0 12000\r\n%b" % (number, b"x" * 12000)) == b"STORED\r\n"
    if number % 20 == 0:
        # A fast writer outruns what moves values to the disk.
        time.sleep(0.06)
for _ in range(60):
    on_disk = int(ask(b"stats").split(b"extstore_objects_used ")[1].split(b"\r\n")[0])
    if on_disk > 500:
        break
    time.sleep(0.5)
old, new = b"k100", b"k%d" % (COUNT - 1)
said = {
    "on the disk, there": ask(b"mg %b s" % old),
    "append": ask(b"append %b 0 0 1\r\ny" % old),
    "ms … MA": ask(b"ms %b 1 MA\r\ny" % old),
    "add": ask(b"add %b 0 0 1\r\ny" % old),
    "still there": ask(b"mg %b s" % old),
    "in memory, append": ask(b"append %b 0 0 1\r\ny" % new),
}
print(on_disk, "on the disk;", said)
assert said == {
    "on the disk, there": b"HD s12000\r\n",
    "append": b"NOT_STORED\r\n",
    "ms … MA": b"NS\r\n",
    "add": b"NOT_STORED\r\n",
    "still there": b"HD s12000\r\n",
    "in memory, append": b"STORED\r\n",
}, said
PYTHON
echo "memcached extstore append: as described"
