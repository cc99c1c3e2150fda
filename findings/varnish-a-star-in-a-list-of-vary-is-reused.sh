#!/bin/sh
# Varnish 7.1.1 (Debian 12), as it comes: an answer with "Vary: Accept-Language, *" is served again.
#
# A "*" in Vary says that what an answer depends on is not in the request's fields alone: "a stored response
# with a Vary header field value containing a member "*" always fails to match" (RFC 9111, section 4.1).
# With "*" alone Varnish asks the origin each time. With a name beside it, as where one part of an
# application adds the name and another the star, the star is looked up as a field of that name, which no
# request has, and each client with the same Accept-Language gets what the first one got.
#
# Seen: 'Vary: *: 3 of 3 at the origin' and 'Vary: Accept-Language, *: 1 of 3 at the origin'.
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

folder = pathlib.Path(sys.argv[1])


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Vary", "*" if self.path == "/alone" else "Accept-Language, *")
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


def asked(path, name):
    Origin.asked = 0
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path, headers={"Accept-Language": "de"})
        assert connection.getresponse().read() == b"ok"
    print(f"Vary: {name}: {Origin.asked} of 3 at the origin")
    return Origin.asked


alone, listed = asked("/alone", "*"), asked("/listed", "Accept-Language, *")
assert (alone, listed) == (3, 1), (alone, listed)
PYTHON
echo "Varnish 7.1.1: as described"
