"""What the reader takes for a reply, and what it does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from backends.memcached.errors import READ_FAILURE, TIMEOUT, CommandFailed, failure
from backends.memcached.greeting import GREETING
from backends.memcached.link import Link
from backends.memcached.reader import Stored, read, read_many


@contextmanager
def answering(*parts: bytes, then: bytes | Sequence[bytes] = b"") -> Iterator[Link]:
    """A connection to a server that answers the first command with these bytes, in parts.

    :param then: what it answers the second with, in parts too where it is several.
    """

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert connection.recv(65536) == GREETING
            connection.sendall(b"VERSION 1.6.18\r\n")
            connection.recv(65536)
            for part in parts:
                connection.sendall(part)
                done.wait(0.002)
            if then:
                connection.recv(65536)
                for part in [then] if isinstance(then, bytes) else then:
                    connection.sendall(part)
                    done.wait(0.002)
            done.wait(5)

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        link = Link(f"127.0.0.1:{listener.getsockname()[1]}", 0.2)
        try:
            yield link
        finally:
            link.close()
            done.set()
            thread.join(5)


WHOLE = b"VALUE a 16 5\r\nEND\r\n\r\nVALUE b 0 0\r\n\r\nEND\r\n"


def test_a_reply_is_the_same_however_it_is_cut_into_packets() -> None:
    for size in (1, 2, 7, 20, len(WHOLE)):
        parts = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
        with answering(*parts) as link:
            assert read_many(link, [b"a", b"b", b"c"]) == {b"a": b"END\r\n", b"b": b""}


def test_a_large_value_comes_whole() -> None:
    value = bytes(range(256)) * 4000
    with answering(b"VALUE a 0 %d\r\n" % len(value), value, b"\r\nEND\r\n") as link:
        assert read_many(link, [b"a"]) == {b"a": value}


VALUES = {b"k%d" % number: b"\r\nEND\r\n" * (number % 40) for number in range(400)}
MANY = b"".join(b"VALUE %b 0 %d\r\n%b\r\n" % (k, len(v), v) for k, v in VALUES.items())


@pytest.mark.parametrize("size", [16 * 1024, 20_001, 65_536])
def test_a_reply_of_many_values_is_the_same_however_it_is_cut(size: int) -> None:
    whole = MANY + b"END\r\n"
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    with answering(*parts) as link:
        assert read_many(link, list(VALUES)) == VALUES


@pytest.mark.parametrize("first", [16 * 1024, len(MANY) - 3, len(MANY)])
def test_a_line_that_says_no_behind_many_values_is_not_waited_behind(first: int) -> None:
    said = MANY + b"SERVER_ERROR out of memory writing get response\r\n"
    with answering(said[:first], said[first:]) as link, pytest.raises(CommandFailed) as caught:
        read_many(link, list(VALUES))
    assert caught.value.answered


def test_flags_and_the_number_of_the_store_come_with_a_value() -> None:
    with answering(b"VALUE a 4294967295 1 18446744073709551615\r\n7\r\nEND\r\n") as link:
        assert read(link, b"a") == Stored(b"7", 2**32 - 1, 2**64 - 1)


@pytest.mark.parametrize(
    "reply",
    [
        b"ERROR\r\nEND\r\n",
        b"ERR\r\n",
        b"END\r\nEND\r\n",
        b"END \r\n",
        b"\r\n",
        b"END\nEND\n" * 100,
        b"x" * 5000,
        b"VALUE other 0 1\r\n1\r\nEND\r\n",
        b"VALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n2\r\nEND\r\n",
        b"VALUE a 0 1 7\r\n1\r\nEND\r\n",
        b"VALUE a 0\r\n1\r\nEND\r\n",
        b"VALUE a 0 1\r\n12\r\nEND\r\n",
        b"VALUE a 0 -1\r\n12\r\nEND\r\n",
        b"VALUE a 0 +1\r\n1\r\nEND\r\n",
        b"VALUE a 0 1_0\r\n1234567890\r\nEND\r\n",
        b"VALUE a  1\r\n1\r\nEND\r\n",
        b"VALUE a x 1\r\n1\r\nEND\r\n",
        b"value a 0 1\r\n1\r\nEND\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_no_reply_to_the_question_is_a_failure(reply: bytes) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed) as caught:
        read_many(link, [b"a", b"b"])
    assert caught.value.code == READ_FAILURE
    assert not caught.value.answered


@pytest.mark.parametrize(
    "said",
    [
        "ERROR",
        "SERVER_ERROR out of memory writing get response",
        "SERVER_ERROR Connection refused",
        "SERVER_ERROR what no version before said",
        "CLIENT_ERROR line too long",
    ],
)
def test_a_line_that_says_no_is_an_answer_and_is_told(said: str) -> None:
    with answering(said.encode() + b"\r\n") as link, pytest.raises(CommandFailed) as caught:
        read_many(link, [b"a", b"b"])
    assert caught.value.answered
    assert caught.value.text == said
    assert said in str(failure(caught.value, "memcached at x", sent=False))


@pytest.mark.parametrize("numbers", [b"0 1", b"0 1 ", b"0 1 x", b" 1 5", b"0 1 5 6"])
def test_a_value_without_its_number_is_a_failure_where_that_was_asked_for(numbers: bytes) -> None:
    reply = b"VALUE a %s\r\n1\r\nEND\r\n" % numbers
    with answering(reply) as link, pytest.raises(CommandFailed):
        read(link, b"a")


@pytest.mark.parametrize("part", [b"", b"E", b"END\r", b"VALUE a 0 1", b"VALUE a 0 9\r\n1234"])
def test_what_stays_out_is_a_timeout(part: bytes) -> None:
    with answering(part) as link, pytest.raises(CommandFailed) as caught:
        read_many(link, [b"a"])
    assert caught.value.code == TIMEOUT
