#!/bin/sh
# Qt 6.12.0 (PySide6), QNetworkDiskCache: of a header that comes in several lines the last line alone is kept, and obeyed.
#
# Two lines are the same as one list (RFC 9110, section 5.3). From the network Qt gives a program all of them. What is
# stored has the last line only: the hit has one "Link" of two, so that paging ends after the first page ("next" is gone),
# and one challenge of two in WWW-Authenticate. The same goes for Cache-Control, where it decides: "no-store" followed by
# a line "max-age=60" is stored on disk and is a hit, and "max-age=60" followed by a line "public" is asked for each
# time. Proxies and frameworks add lines of their own. In one line, or in the other order, it is as it should be.
#
# Seen: Link '<2>; rel="next", <9>; rel="last"', of the hit '<9>; rel="last"'; of three requests at the origin: 'no-store,
# max-age=60: 3', 'max-age=60 / no-store: 3', 'no-store / max-age=60: 1', 'public / max-age=60: 1', 'max-age=60 / public: 3'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install PySide6_Essentials==6.12.0
"$folder/venv/bin/python" - "$folder/cache" <<'PYTHON'
import http.server
import pathlib
import sys
import threading
import urllib.parse

from PySide6.QtCore import QCoreApplication, QEventLoop, QUrl
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkDiskCache, QNetworkRequest


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        for line in urllib.parse.unquote(self.path[1:]).split("/"):
            self.send_header("Cache-Control", line)
        self.send_header("Link", '<2>; rel="next"')
        self.send_header("Link", '<9>; rel="last"')
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
application = QCoreApplication([])
manager = QNetworkAccessManager()
cache = QNetworkDiskCache(manager)
cache.setCacheDirectory(sys.argv[1])
manager.setCache(cache)


def ask(lines):
    url = QUrl(f"http://127.0.0.1:{server.server_address[1]}/" + urllib.parse.quote(lines))
    reply = manager.get(QNetworkRequest(url))
    wait = QEventLoop()
    reply.finished.connect(wait.quit)
    if not reply.isFinished():
        wait.exec()
    hit = bool(reply.attribute(QNetworkRequest.Attribute.SourceIsFromCacheAttribute))
    assert bytes(reply.readAll()) == b"secret"
    link = bytes(reply.rawHeader("Link")).decode()
    if hit:
        assert link == '<9>; rel="last"', link
    else:
        assert link == '<2>; rel="next", <9>; rel="last"', link
    return hit


def on_disk():
    return sum(b"secret" in path.read_bytes() for path in pathlib.Path(sys.argv[1]).rglob("*.d"))


seen = {}
for lines in (
    "no-store, max-age=60",
    "max-age=60/no-store",
    "no-store/max-age=60",
    "public/max-age=60",
    "max-age=60/public",
    "public, max-age=60",
):
    Origin.asked, before = 0, on_disk()
    hits = [ask(lines) for _ in range(3)]
    seen[lines] = (Origin.asked, on_disk() - before)
    print(f"{lines}: {Origin.asked} of 3 at the origin, {on_disk() - before} on disk")
    assert sum(hits) == 3 - Origin.asked, hits
# A short answer lies in its file as it is.
assert seen == {
    "no-store, max-age=60": (3, 0),
    "max-age=60/no-store": (3, 0),
    "no-store/max-age=60": (1, 1),
    "public/max-age=60": (1, 1),
    "max-age=60/public": (3, 1),
    "public, max-age=60": (1, 1),
}, seen
PYTHON
echo "Qt 6.12.0: as described"
