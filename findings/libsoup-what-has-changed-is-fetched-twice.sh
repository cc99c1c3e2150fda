#!/bin/sh
# libsoup 3.2.3 (Debian 12, GNOME's HTTP library), SoupCache: what has changed since it was stored is fetched twice.
#
# A stored answer that is stale is asked for again with its ETag or date. If it has changed, the origin answers with a 200
# and the new document: that is the answer, and it takes the place of the old one (RFC 9111, section 4.3.3). libsoup
# does not use it, and asks a second time, without the condition; the program gets that second answer. So each new
# version costs two requests, and where they are counted (a quota, page views) or each has its own answer (a number that
# grows) the program never sees what was said to the first. An error to the question goes the same way: a server that
# has no more room, and says 503, is asked once more at once. A 304 costs one request.
#
# Seen, what each call says at the origin: 'the same: whole; tag; tag', 'changed: whole 1; tag 2, whole 3; tag 4, whole 5',
# the program reads 1, 3, 5; '503: whole 1; tag 2, whole 3; tag 4, whole 5'; without the cache 1, 2, 3.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root libsoup-3.0-0=3.2.3-0+deb12u2 \
    gir1.2-soup-3.0=3.2.3-0+deb12u2 gir1.2-glib-2.0 libgirepository-1.0-1 python3-gi libpsl5 libnghttp2-14 \
    && for package in *.deb; do dpkg -x "$package" .; done)
export LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" PYTHONPATH="$folder/usr/lib/python3/dist-packages"
export GI_TYPELIB_PATH="$folder/usr/lib/x86_64-linux-gnu/girepository-1.0"
timeout 60 /usr/bin/python3 - "$folder" <<'PYTHON'
import http.server
import sys
import threading

import gi

gi.require_version("Soup", "3.0")
from gi.repository import GLib, Soup  # noqa: E402


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = []

    def do_GET(self):
        tag = self.headers.get("If-None-Match")
        number = len(Origin.asked) + 1
        Origin.asked.append(f"{'tag' if tag else 'whole'} {number}")
        version = "same" if self.path == "/same" else f"v{number}"
        status, body = 200, str(number).encode()
        if tag == f'"{version}"':
            status, body = 304, b""
        elif self.path == "/503" and number > 1:
            status = 503
        self.send_response(status)
        self.send_header("Cache-Control", "max-age=0")
        if status != 503:
            self.send_header("ETag", f'"{version}"')
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()


def calls(path, cached):
    session = Soup.Session()
    if cached:
        cache = Soup.Cache.new(sys.argv[1], Soup.CacheType.SINGLE_USER)
        cache.set_max_size(1 << 24)
        cache.clear()
        session.add_feature(cache)
    Origin.asked = []
    asked, read = [], []
    for _ in range(3):
        before = len(Origin.asked)
        loop = GLib.MainLoop()

        def done(session, result, loop):
            read.append(session.send_and_read_finish(result).get_data().decode())
            loop.quit()

        message = Soup.Message.new("GET", f"http://127.0.0.1:{server.server_address[1]}{path}")
        session.send_and_read_async(message, GLib.PRIORITY_DEFAULT, None, done, loop)
        loop.run()
        # What is stored is stored a moment later.
        GLib.timeout_add(100, loop.quit)
        loop.run()
        asked.append(", ".join(Origin.asked[before:]))
    if cached:
        cache.clear()
    print(f"{path} {'with' if cached else 'without'} the cache: {'; '.join(asked)}; read {', '.join(read)}")
    return asked, read


twice = ["whole 1", "tag 2, whole 3", "tag 4, whole 5"]
assert calls("/same", True) == (["whole 1", "tag 2", "tag 3"], ["1", "1", "1"])
assert calls("/changed", True) == (twice, ["1", "3", "5"])
assert calls("/503", True) == (twice, ["1", "3", "5"])
assert calls("/changed", False) == (["whole 1", "whole 2", "whole 3"], ["1", "2", "3"])
PYTHON
echo "libsoup 3.2.3: as described"
