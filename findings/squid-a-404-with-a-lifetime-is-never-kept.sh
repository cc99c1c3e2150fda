#!/bin/sh
# Squid 5.7 (Debian 12): a 404 that says "max-age=60" is asked of the origin each time, where a 410 is kept.
#
# What states its lifetime may be stored whatever its final status is (RFC 9111, section 3), and since Squid 3.1 the
# default of negative_ttl, 0, is meant to keep those errors whose sender permits it. A 200, 301, 302 and 410 with
# "Cache-Control: max-age=60" are kept for their minute. A 404 with the same field is not, nor is a 403, a 405, a 204
# or a 500: for these negative_ttl alone decides. An API that says "absent" often, and for how long, gets every such
# question; with a 410 it would not.
#
# Seen: '200: 1 of 3 at the origin', '301: 1 of 3', '302: 1 of 3', '410: 1 of 3', '404: 3 of 3', '403: 3 of 3', '405: 3 of
# 3', '204: 3 of 3', '500: 3 of 3'.
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

folder = pathlib.Path(sys.argv[1])


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        status = int(self.path[1:])
        self.send_response(status)
        self.send_header("Cache-Control", "max-age=60")
        if status == 204:
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

    def asked(status):
        Origin.asked = 0
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", f"/{status}")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            time.sleep(0.2)
        return Origin.asked

    seen = {status: asked(status) for status in (200, 301, 302, 410, 404, 403, 405, 204, 500)}
    for status, times in seen.items():
        print(f"{status}: {times} of 3 at the origin")
finally:
    process.terminate()
    process.wait()
kept = [status for status, times in seen.items() if times == 1]
asked_for_each_time = [status for status, times in seen.items() if times == 3]
assert kept == [200, 301, 302, 410], seen
assert asked_for_each_time == [404, 403, 405, 204, 500], seen
PYTHON
echo "Squid 5.7: as described"
