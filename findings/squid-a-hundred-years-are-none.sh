#!/bin/sh
# Squid 5.7 (Debian 12): "max-age=3153600000", a hundred years, is asked of the origin each time, as if it were none.
#
# More seconds than a cache can count are 2,147,483,648 to it, or the most that it can count (RFC 9111, section 1.2.2). Squid
# keeps what is left of the number in 32 bits, with a sign: from 2^31 on, 68 years, it is negative, and the answer stale at
# once; from 2^32 on it begins again at 0. So what shall be kept for ever, with a hundred years or with the 2^31 that
# the standard itself names, is never a hit, and 4,294,967,297 is one second; a year that was written in milliseconds by
# mistake happens to be kept. No line in the log.
#
# Seen, of three requests 1.2 s apart: 'max-age=2147483647: 1 of 3 at the origin', 'max-age=2147483648: 3 of 3',
# 'max-age=3153600000: 3 of 3', 'max-age=4294967297: 3 of 3', 'max-age=31536000000: 1 of 3'.
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
        self.send_response(200)
        self.send_header("Cache-Control", f"max-age={self.path[1:]}")
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

    def asked(lifetime):
        Origin.asked = 0
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", f"/{lifetime}")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            time.sleep(1.2)
        return Origin.asked

    seen = {lifetime: asked(lifetime) for lifetime in (2**31 - 1, 2**31, 3153600000, 2**32 + 1, 31536000000)}
    for lifetime, times in seen.items():
        print(f"max-age={lifetime}: {times} of 3 at the origin")
finally:
    process.terminate()
    process.wait()
assert list(seen.values()) == [1, 3, 3, 3, 1], seen
PYTHON
echo "Squid 5.7: as described"
