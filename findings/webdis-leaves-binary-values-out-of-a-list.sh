#!/bin/sh
# webdis 0.1.9 (Debian 12): in a list of values those that are not UTF-8 are left out, so the others move up.
#
# webdis answers in JSON, which has no bytes. Instead of an error, a null or an escape, a value that is not UTF-8
# (a picture, a pickle, anything compressed) is not there: MGET of three keys, the second one binary, is a list of
# two, and the third key's value stands where the second's belongs; a list and a hash lose the element or field.
# A single GET is {} where an absent key is {"GET":null}. All with status 200. (With a suffix, as .raw, the bytes
# come as they are.)
#
# Seen (Redis 7.0.15): '/MGET/a/b/c: {"MGET":["one","three"]}', '/GET/b: {}', '/LRANGE/l/0/-1:
# {"LRANGE":["x","z"]}', '/LLEN/l: {"LLEN":3}', '/HGETALL/h: {"HGETALL":{"x":"1"}}'.
set -eu
folder=$(mktemp -d)
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
redis=$(port) web=$(port)
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root webdis=0.1.9+dfsg-1.1 && dpkg -x webdis_*.deb .)
redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$folder" >/dev/null & one=$!
cat >"$folder/webdis.json" <<JSON
{"redis_host": "127.0.0.1", "redis_port": $redis, "http_host": "127.0.0.1", "http_port": $web,
 "threads": 1, "daemonize": false, "database": 0, "verbosity": 0, "logfile": "$folder/log"}
JSON
sleep 1
"$folder/usr/bin/webdis" "$folder/webdis.json" & two=$!
trap 'kill $one $two; wait $one || true; rm -rf "$folder"' EXIT
sleep 1
say() { redis-cli -p "$redis" "$@" >/dev/null; }
say SET a one
printf 'tw\377o' | redis-cli -p "$redis" -x SET b >/dev/null
say SET c three
say RPUSH l x
printf '\377' | redis-cli -p "$redis" -x RPUSH l >/dev/null
say RPUSH l z
say HSET h x 1
printf '\377' | redis-cli -p "$redis" -x HSET h y >/dev/null
python3 - "$web" <<'PYTHON'
import sys
import urllib.request

seen = {
    "/MGET/a/b/c": b'{"MGET":["one","three"]}',
    "/GET/b": b"{}",
    "/GET/absent": b'{"GET":null}',
    "/LRANGE/l/0/-1": b'{"LRANGE":["x","z"]}',
    "/LLEN/l": b'{"LLEN":3}',
    "/HGETALL/h": b'{"HGETALL":{"x":"1"}}',
}
for path, expected in seen.items():
    with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}{path}", timeout=10) as answer:
        said = answer.read()
    print(f"{path}: {said.decode()}")
    assert (answer.status, said) == (200, expected), (answer.status, said)
PYTHON
echo "webdis 0.1.9: as described"
