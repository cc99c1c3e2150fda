"""gunicorn's own errors and messages."""

from __future__ import annotations

import json
import logging
import socket

from cacheapi.serving.refusals import HideKeys, hide_keys, write_error


def test_a_request_that_gunicorn_refuses_gets_the_one_shape_of_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write_error(ours, 431, "Request Header Fields Too Large", "limit exceeded")
        head, _, body = theirs.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close" in head
    assert b"content-type: application/json" in head
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body) == {
        "error": {"code": 431, "context": None, "message": "limit exceeded", "status_code": 431}
    }


def test_without_a_message_the_reason_is_given() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write_error(ours, 500, "Internal Server Error", "")
        body = theirs.recv(65536).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["error"]["message"] == "Internal Server Error"


def test_an_api_key_in_a_request_line_is_hidden() -> None:
    line = "Invalid Request Line 'GET /api/v2/cache/a?api_key=s3cret&ttl=5 HTTP/9'"
    assert hide_keys(line) == "Invalid Request Line '…'"


def test_the_log_hides_api_keys_in_arguments_too() -> None:
    record = logging.LogRecord(
        "gunicorn.error", logging.ERROR, "", 0, "Error handling %s", ("/x?api%5Fkey=s3cret",), None
    )
    assert HideKeys().filter(record)
    assert record.getMessage() == "Error handling /x?…"
