#!/bin/sh
# memcached 1.6.18 (Debian 12) with its option -C: a compare-and-set never succeeds, and never says why.
#
# -C turns CAS off. protocol.txt says of "cas" that EXISTS means "that the item you are trying to store
# with a cas command has been modified since you last fetched it", and nothing of what a server without
# CAS answers. It answers "gets" with the unique number 0 for every value, and then every "cas" with that
# number with EXISTS, though nobody has touched the value: a client's usual loop of gets and cas goes on
# for ever, or gives up with "it keeps changing". One line of "stats settings" tells (cas_enabled no).
#
# Seen: "VALUE k 0 1 0", then EXISTS, and again; without -C: "VALUE k 0 1 1", then STORED.
set -eu
say() { # PORT, reads commands
    python3 -c '
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
connection.settimeout(5)
for line in sys.stdin.read().split("\n"):
    if line:
        connection.sendall(line.replace("|", "\r\n").encode() + b"\r\n")
        print(connection.recv(4096).decode().replace("\r\n", " | "))
' "$1"
}
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
run() { # the unique number to compare with, options of memcached; says what it answers
    unique=$1
    shift
    port=$(free_port)
    memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 "$@" &
    pid=$!
    for _ in $(seq 100); do
        python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' \
            "$port" 2>/dev/null && break
        sleep 0.1
    done
    answers=$(printf 'set k 0 0 1|1\ngets k\ncas k 0 0 1 %s|2\ncas k 0 0 1 %s|2\n' "$unique" "$unique" | say "$port")
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    echo "$answers"
}
without=$(run 0 -C)
# The first number that a new server gives.
with=$(run 1)
echo "-C:"; echo "$without"
echo "without -C:"; echo "$with"
[ "$(echo "$without" | grep -c '^VALUE k 0 1 0 | 1 | END')" = 1 ]
[ "$(echo "$without" | grep -c '^EXISTS')" = 2 ]
[ "$(echo "$with" | grep -c '^VALUE k 0 1 1 | 1 | END')" = 1 ]
[ "$(echo "$with" | grep -c '^STORED')" = 2 ]
echo "memcached -C: as described"
