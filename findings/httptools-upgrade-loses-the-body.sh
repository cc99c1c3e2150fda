#!/bin/sh
# httptools 0.9.0 (llhttp), the parser under uvicorn: a request that offers an upgrade loses its body.
#
# A client may offer another protocol with any request ("Connection: Upgrade", RFC 9110, section 7.8);
# Java's own HTTP client does so with each request on clear text (h2c). A server that does not take the
# offer serves the request as it stands, body and all. httptools gives the head, calls
# on_message_complete at once, raises HttpParserUpgrade, and on_body is never called, though
# Content-Length says that a body of 13 bytes is there and all of it was fed. Without the offer the same
# request gives its body. Who goes on after the exception has to parse the request again by other means.
#
# Seen: 'with offer: HttpParserUpgrade, body b""' and 'without: no exception, body b"{"answer":42}"'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install httptools==0.9.0
"$folder/venv/bin/python" - <<'PYTHON'
import httptools

BODY = b'{"answer":42}'


class Seen:
    def __init__(self):
        self.body, self.complete = b"", False

    def on_body(self, data):
        self.body += data

    def on_message_complete(self):
        self.complete = True


def feed(*offer):
    head = [b"POST /things HTTP/1.1", b"Host: example.org", b"Content-Length: %d" % len(BODY), *offer]
    seen = Seen()
    raised = "no exception"
    try:
        httptools.HttpRequestParser(seen).feed_data(b"\r\n".join(head) + b"\r\n\r\n" + BODY)
    except httptools.HttpParserUpgrade:
        raised = "HttpParserUpgrade"
    return raised, seen.body, seen.complete


offered = feed(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
plain = feed()
print("with offer:", *offered)
print("without:", *plain)
assert plain == ("no exception", BODY, True), plain
assert offered == ("HttpParserUpgrade", b"", True), offered
PYTHON
echo "httptools 0.9.0: as described"
