#!/bin/sh
# Apache 2.4.71 (Debian 12), mod_cache: after a PATCH the old answer is still a hit, where a PUT, POST or DELETE ends it.
#
# An answer other than an error to a method that may change something ends what is stored for the URL (RFC 9111, section 4.4:
# "MUST"), and PATCH is one (RFC 5789). With PUT, POST and DELETE mod_cache does so. Who changes a part of something, through
# Apache, and is told 200, reads it back as it was, and so does everybody else, until the lifetime is over. An interface whose
# clients have always used PUT gives old answers from the day on which they use PATCH.
#
# Seen: 'GET 1, PUT, GET 2', 'GET 1, POST, GET 2', 'GET 1, DELETE, GET 2', 'GET 1, PATCH, GET 1', where the origin has 2 each time.
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
    version = 1

    def do_GET(self):
        self.say(str(Origin.version).encode())

    def do_PATCH(self):
        Origin.version += 1
        self.say(b"changed")

    do_PUT = do_POST = do_DELETE = do_PATCH

    def say(self, text):
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

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


def ask(method, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200
    return text


for method, expected in (("PUT", "2"), ("POST", "2"), ("DELETE", "2"), ("PATCH", "1")):
    Origin.version = 1
    path = f"/{method}"
    seen = [ask("GET", path), ask("GET", path), ask(method, path), ask("GET", path)]
    print(f"GET {seen[0]}, {method}, GET {seen[3]}, where the origin has {Origin.version}")
    assert seen == ["1", "1", "changed", expected], seen
PYTHON
echo "Apache 2.4.71: as described"
