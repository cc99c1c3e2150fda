#!/bin/sh
# memcached 1.6.18 (Debian 12): a late write that "ms … I" lets through gets no lifetime of its own.
#
# "ms KEY … C(cas) I" is for who took long to compute a value: if somebody was faster, his is taken all the same, and
# marked as stale, so that the next reader may do better. By protocol.txt T is the "Time-To-Live for item" here as
# in every store, and with the right cas it is. Of a late write the T is dropped without a word: the reply is HD, the
# value and the flags are the new ones, and the seconds left are those of the value that it replaced. If
# that one was stored for ever the late one stays for ever, and if it had a moment to live it is gone with it.
#
# Seen: 'T600 over T30: HD, flags 7, 30 s' (or 29), 'T60 over "for ever": HD, flags 7, -1', 'the right cas: HD,
# flags 7, 600 s' (or 599).
set -eu
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & server=$!
trap 'kill $server' EXIT
sleep 1
python3 - "$port" <<'PYTHON'
import socket
import sys

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)


def ask(command: str) -> list[str]:
    connection.sendall(command.encode() + b"\r\n")
    said = connection.recv(4096).decode()
    print(command.replace("\r\n", " | "), "->", said.replace("\r\n", " | "))
    return said.split()


def store(key: str, first: str, second: str, *, late: bool) -> tuple[str, str, int]:
    """Store twice; return the second reply, the flags, and the seconds left."""
    ask(f"ms {key} 3{first}\r\nold")
    cas = ask(f"mg {key} c")[1][1:]
    if late:
        # Somebody is faster.
        ask(f"ms {key} 3{first}\r\nmid")
    said = ask(f"ms {key} 3 C{cas} I F7{second}\r\nnew")[0]
    _, _, flags, left, *stale, value = ask(f"mg {key} f t v")
    assert value == "new"
    assert ("X" in stale) == late, stale
    return said, flags, int(left[1:])


said, flags, left = store("short", " T30", " T600", late=True)
assert (said, flags) == ("HD", "f7"), (said, flags)
assert 25 <= left <= 30, left
assert store("forever", "", " T60", late=True) == ("HD", "f7", -1)
said, flags, left = store("right", " T30", " T600", late=False)
assert 595 <= left <= 600, left
PYTHON
echo "memcached ms I: as described"
