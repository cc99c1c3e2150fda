#!/bin/sh
# nginx's srcache 0.33 with memc 0.19 and memcached 1.6.18 (Debian 12): what may be kept for a year is never a hit.
#
# srcache keeps an answer for the seconds that its Cache-Control allows ($srcache_expire), and memc stores it with
# that as memcached's time, as the documentation of both shows it. To memcached more than 2,592,000 (30 days) is a
# date, and 31,536,000 one in 1971: stored, and gone at once. So "max-age=31536000", what is customary for files
# whose name has a version, is asked of the origin each time and stored anew each time, with the status STORE; what
# may be kept for 30 days is a hit. There is no line in a log. "srcache_max_expire 30d;" cures it; by default there
# is no maximum.
#
# Seen: 'max-age=2592000: 1 of 4 at the origin, HIT', 'max-age=31536000: 4 of 4 at the origin, MISS, STORE', and with
# srcache_max_expire 30d '1 of 4, HIT'.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & memcached=$!
trap 'kill $memcached $(cat "$folder/nginx.pid") 2>/dev/null || true; sleep 1; rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root nginx=1.22.1-9+deb12u11 \
    libnginx-mod-http-ndk=1:0.3.2-3 libnginx-mod-http-memc=0.19-2 libnginx-mod-http-srcache-filter=0.33-1 \
    && for package in *.deb; do dpkg -x "$package" .; done)
python3 - "$folder" "$port" <<'PYTHON'
import http.client
import http.server
import pathlib
import socket
import subprocess
import sys
import threading
import time

folder, memcached = pathlib.Path(sys.argv[1]), sys.argv[2]


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        self.send_header("Cache-Control", f"public, max-age={self.path.rpartition('/')[2]}")
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
paths = "".join(
    f"{name}_temp_path {folder}/{name}; "
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
modules = "".join(
    f"load_module {folder}/usr/lib/nginx/modules/{name}_module.so; "
    for name in ("ndk_http", "ngx_http_memc", "ngx_http_srcache_filter")
)
cached = f"""
srcache_fetch GET /memc key=$uri;
srcache_store PUT /memc key=$uri&exptime=$srcache_expire;
add_header X-Status "$srcache_fetch_status $srcache_store_status";
proxy_pass http://127.0.0.1:{server.server_address[1]};
"""
(folder / "nginx.conf").write_text(f"""
{modules}
pid {folder}/nginx.pid; error_log {folder}/errors; events {{}}
http {{
  access_log off; {paths}
  server {{
    listen 127.0.0.1:{port};
    location = /memc {{
      internal; set $memc_key $arg_key; set $memc_exptime $arg_exptime; memc_pass 127.0.0.1:{memcached};
    }}
    location / {{ {cached} }}
    location /bounded/ {{ srcache_max_expire 30d; {cached} }}
  }}
}}
""")
nginx = str(folder / "usr/sbin/nginx")
subprocess.run([nginx, "-c", str(folder / "nginx.conf")], check=True, stderr=subprocess.DEVNULL)
for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        break
    except OSError:
        time.sleep(0.1)


def asked(path):
    Origin.asked = 0
    for _ in range(4):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.read() == b"ok"
        # It is stored once the answer has been sent.
        time.sleep(0.3)
    print(f"{path}: {Origin.asked} of 4 at the origin, {answer.headers['X-Status']}")
    return Origin.asked, answer.headers["X-Status"]


seen = [asked(path) for path in ("/2592000", "/31536000", "/bounded/31536000")]
assert seen == [(1, "HIT BYPASS"), (4, "MISS STORE"), (1, "HIT BYPASS")], seen
PYTHON
echo "srcache 0.33: as described"
