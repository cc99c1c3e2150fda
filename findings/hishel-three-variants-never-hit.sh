#!/bin/sh
# hishel 2.0.0 (with httpx 0.28.1), RFC mode: a URL with three variants is never served from the cache.
#
# "Vary: X-V" gives each value of X-V an answer of its own (RFC 9111, section 4.1). With two values in
# turns, 12 requests cost 2 of the origin. With three values in turns, all 12 go to the origin, though each
# answer is fresh for an hour: a stored variant that the request does not select is taken for one to
# revalidate, and the 200 to that request removes the other stored variants but one. An API that varies on
# Accept-Language, with clients of three languages in turns, is asked each time.
#
# Seen: 'two values: 2 of 12 at the origin' and 'three values: 12 of 12 at the origin'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install "hishel[httpx]==2.0.0" httpx==0.28.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import http.server
import sys
import threading

import httpx
from hishel import CacheOptions, SqliteStorage
from hishel.httpx import CacheTransport


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        body = self.headers["X-V"].encode()
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=3600")
        self.send_header("Vary", "X-V")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/"


def asked(name, values):
    storage = SqliteStorage(database_path=f"{sys.argv[1]}/{name}.db")
    rules = CacheOptions(shared=True)
    transport = CacheTransport(httpx.HTTPTransport(), storage=storage, rfc=rules)
    Origin.asked = 0
    with httpx.Client(transport=transport) as client:
        for value in values:
            assert client.get(url, headers={"X-V": value}).text == value
    print(f"{name} values: {Origin.asked} of {len(values)} at the origin")
    return Origin.asked


two, three = asked("two", "121212121212"), asked("three", "123123123123")
assert (two, three) == (2, 12), (two, three)
PYTHON
echo "hishel 2.0.0: as described"
