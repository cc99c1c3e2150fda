#!/bin/sh
# Apache Traffic Server 9.2.9 (Debian 12, 9.2.5+ds-0+deb12u4): of two "Vary" lines the first one counts alone.
#
# "Vary: Accept-Encoding" in a line of its own is what a compressing layer of the origin adds, before or behind
# "Vary: Accept-Language" of the program. Two lines are the same as one list (RFC 9110, section 5.3), and a stored answer must
# only be used if all that it names matches (RFC 9111, section 4.1). If the line with the language is the first each
# client gets his own; if it is the second, what was asked for in German is a hit for who asks for French, until its
# lifetime is over. In one line it is well in either order. (nginx has it the other way round.)
#
# Seen, asked for de, fr, de: 'Accept-Encoding, Accept-Language: de fr de', 'Accept-Language / Accept-Encoding: de fr de',
# 'Accept-Encoding / Accept-Language: de de de'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root trafficserver=9.2.5+ds-0+deb12u4 libhwloc15=2.9.0-1 \
    libyaml-cpp0.7=0.7.0+dfsg-8+b1 && for package in *.deb; do dpkg -x "$package" .; done)
python3 - "$folder" <<'PYTHON'
import http.client
import http.server
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time

folder = pathlib.Path(sys.argv[1])


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        language = self.headers["Accept-Language"].encode()
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=60")
        for line in self.path[1:].split("/"):
            self.send_header("Vary", line.replace("_", ", "))
        self.send_header("Content-Length", str(len(language)))
        self.end_headers()
        self.wfile.write(language)

    def log_message(self, *_):
        pass


origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=origin.serve_forever, daemon=True).start()
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
work = folder / "work"
shutil.copytree(folder / "etc/trafficserver", work / "etc")
for name in ("cache", "log", "run"):
    (work / name).mkdir()
user = pwd.getpwuid(os.getuid()).pw_name
user = "nobody" if user == "root" else user
(work / "etc/storage.config").write_text(f"{work}/cache 64M\n")
(work / "etc/remap.config").write_text(
    f"map http://127.0.0.1:{port}/ http://127.0.0.1:{origin.server_address[1]}/\n"
)
(work / "etc/records.config").write_text(f"""
CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING {user}
CONFIG proxy.config.body_factory.template_sets_dir STRING {work}/etc/body_factory
""")
libraries = folder / "usr/lib/trafficserver"
(work / "root.yaml").write_text(f"""
prefix: {work}
exec_prefix: {work}
bindir: {folder}/usr/bin
sbindir: {folder}/usr/bin
sysconfdir: {work}/etc
datadir: {work}/cache
includedir: {work}
libdir: {libraries}
libexecdir: {libraries}/modules
localstatedir: {work}/run
runtimedir: {work}/run
logdir: {work}/log
cachedir: {work}/cache
""")
if user == "nobody":
    for path in (work, *work.rglob("*")):
        shutil.chown(path, user)
with (work / "said").open("wb") as said:
    proxy = subprocess.Popen(
        [folder / "usr/bin/traffic_server", f"--run-root={work}/root.yaml"],
        env=dict(os.environ, LD_LIBRARY_PATH=f"{libraries}:{folder}/usr/lib/x86_64-linux-gnu"),
        cwd=work,
        stdout=said,
        stderr=said,
    )


def ask(path, language):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Accept-Language": language})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


try:
    for _ in range(300):
        try:
            # Until its cache is ready it passes everything on.
            if ask("/Accept-Language", "de") and ask("/Accept-Language", "fr") == (200, "fr"):
                break
        except OSError:
            time.sleep(0.1)
    time.sleep(3)
    seen = {}
    for path in (
        "/Accept-Encoding_Accept-Language",
        "/Accept-Language_Accept-Encoding",
        "/Accept-Language/Accept-Encoding",
        "/Accept-Encoding/Accept-Language",
    ):
        seen[path] = []
        for language in ("de", "fr", "de"):
            status, body = ask(path, language)
            assert status == 200
            seen[path].append(body)
            time.sleep(0.3)
        print(path, *seen[path])
    *well, wrong = seen.values()
    assert well == [["de", "fr", "de"]] * 3, well
    assert wrong == ["de", "de", "de"], wrong
finally:
    proxy.terminate()
    try:
        proxy.wait(20)
    except subprocess.TimeoutExpired:
        proxy.kill()
PYTHON
echo "Apache Traffic Server 9.2.9: as described"
