#!/bin/sh
# Apache 2.4.71 (Debian 12), mod_cache: a fresh stored answer is not given to who has an older version of it.
#
# A browser that has an old copy asks with the old ETag in If-None-Match. A cache with a fresh answer of another
# ETag has what it takes: the condition is true, and the answer is its own 200 (RFC 9111, section 4.3.2). Apache
# passes each such request on to the origin instead, and stores the same answer anew, though it is fresh for a
# minute and everybody who asks without a condition gets it from the cache. With If-Modified-Since it is the
# same. So when a new version goes out, all who had the last one reach the origin, one by one.
#
# Seen: 'no condition: 1 of 5 at the origin', 'the same ETag: 0 of 5' (a 304), 'an older ETag: 5 of 5',
# 'an older date: 5 of 5'.
set -eu
folder=$(mktemp -d)
trap 'kill $(cat "$folder/pid") 2>/dev/null || true; sleep 1; rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root apache2-bin=2.4.71-1~deb12u1 \
    libapr1=1.7.2-3+deb12u1 libaprutil1=1.6.3-1 && for package in *.deb; do dpkg -x "$package" .; done)
LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" python3 - "$folder" <<'PYTHON'
import http.client
import http.server
import pathlib
import socket
import subprocess
import sys
import threading
import time

folder = pathlib.Path(sys.argv[1])
MODULES = "mpm_event", "authz_core", "proxy", "proxy_http", "cache", "cache_disk"
CHANGED, BEFORE = "Mon, 05 Jan 2026 10:00:00 GMT", "Sun, 04 Jan 2026 10:00:00 GMT"


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("ETag", '"new"')
        self.send_header("Last-Modified", CHANGED)
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
(folder / "cache").mkdir()
(folder / "cache").chmod(0o777)
modules = "\n".join(
    f"LoadModule {name}_module {folder}/usr/lib/apache2/modules/mod_{name}.so" for name in MODULES
)
(folder / "apache.conf").write_text(f"""
{modules}
ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/pid
ErrorLog {folder}/errors
User nobody
Group nogroup
Listen 127.0.0.1:{port}
CacheRoot {folder}/cache
CacheEnable disk /
ProxyPass / http://127.0.0.1:{server.server_address[1]}/
""")
apache = str(folder / "usr/sbin/apache2")
subprocess.run([apache, "-f", str(folder / "apache.conf")], check=True)
for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        break
    except OSError:
        time.sleep(0.1)


def asked(name, **fields):
    Origin.asked = 0
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/", headers=fields)
        answer = connection.getresponse()
        answer.read()
        # It is stored once the answer has been sent.
        time.sleep(0.2)
    print(f"{name}: {Origin.asked} of 5 at the origin, status {answer.status}")
    return Origin.asked, answer.status


seen = [
    asked("no condition"),
    asked("the same ETag", **{"If-None-Match": '"new"'}),
    asked("an older ETag", **{"If-None-Match": '"old"'}),
    asked("an older date", **{"If-Modified-Since": BEFORE}),
    asked("no condition"),
]
assert seen == [(1, 200), (0, 304), (5, 200), (5, 200), (0, 200)], seen
PYTHON
echo "Apache 2.4.71: as described"
