#!/bin/sh
# nginx 1.22.1 (Debian 12), proxy_cache: of two Vary lines only the last counts; the wrong variant is served.
#
# "Vary: Accept-Language" and "Vary: Accept-Encoding" on two lines mean what both on one line mean (RFC 9110,
# section 5.3), and frameworks whose parts each add a Vary send it so. nginx 1.22 keeps the last line alone:
# a client that asks for French gets the German answer that another client had stored. With both names on
# one line each gets its own.
#
# Seen: 'one line: de fr' and 'two lines: de de'.
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

class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.headers["Accept-Language"].encode()
        names = ["Accept-Language", "Accept-Encoding"]
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        for line in names if self.path == "/two" else [", ".join(names)]:
            self.send_header("Vary", line)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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


def get(path, language):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Accept-Language": language})
    return connection.getresponse().read().decode()


one = [get("/one", language) for language in ("de", "fr")]
two = [get("/two", language) for language in ("de", "fr")]
print("one line:", *one)
print("two lines:", *two)
assert one == ["de", "fr"], one
assert two == ["de", "de"], two
PYTHON
echo "nginx 1.22.1: as described"
