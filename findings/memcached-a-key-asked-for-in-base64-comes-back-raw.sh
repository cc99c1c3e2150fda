#!/bin/sh
# memcached 1.6.18 (Debian 12): a key with white space, asked for in base64, comes back with the white space in it.
#
# "mg KEY b k" names a key in base64, for one that the text protocol cannot carry, and asks for it to be
# returned; by protocol.txt a "b" in the reply tells that it is in base64 there too. That is so for a value
# that "ms … b" stored. Of one that a client stored over the binary protocol (PHP, Dalli, pylibmc) the same
# request gives "VA 1 ka b": the bytes of the key as they are, in a line whose words are parted by white
# space, so the key reads like "a", and what is behind it, "b" here, like the flag. "md" and "ma" echo what
# was sent, in base64 each time; "mg" alone goes by how the value was stored. So a client cannot tell its
# replies apart by k.
#
# Seen: stored by "ms": "VA 1 kYSBi b"; stored over the binary protocol: "VA 1 ka b"; "md … k": "HD kYSBi b".
set -eu
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & server=$!
trap 'kill $server' EXIT
sleep 1
python3 - "$port" <<'PYTHON'
import base64
import socket
import struct
import sys

address = "127.0.0.1", int(sys.argv[1])
KEY = b"a b"


def store_over_the_binary_protocol(value: bytes) -> None:
    extras = struct.pack(">II", 0, 0)
    body = extras + KEY + value
    head = struct.pack(">BBHBBHIIQ", 0x80, 1, len(KEY), len(extras), 0, 0, len(body), 0, 0)
    with socket.create_connection(address, 5) as connection:
        connection.sendall(head + body)
        assert connection.recv(24)[6:8] == b"\0\0"


text = socket.create_connection(address, 5)


def ask(command: bytes) -> bytes:
    text.sendall(command + b"\r\n")
    said = text.recv(4096)
    print(command, "->", said)
    return said


name = base64.b64encode(KEY)
assert ask(b"ms " + name + b" 1 b\r\n1") == b"HD\r\n"
assert ask(b"mg " + name + b" b v k") == b"VA 1 kYSBi b\r\n1\r\n"
store_over_the_binary_protocol(b"2")
assert ask(b"mg " + name + b" b v k") == b"VA 1 ka b\r\n2\r\n"
assert ask(b"md " + name + b" b k") == b"HD kYSBi b\r\n"
PYTHON
echo "memcached mg b k: as described"
