#!/bin/sh
# Varnish 7.1.1 (Debian 12), as it comes: "Expires: Thu, 01 Jan 1970 00:00:00 GMT" is taken for none, and kept for two minutes.
#
# The beginning of 1970 is what Java's setDateHeader("Expires", 0) sends, and what many programs do that mean "stale
# already"; others send "0" or "-1". Varnish has read 0 for "there is no Expires": the answer gets default_ttl, 120
# s, and is served to everybody for so long. A second later in 1970 it is stale, as it should be. So is a date of which the
# day of the week is right; "Fri, 01 Jan 1990", which has been copied from site to site, was a Monday, and is none either.
# What is no date, "especially the value 0", is in the past (RFC 9111, section 5.3). A Cache-Control beside it decides alone,
# where there is one.
#
# Seen: 'Thu, 01 Jan 1970 00:00:00 GMT: 1 of 3 at the origin', '0: 1 of 3', '-1: 1 of 3', 'Fri, 01 Jan 1990 00:00:00 GMT:
# 1 of 3', 'Thu, 01 Jan 1970 00:00:01 GMT: 3 of 3', 'Mon, 01 Jan 1990 00:00:00 GMT: 3 of 3'.
# (It compiles its configuration with cc.)
set -eu
folder=$(mktemp -d)
trap 'kill $(cat "$folder/pid") 2>/dev/null || true; sleep 1; rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root varnish=7.1.1-2+deb12u1 libvarnishapi3=7.1.1-2+deb12u1 \
    && for package in *.deb; do dpkg -x "$package" .; done)
LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu:$folder/usr/lib/x86_64-linux-gnu/varnish" python3 - "$folder" <<'PYTHON'
import http.client
import http.server
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
        self.send_header("Expires", urllib.parse.unquote(self.path[1:]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
varnishd = str(folder / "usr/sbin/varnishd")
told = subprocess.run([varnishd, "-V"], capture_output=True, text=True).stderr
assert "varnish-7.1.1 " in told, told
subprocess.run(
    [
        *(varnishd, "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{server.server_address[1]}"),
        *("-n", str(folder / "work"), "-P", str(folder / "pid"), "-s", "malloc,20m", "-T", "none"),
        *("-j", "none"),
    ],
    check=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        break
    except OSError:
        time.sleep(0.1)


def asked(expires):
    Origin.asked = 0
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", f"/{urllib.parse.quote(expires)}")
        assert connection.getresponse().read() == b"ok"
    print(f"{expires}: {Origin.asked} of 3 at the origin")
    return Origin.asked


kept = "Thu, 01 Jan 1970 00:00:00 GMT", "0", "-1", "Fri, 01 Jan 1990 00:00:00 GMT"
expired = "Thu, 01 Jan 1970 00:00:01 GMT", "Mon, 01 Jan 1990 00:00:00 GMT"
seen = {expires: asked(expires) for expires in kept + expired}
assert seen == dict.fromkeys(kept, 1) | dict.fromkeys(expired, 3), seen
PYTHON
echo "Varnish 7.1.1: as described"
