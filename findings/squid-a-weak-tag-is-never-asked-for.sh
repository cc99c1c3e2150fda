#!/bin/sh
# Squid 5.7 (Debian 12): whether an answer with a weak ETag is still the same is never asked by the tag, so it comes whole each time.
#
# To ask whether a stored answer still holds, a cache sends the entity-tag that came with it (RFC 9111, section 4.3.1: it "MUST"),
# and If-None-Match is made for weak ones too (RFC 9110, section 13.1.2). Squid does so with a strong tag. With a weak one, as
# Express gives to each answer that it makes, Squid sends no tag but "If-Modified-Since" with the time at which it had the
# answer, though that has no Last-Modified. An origin that knows its answers by tags alone has nothing to compare, and
# sends all of it, every time: the tag saves nothing.
#
# Seen, the If-None-Match of three requests at the origin: '"1": none, "1", "1"' (two of them a 304), 'W/"1": none, none,
# none' (all whole).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root squid=5.7-2+deb12u6 squid-common=5.7-2+deb12u6 \
    libecap3 libltdl7 libnetfilter-conntrack3 libnfnetlink0 squid-langpack \
    && for package in *.deb; do dpkg -x "$package" .; done)
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
    asked = []
    dates = []

    def do_GET(self):
        tag, sent = urllib.parse.unquote(self.path[1:]), self.headers.get("If-None-Match", "none")
        Origin.asked.append(sent)
        Origin.dates.append("If-Modified-Since" in self.headers)
        self.send_response(304 if sent == tag else 200)
        self.send_header("Cache-Control", "max-age=0")
        self.send_header("ETag", tag)
        if sent == tag:
            self.end_headers()
            return
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
work = folder / "work"
work.mkdir()
work.chmod(0o777)
(folder / "squid.conf").write_text(f"""
http_port 127.0.0.1:{port} accel defaultsite=example.org
cache_peer 127.0.0.1 parent {server.server_address[1]} 0 no-query no-digest originserver
http_access allow all
cache_mem 16 MB
access_log none
cache_log {work}/log
cache_store_log none
coredump_dir {work}
pid_filename {work}/pid
pinger_enable off
shutdown_lifetime 1 second
mime_table {folder}/usr/share/squid/mime.conf
icon_directory {folder}/usr/share/squid/icons
error_directory {folder}/usr/share/squid/errors/templates
unlinkd_program {folder}/usr/lib/squid/unlinkd
logfile_daemon {folder}/usr/lib/squid/log_file_daemon
""")
squid = str(folder / "usr/sbin/squid")
libraries = {**os.environ, "LD_LIBRARY_PATH": str(folder / "usr/lib/x86_64-linux-gnu")}
told = subprocess.run([squid, "-v"], env=libraries, capture_output=True, text=True).stdout
assert "Version 5.7" in told, told
process = subprocess.Popen(
    [squid, "-N", "-f", str(folder / "squid.conf")], env=libraries, stderr=subprocess.DEVNULL
)
try:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)

    def asked(tag):
        Origin.asked, Origin.dates = [], []
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", f"/{urllib.parse.quote(tag)}")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"ok")
            time.sleep(0.2)
        print(f"{tag}: {', '.join(Origin.asked)}")
        return Origin.asked

    strong, weak = asked('"1"'), asked('W/"1"')
finally:
    process.terminate()
    process.wait()
assert strong == ["none", '"1"', '"1"'], strong
assert weak == ["none", "none", "none"], weak
assert Origin.dates == [False, True, True], Origin.dates
PYTHON
echo "Squid 5.7: as described"
