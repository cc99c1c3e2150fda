#!/bin/sh
# hishel 2.0.0 (with httpx 0.28.1), RFC mode: the Age of an answer is ignored, so what is stale is fresh.
#
# An answer with "Cache-Control: max-age=60" and "Age: 7200" came from another cache, and has been stale
# for two hours (RFC 9111, section 4.2.3: the age at first is Age, if that is more than what Date says).
# hishel stores it and serves it as fresh for the next 60 s: behind a CDN each layer adds its own lifetime.
# The Age that it gives to its client is the origin's no longer, it begins at 0.
#
# Seen: '4 requests, 1 at the origin, Age of the hit 0' (or 1).
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
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Age", "7200")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/"
storage = SqliteStorage(database_path=f"{sys.argv[1]}/cache.db")
rules = CacheOptions(shared=True)
transport = CacheTransport(httpx.HTTPTransport(), storage=storage, rfc=rules)
with httpx.Client(transport=transport) as client:
    for _ in range(4):
        answer = client.get(url)
print(f"4 requests, {Origin.asked} at the origin, Age of the hit {answer.headers.get('Age')}")
assert Origin.asked == 1, Origin.asked
assert answer.headers.get("Age") in ("0", "1", "2"), answer.headers
PYTHON
echo "hishel 2.0.0: as described"
