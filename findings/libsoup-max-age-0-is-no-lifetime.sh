#!/bin/sh
# libsoup 3.2.3 (Debian 12, GNOME's HTTP library), SoupCache: "max-age=0" is taken for no lifetime, and a guess is made.
#
# "Cache-Control: public, max-age=0" with an ETag and a Last-Modified is what Express, for one, sends with each static
# file: keep it, and ask each time whether it is still the same. libsoup takes a max-age of 0 for none. Where a
# Last-Modified stands beside it the lifetime is guessed from that, a tenth of the file's age: what was changed last ten
# days ago is not asked for again for a day. Where an Expires stands beside it that is obeyed. A guess is allowed only
# where no lifetime is given, and max-age goes before Expires (RFC 9111, sections 4.2.2 and 5.3). Alone, or with an ETag
# alone, max-age=0 is as it should be, and so is max-age=1.
#
# Seen, requests at the origin of three, 1.2 s apart: 'max-age=0, ETag: 3', 'max-age=0, ETag, Last-Modified: 1', 'max-age=0,
# Expires: 1', 'max-age=1, ETag, Last-Modified: 3', 'max-age=1, Expires: 3'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root libsoup-3.0-0=3.2.3-0+deb12u2 \
    gir1.2-soup-3.0=3.2.3-0+deb12u2 gir1.2-glib-2.0 libgirepository-1.0-1 python3-gi libpsl5 libnghttp2-14 \
    && for package in *.deb; do dpkg -x "$package" .; done)
export LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" PYTHONPATH="$folder/usr/lib/python3/dist-packages"
export GI_TYPELIB_PATH="$folder/usr/lib/x86_64-linux-gnu/girepository-1.0"
timeout 60 /usr/bin/python3 - "$folder" <<'PYTHON'
import email.utils
import http.server
import sys
import threading
import time

import gi

gi.require_version("Soup", "3.0")
from gi.repository import GLib, Soup  # noqa: E402


def date(days):
    return email.utils.formatdate(time.time() + days * 86400, usegmt=True)


fields = {"ETag": '"1"', "Last-Modified": date(-10), "Expires": date(1)}


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        lifetime, *names = self.path[1:].split(",")
        held = self.headers.get("If-None-Match") or self.headers.get("If-Modified-Since")
        self.send_response(304 if held else 200)
        self.send_header("Cache-Control", f"public, {lifetime}")
        for name in names:
            self.send_header(name, fields[name])
        if not held:
            self.send_header("Content-Length", "5")
        self.end_headers()
        if not held:
            self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
cache = Soup.Cache.new(sys.argv[1], Soup.CacheType.SINGLE_USER)
cache.set_max_size(1 << 24)
session = Soup.Session()
session.add_feature(cache)
seen = {}
for case in (
    "max-age=0,ETag",
    "max-age=0,ETag,Last-Modified",
    "max-age=0,Expires",
    "max-age=1,ETag,Last-Modified",
    "max-age=1,Expires",
):
    Origin.asked = 0
    for _ in range(3):
        loop = GLib.MainLoop()

        def done(session, result, loop):
            assert session.send_and_read_finish(result).get_data() == b"hello"
            GLib.timeout_add(1200, loop.quit)

        message = Soup.Message.new("GET", f"http://127.0.0.1:{server.server_address[1]}/{case}")
        session.send_and_read_async(message, GLib.PRIORITY_DEFAULT, None, done, loop)
        loop.run()
    seen[case] = Origin.asked
    print(f"{case.replace(',', ', ')}: {Origin.asked} of 3 at the origin")
cache.clear()
assert list(seen.values()) == [3, 1, 1, 3, 3], seen
PYTHON
echo "libsoup 3.2.3: as described"
