#!/bin/sh
# walrus 0.9.8 (redis-py 8.1.0): "the first n" of a sorted set or a list are all of it where n is 0, and so "del" empties it.
#
# walrus gives the structures of Redis the shape of Python's, with slices: z[:2] are the lowest two, and "del z[:2]" removes
# them (not so with its lists, where del is a trim, as its documentation says). An end of 0 is taken for none given. So
# z[:0] and l[:0] give everything, where Python's give nothing. The usual line to keep the newest 100 by their time,
# "del z[:len(z) - 100]", does its work with 150 members; with just 100 it removes every one, and the key with them. With
# fewer the number is negative, and counts from the other end, as in Python. Neither the documentation nor the docstrings
# tell of it.
#
# Seen: 'z[:2]: a, b', 'z[:0]: a, b, c, d', 'l[:0]: a, b, c, d', 'z[2:2]: nothing'; 'del z[:len(z) - 3]: 3 of 4 stay',
# 'del z[:len(z) - 4]: 0 of 4 stay', where Python's list keeps 3 and 4.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$folder" >/dev/null & pid=$!
trap 'kill $pid; wait $pid || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install walrus==0.9.8 redis==8.1.0
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys

import walrus

database = walrus.Database(host="127.0.0.1", port=int(sys.argv[1]), decode_responses=True)
names = list("abcd")
row = database.List("row")
row.extend(names)


def ranked():
    database.delete("ranked")
    members = database.ZSet("ranked")
    members.add({name: score for score, name in enumerate(names)})
    return members


for begin, end, expected in ((None, 2, "ab"), (None, 0, "abcd"), (0, 0, "abcd"), (2, 2, ""), (None, -1, "abc")):
    seen = ranked()[begin:end]
    print(f"[{'' if begin is None else begin}:{end}]: {seen}, {row[begin:end]}, Python's {names[begin:end]}")
    assert seen == row[begin:end] == list(expected)
    assert end == 0 or seen == names[begin:end]
for keep, stay in ((3, 3), (4, 0), (5, 1)):
    members, python = ranked(), names.copy()
    del members[: len(members) - keep]
    del python[: len(python) - keep]
    print(f"del z[:len(z) - {keep}]: {len(members)} of 4 stay, of Python's {len(python)}")
    assert len(members) == stay
    assert keep == 4 or list(dict(members)) == python
assert not ranked().__delitem__(slice(2, 2))
PYTHON
echo "walrus 0.9.8: as described"
