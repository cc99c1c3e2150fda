#!/bin/sh
# nginx 1.22.1 (Debian 12), proxy_cache: the origin's Age is ignored, and is given out unchanged for ever.
#
# An answer with "Cache-Control: max-age=60" and "Age: 7200" comes from a cache behind and has been stale
# for two hours (RFC 9111, section 4.2.3). nginx stores it and serves it as fresh for 60 s more. With
# "Age: 30" each hit says "Age: 30", however long the answer has been there, and with a Date of now: a cache
# or browser in front has no way to learn how old the answer is (section 5.1: the cache states its age).
#
# Seen: 'max-age=60, Age: 7200: 1 of 3 at the origin' and 'Age: 30, 3 s later: 30, Date moved by 3 s' (or 4).
set -eu
folder=$(mktemp -d)
trap 'kill $(cat "$folder/nginx.pid") 2>/dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root nginx=1.22.1-9+deb12u11 && dpkg -x nginx_*.deb .)
python3 - "$folder" <<'PYTHON'
import http.client
import http.server
import pathlib
import socket
import subprocess
import sys
import threading
import time

folder = pathlib.Path(sys.argv[1])

from email.utils import parsedate_to_datetime


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Age", self.path[1:])
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
(folder / "nginx.conf").write_text(f"""
pid {folder}/nginx.pid; error_log {folder}/errors; events {{}}
http {{
  access_log off; {paths}
  proxy_cache_path {folder}/cache keys_zone=one:1m;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{server.server_address[1]}; proxy_cache one;
      proxy_http_version 1.1; proxy_cache_key $uri;
    }}
  }}
}}
""")
nginx = str(folder / "usr/sbin/nginx")
told = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr
assert "nginx/1.22.1" in told, told
subprocess.run([nginx, "-c", str(folder / "nginx.conf")], check=True, stderr=subprocess.DEVNULL)
for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        break
    except OSError:
        time.sleep(0.1)


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer


for _ in range(3):
    get("/7200")
print(f"max-age=60, Age: 7200: {Origin.asked} of 3 at the origin")
assert Origin.asked == 1, Origin.asked
first = get("/30")
time.sleep(3)
later = get("/30")
moved = parsedate_to_datetime(later.headers["Date"]) - parsedate_to_datetime(first.headers["Date"])
print(f"Age: 30, 3 s later: {later.headers['Age']}, Date moved by {moved.seconds} s")
assert Origin.asked == 2, Origin.asked
assert later.headers.get_all("Age") == ["30"], later.headers.get_all("Age")
assert 2 <= moved.seconds <= 10, moved
PYTHON
echo "nginx 1.22.1: as described"
