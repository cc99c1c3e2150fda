#!/bin/sh
# HAProxy 2.6.12 (Debian 12), its cache: what shared caches may keep and browsers may not is never kept.
#
# "Cache-Control: max-age=0, s-maxage=600" is what sites say whose pages browsers shall ask for each time, and the
# cache before the site shall answer: in a shared cache s-maxage overrides max-age (RFC 9111, section 5.2.2.10).
# HAProxy reads s-maxage, and keeps "s-maxage=600" alone and "max-age=1, s-maxage=600" for 600 s; but a max-age=0
# anywhere in the field rules the answer out before s-maxage is looked at. Such a site has a cache that never
# answers, and nothing says so.
#
# Seen: 's-maxage=600: 1 of 4 at the origin', 'max-age=1, s-maxage=600: 1 of 4' (over 2.4 s), 'max-age=0,
# s-maxage=600: 4 of 4', 's-maxage=600, max-age=0: 4 of 4'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root haproxy=2.6.12-1+deb12u4 liblua5.3-0 \
    libopentracing-c-wrapper0 libopentracing1 && for package in *.deb; do dpkg -x "$package" .; done)
python3 - "$folder" <<'PYTHON'
import http.client
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

folder = pathlib.Path(sys.argv[1])


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        self.send_header("Cache-Control", urllib.parse.unquote(self.path[1:]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing: HAProxy resets its connections when it ends."""


server = Server(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
(folder / "haproxy.cfg").write_text(f"""
defaults
    mode http
    timeout connect 10s
    timeout client 20s
    timeout server 20s
cache pages
    total-max-size 8
    max-age 3600
listen site
    bind 127.0.0.1:{port}
    http-request cache-use pages
    http-response cache-store pages
    server origin 127.0.0.1:{server.server_address[1]}
""")
haproxy = str(folder / "usr/sbin/haproxy")
libraries = {**os.environ, "LD_LIBRARY_PATH": str(folder / "usr/lib/x86_64-linux-gnu")}
told = subprocess.run([haproxy, "-v"], env=libraries, capture_output=True, text=True).stdout
assert "version 2.6.12" in told, told
process = subprocess.Popen([haproxy, "-db", "-f", str(folder / "haproxy.cfg")], env=libraries)
try:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)

    def asked(says):
        Origin.asked = 0
        for _ in range(4):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", f"/{urllib.parse.quote(says)}")
            assert connection.getresponse().read() == b"ok"
            time.sleep(0.8)
        print(f"{says}: {Origin.asked} of 4 at the origin")
        return Origin.asked

    seen = [
        asked(says)
        for says in (
            "s-maxage=600",
            "max-age=1, s-maxage=600",
            "max-age=0, s-maxage=600",
            "s-maxage=600, max-age=0",
        )
    ]
finally:
    process.terminate()
    process.wait()
assert seen == [1, 1, 4, 4], seen
PYTHON
echo "HAProxy 2.6.12: as described"
