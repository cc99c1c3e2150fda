#!/bin/sh
# memcached 1.6.18 (Debian 12): who appends to a value that is marked as stale makes it fresh, for everybody, old as it is.
#
# "md KEY I" marks a value as stale: it may still be served, but by protocol.txt each "mg" that fetches it is told so, with X,
# and one of them with W that it is his to compute it anew. "incr", "touch" and "gat" leave the mark where it is. After an
# "append" or "prepend", or the same by "ms … MA" and "MP", it is gone: what was said to be out of date, with a piece more,
# is an ordinary value until its end, and nobody is asked to compute it. Likewise of the empty value that "mg KEY N30" makes
# on a miss, for the one who was told W to fill: appended to by another, the piece is a hit to all who wait for the value.
# protocol.txt says nothing of it.
#
# Seen: 'incr: X W', 'touch: X W', 'gat: X W', 'append: nothing', 'prepend: nothing', 'ms MA: nothing', 'ms MP: nothing';
# of the empty value 'untouched: Z', 'append: a hit of 1 byte, nothing'.
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
    return connection.recv(4096).decode().split()


def marks(key: str) -> tuple[str, set[str]]:
    """Return the value and what is said of it beside the seconds left."""
    _, size, left, *others = ask(f"mg {key} t v")
    assert 595 <= int(left[1:]) <= 600, left
    return (others.pop() if int(size) else "", set(others))


changes = {
    "incr": ("incr {} 1", "6", {"X", "W"}),
    "touch": ("touch {} 600", "5", {"X", "W"}),
    "gat": ("gat 600 {}", "5", {"X", "W"}),
    "append": ("append {} 0 0 1\r\n7", "57", set()),
    "prepend": ("prepend {} 0 0 1\r\n7", "75", set()),
    "ms-MA": ("ms {} 1 MA\r\n7", "57", set()),
    "ms-MP": ("ms {} 1 MP\r\n7", "75", set()),
}
assert ask("version")[1] == "1.6.18"
for key, (command, value, expected) in changes.items():
    ask(f"set {key} 0 600 1\r\n5")
    assert ask(f"md {key} I") == ["HD"]
    said = ask(command.format(key))
    seen = marks(key)
    print(f"stale, then {key}: {said[0]}, {seen[0]} {' '.join(sorted(seen[1])) or 'nothing'}")
    assert seen == (value, expected), seen
for key, command, expected in (("untouched", None, ("", {"Z"})), ("appended", "append {} 0 0 1\r\n7", ("7", set()))):
    assert ask(f"mg {key} N600 v") == ["VA", "0", "W"]
    if command:
        assert ask(command.format(key)) == ["STORED"]
    seen = marks(key)
    print(f"to be filled, {key}: {seen[0]} {' '.join(seen[1]) or 'nothing'}")
    assert seen == expected, seen
PYTHON
echo "memcached 1.6.18, append to a stale value: as described"
