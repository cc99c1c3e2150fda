#!/bin/sh
# Qt 6.12.0 (PySide6), QNetworkAccessManager with QNetworkDiskCache: an error of the server and the stored answer come as one.
#
# A stored answer whose lifetime is over is asked for again with its ETag. If the origin has a bad moment and says 500, 502,
# 503 or 504, Qt gives the program what it has stored, as a cache may (RFC 9111, section 4.2.4). If the body of the
# error comes a moment after its headers all is well: status 200, the stored document, no error. If both come at once, as short
# error pages do, the body of the error has been handed out already: the reply has the status 200, SourceIsFromCache, and
# as its body the text of the error with the old document behind it, longer than the Content-Length that goes
# with it; a JSON parser fails on that. Only error() tells of it. Users of programs made with Qt have seen it, and
# looked for the fault there.
#
# Seen, for 500, 502, 503 and 504: 'in one piece: 200, Sorry![1, 2], Content-Length 6, from the cache', with an error;
# 'in two pieces: 200, [1, 2], Content-Length 6, from the cache', NoError.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install PySide6_Essentials==6.12.0
"$folder/venv/bin/python" - "$folder/cache" <<'PYTHON'
import http.server
import sys
import threading
import time

from PySide6.QtCore import QCoreApplication, QEventLoop, QUrl
from PySide6.QtNetwork import (
    QNetworkAccessManager,
    QNetworkDiskCache,
    QNetworkReply,
    QNetworkRequest,
)


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, pieces, status = self.path.split("/")
        head, body = b'200 OK\r\nCache-Control: max-age=1\r\nETag: "1"', b"[1, 2]"
        if self.headers["If-None-Match"] == '"1"':
            head, body = status.encode() + b" Sorry", b"Sorry!"
        head = b"HTTP/1.1 " + head + b"\r\nContent-Length: 6\r\n\r\n"
        if pieces == "one":
            self.wfile.write(head + body)
        else:
            self.wfile.write(head)
            time.sleep(0.3)
            self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
application = QCoreApplication([])
manager = QNetworkAccessManager()
cache = QNetworkDiskCache(manager)
cache.setCacheDirectory(sys.argv[1])
manager.setCache(cache)


def ask(path):
    url = QUrl(f"http://127.0.0.1:{server.server_address[1]}/{path}")
    reply = manager.get(QNetworkRequest(url))
    wait = QEventLoop()
    reply.finished.connect(wait.quit)
    if not reply.isFinished():
        wait.exec()
    return (
        reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute),
        bytes(reply.readAll()),
        bytes(reply.rawHeader("Content-Length")),
        bool(reply.attribute(QNetworkRequest.Attribute.SourceIsFromCacheAttribute)),
        reply.error() == QNetworkReply.NetworkError.NoError,
    )


paths = [f"{pieces}/{status}" for pieces in ("one", "two") for status in (500, 502, 503, 504)]
for path in paths:
    assert ask(path) == (200, b"[1, 2]", b"6", False, True)
time.sleep(3)
for path in paths:
    seen = ask(path)
    print(f"{path}: {seen}")
    if path.startswith("one"):
        assert seen == (200, b"Sorry![1, 2]", b"6", True, False), seen
    else:
        assert seen == (200, b"[1, 2]", b"6", True, True), seen
PYTHON
echo "Qt 6.12.0: as described"
