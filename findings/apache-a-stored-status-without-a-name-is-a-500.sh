#!/bin/sh
# Apache 2.4.71 (Debian 12), mod_cache: a stored answer whose status Apache has no name for is served as a 500.
#
# An origin may use statuses that not everybody knows (RFC 9110, section 15), and a cache stores what has an explicit
# lifetime. The proxy passes a 299, a 425 (Too Early) or a 520 on as it is, to the first client. mod_cache stores
# it, and to all others, for its whole lifetime, says "500 Internal Server Error" with the body and the header fields
# of the original: a success becomes a failure of Apache's, and alerts count what the origin never said. Statuses
# in Apache's own table (203, 410, 429, 451) are stored right. No line in the log.
#
# Seen: '203: 203 203', '299: 299 500', '410: 410 410', '425: 425 500', '451: 451 451', '520: 520 500', one request each
# at the origin.
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


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(int(self.path[1:]))
        self.send_header("Cache-Control", "max-age=60")
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


def ask(status):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", f"/{status}")
    answer = connection.getresponse()
    assert answer.read() == b"ok"
    # It is stored once the answer has been sent.
    time.sleep(0.2)
    return answer.status


seen = {}
for status in (203, 299, 410, 425, 451, 520):
    Origin.asked = 0
    seen[status] = ask(status), ask(status), Origin.asked
    print(f"{status}:", *seen[status][:2], f"({Origin.asked} at the origin)")
assert seen == {
    203: (203, 203, 1),
    299: (299, 500, 1),
    410: (410, 410, 1),
    425: (425, 500, 1),
    451: (451, 451, 1),
    520: (520, 500, 1),
}, seen
PYTHON
echo "Apache 2.4.71: as described"
