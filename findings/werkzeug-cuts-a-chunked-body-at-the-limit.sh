#!/bin/sh
# Werkzeug 3.1.9 (Flask 3.1.3, gunicorn 27.0.1): a chunked body over MAX_CONTENT_LENGTH is cut, and taken for whole.
#
# By the documentation more than max_content_length is a 413 RequestEntityTooLarge, and so it is where the request
# has a Content-Length. Of a chunked one get_data() and stream.read() give the first so many bytes, without an
# error: the view cannot tell them from a body of just that length, stores half an upload, and answers 200. Who
# reads in portions, until there is nothing more, does get the 413: it is raised by the read after the limit, and
# reading all at once stops before that one.
#
# Seen, of a limit of 1,000 bytes and bodies of 3,000: 'length, all at once: 413', 'chunked, all at once: 200,
# 1000 bytes', 'chunked, in portions: 413'.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install flask==3.1.3 werkzeug==3.1.9 gunicorn==27.0.1
cat >"$folder/application.py" <<'PYTHON'
from flask import Flask, request

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1000


@app.post("/at-once")
def at_once():
    return f"{len(request.get_data())} bytes"


@app.post("/in-portions")
def in_portions():
    return f"{sum(map(len, iter(lambda: request.stream.read(500), b'')))} bytes"
PYTHON
(cd "$folder" && exec venv/bin/gunicorn --log-level error --no-control-socket \
    --bind "127.0.0.1:$port" application:app) & pid=$!
trap 'kill $pid; wait $pid || true; rm -rf "$folder"' EXIT
python3 - "$port" <<'PYTHON'
import http.client
import sys
import time

BODY = b"x" * 3000


def post(path, body):
    for _ in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
        try:
            connection.connect()
            break
        except OSError:
            time.sleep(0.1)
    # Without a length http.client sends what is iterated over in chunks.
    connection.request("POST", path, body, encode_chunked=not isinstance(body, bytes))
    answer = connection.getresponse()
    text = answer.read().decode()
    return f"{answer.status}, {text}" if answer.status == 200 else str(answer.status)


def chunks():
    return iter([BODY[:1500], BODY[1500:]])


seen = {
    "length, all at once": post("/at-once", BODY),
    "chunked, all at once": post("/at-once", chunks()),
    "chunked, in portions": post("/in-portions", chunks()),
    "chunked, under the limit": post("/at-once", iter([b"x" * 400, b"x" * 400])),
}
for name, said in seen.items():
    print(f"{name}: {said}")
assert list(seen.values()) == ["413", "200, 1000 bytes", "413", "200, 800 bytes"], seen
PYTHON
echo "Werkzeug 3.1.9: as described"
