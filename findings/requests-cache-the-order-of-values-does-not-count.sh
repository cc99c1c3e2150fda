#!/bin/sh
# requests-cache 1.3.3: "?sort=name&sort=date" is answered with what "?sort=date&sort=name" got, and an empty field is none.
#
# By the documentation a request is normalised "to account for any variations that do not modify response content". Fields
# are sorted, which is well for those of different names. But values of one name are sorted too, though their order is all
# that tells them apart: first by name, then by date, or the other way round. A field whose value is empty is left
# out of what is compared, so "?archived=" and "?draft=" are one, and the same as neither. Of a body in JSON that is a list
# (with POST among allowable_methods) the elements are sorted: a search for the way from a to b is that from b to a. Within
# an object a list keeps its order.
#
# Seen: 'sort=name&sort=date, sort=date&sort=name: a hit', 'archived=, draft=: a hit', '["a", "b"], ["b", "a"]: a hit',
# '{"way": ["a", "b"]}, {"way": ["b", "a"]}: no hit', 'archived, draft: no hit'; each hit has the first one's answer.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install requests-cache==1.3.3 requests==2.34.2 url-normalize==3.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import http.server
import threading

import requests_cache


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = sent or self.path.partition("?")[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_address[1]}"
session = requests_cache.CachedSession(backend="memory", allowable_methods=["GET", "POST"])


def query(path):
    return lambda text: session.get(f"{base}/{path}?{text}")


def body(path):
    return lambda text: session.post(
        f"{base}/{path}", data=text, headers={"Content-Type": "application/json"}
    )


cases = (
    (query("1"), "sort=name&sort=date", "sort=date&sort=name", True),
    (query("2"), "archived=", "draft=", True),
    (query("3"), "archived", "draft", False),
    (body("4"), '["a", "b"]', '["b", "a"]', True),
    (body("5"), '{"way": ["a", "b"]}', '{"way": ["b", "a"]}', False),
)
for ask, first, second, hit in cases:
    assert ask(first).text == first
    answer = ask(second)
    print(f"{first}, {second}: {'a hit' if answer.from_cache else 'no hit'}, {answer.text}")
    assert answer.from_cache == hit
    assert answer.text == (first if hit else second)
PYTHON
echo "requests-cache 1.3.3: as described"
