#!/bin/sh
# CacheControl 0.14.4 (requests 2.34.2; pip carries a copy): a 301 or 308 is kept for ever, whatever lifetime it has.
#
# A permanent redirect is stored before its Cache-Control is read for anything but no-store, and answered from the
# store before its age is looked at. So with "max-age=1" it is a hit after any time, with "max-age=0" and with "no-cache" too:
# the API that sent it cannot take it back. A lifetime that is given holds for any status (RFC 9111, section 4.2.1), and
# no-cache says not to answer without asking (section 5.2.2.4).
#
# Seen, requests at the origin of three, 1.3 s apart: 'max-age=1: 1', 'max-age=0: 1', 'no-cache: 1', 'no-store: 3'; the same with a
# 200: 3 each.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install CacheControl==0.14.4 requests==2.34.2
"$folder/venv/bin/python" - <<'PYTHON'
import http.server
import threading
import time
from urllib.parse import parse_qs, urlsplit

import requests
from cachecontrol import CacheControl


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = []

    def do_GET(self):
        Origin.asked.append(self.path)
        wanted = parse_qs(urlsplit(self.path).query)
        self.send_response(int(wanted["status"][0]))
        self.send_header("Cache-Control", wanted["lifetime"][0])
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/"
session = CacheControl(requests.Session())
asked = {}
for number in range(3):
    for status in (301, 308, 200):
        for lifetime in ("max-age=1", "max-age=0", "no-cache", "no-store"):
            said = {"status": status, "lifetime": lifetime}
            session.get(url, params=said, allow_redirects=False)
    time.sleep(1.3)
for path in Origin.asked:
    wanted = parse_qs(urlsplit(path).query)
    one = f"{wanted['status'][0]} {wanted['lifetime'][0]}"
    asked[one] = asked.get(one, 0) + 1
print(asked)
assert asked == {
    **{f"{status} {lifetime}": 1 for status in (301, 308) for lifetime in ("max-age=1", "max-age=0", "no-cache")},
    **{f"{status} no-store": 3 for status in (301, 308)},
    **{f"200 {lifetime}": 3 for lifetime in ("max-age=1", "max-age=0", "no-cache", "no-store")},
}, asked
PYTHON
echo "CacheControl 0.14.4: as described"
