"""Debian's nginx as a client: nginx.py CLIENT PORT put|get, prints JSON.

``memcached_pass``, the module memc, and srcache, which keeps whole answers through memc.
"""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

_, client, port, verb = sys.argv
MODULES = ("ndk_http", "ngx_http_memc", "ngx_http_srcache_filter")
CONFIGURATION = """
{modules}
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    default_type text/plain;
    upstream cache {{ server 127.0.0.1:{port}; }}
    server {{
        listen 127.0.0.1:{own};
        location /memcached_pass/ {{ set $memcached_key $arg_key; memcached_pass cache; }}
        location /memc/ {{ set $memc_key $arg_key; set $memc_exptime 600; memc_pass cache; }}
        location /srcache/ {{
            srcache_fetch GET /memc/ key=$arg_key;
            srcache_store PUT /memc/ key=$arg_key;
            proxy_pass http://127.0.0.1:{own}/origin/;
        }}
        location /origin/ {{ return 200 "hi"; }}
    }}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def ask(path, body=None):
    method = "GET" if body is None else "PUT"
    request = urllib.request.Request(f"http://127.0.0.1:{own}{path}", data=body, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def put():
    samples = {"'hi'": b"hi", "'42'": b"42", "3000 x": b"x" * 3000}
    if client == "srcache":
        ask("/srcache/?key=c0")
        # It is stored once the answer has been sent.
        time.sleep(0.3)
        return {"a page": "c0"}
    found = {}
    for number, (label, value) in enumerate(samples.items()):
        ask(f"/memc/?key=c{number}", value)
        found[label] = f"c{number}"
    return found


def get():
    found = {}
    for name in json.loads(sys.stdin.read()):
        try:
            found[name] = ask(f"/{client}/?key={name}")[:40]
        except urllib.error.HTTPError as error:
            found[name] = f"exception {error.code}"
    return found


own = free_port()
with tempfile.TemporaryDirectory() as folder:
    where = Path("/usr/lib/nginx/modules")
    modules = "\n".join(f"load_module {where}/{name}_module.so;" for name in MODULES)
    file = Path(folder, "nginx.conf")
    file.write_text(CONFIGURATION.format(modules=modules, folder=folder, port=port, own=own))
    server = subprocess.Popen(["/usr/sbin/nginx", "-c", str(file), "-p", folder, "-e", "stderr"])
    try:
        for _attempt in range(100):
            try:
                socket.create_connection(("127.0.0.1", own), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        print(json.dumps(put() if verb == "put" else get()))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
