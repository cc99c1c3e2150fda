#!/bin/sh
# requests-cache 1.3.3, cache_control=True: "max-age=-1", by which servers mean "stale already", is kept for ever.
#
# A lifetime is digits (RFC 9111, section 1.2.2); what is none should be taken for stale (section 4.2.1). The library reads
# the number with its sign, and -1 is its own word for "never expires" (expire_after=-1): the answer has no end,
# survives restarts with a backend on disk, and is a hit each time. "max-age=-2" is stale.
#
# Seen: 'max-age=-1: 3 requests, 1 at the origin, expires None', 'max-age=-2: 3 requests, 3 at the origin'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install requests-cache==1.3.3 requests==2.34.2
"$folder/venv/bin/python" - <<'PYTHON'
import http.server
import threading

import requests_cache


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        self.send_header("Cache-Control", f"max-age={self.path[1:]}")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
session = requests_cache.CachedSession(backend="memory", cache_control=True)
seen = {}
for lifetime in ("-1", "-2"):
    Origin.asked = 0
    for _ in range(3):
        answer = session.get(f"http://127.0.0.1:{server.server_address[1]}/{lifetime}")
    seen[lifetime] = Origin.asked
    print(f"max-age={lifetime}: 3 requests, {Origin.asked} at the origin, expires {answer.expires}")
    assert lifetime != "-1" or (answer.from_cache and answer.expires is None)
assert seen == {"-1": 1, "-2": 3}, seen
PYTHON
echo "requests-cache 1.3.3: as described"
