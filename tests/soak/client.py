"""A client: the only writer of its keys, a reader of everybody's, at a bounded pace."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tests.http.client import Answer as Reply
from tests.soak.calls import ABSENT, Call, Wishes, answers_of, path_of, path_of_many
from tests.soak.ledger import Ledger
from tests.soak.model import Model
from tests.soak.operations import MISSING, PRESENT, Answer, Operation
from tests.support.live import CACHE, Connection

CLIENTS = 4
TEXTS = 30
COUNTS = 10
# Requests a second of one client: the machine shall not be what is tested.
PACE = 60.0
MAX_PAGES = 200

GET = Operation("get")
LOOK = Operation("look")
DELETE = Operation("delete")


def keys_of(client: int) -> tuple[list[str], list[str]]:
    """Return a client's keys: those of texts, and those of counts."""
    texts = [f"s{client}:t{number}" for number in range(TEXTS)]
    return texts, [f"s{client}:n{number}" for number in range(COUNTS)]


ALL_KEYS = [key for client in range(CLIENTS) for part in keys_of(client) for key in part]


class Client(threading.Thread):
    """Sends requests, one after the other, until ``stop`` is set.

    :param turn: held during a request, so that a flush can wait for all.
    :param lists: whether the backend can list keys.
    :param key: its API key.
    """

    def __init__(
        self,
        number: int,
        seed: str,
        port: int,
        model: Model,
        ledger: Ledger,
        *,
        lists: bool,
        key: str,
    ) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.turn = threading.Lock()
        self.stop = threading.Event()
        self.failure: Exception | None = None
        self._number = number
        self._random = random.Random(f"{seed}/{number}")
        self._connection = Connection(port, key)
        self._model = model
        self._ledger = ledger
        self._lists = lists
        self._texts, self._counts = keys_of(number)
        self._serial = 0
        # What was read last, with its tag, for conditional writes.
        self._tags: dict[str, tuple[Any, str]] = {}

    def run(self) -> None:
        due = time.monotonic()
        with self._connection:
            while not self.stop.is_set():
                due = max(due + 1 / PACE, time.monotonic() - 0.2)
                self.stop.wait(max(0.0, due - time.monotonic()))
                try:
                    with self.turn:
                        self._step()
                except Exception as error:  # noqa: BLE001 (the soak reports it and ends)
                    self.failure = error
                    return

    # What to send

    def _step(self) -> None:
        choices = (
            (self._read, 30),
            (self._read_many, 10),
            (self._change_text, 30),
            (self._change_count, 14),
            (self._store_many, 8),
            (self._delete_many, 2),
            (self._list, 1 if self._lists else 0),
        )
        functions, weights = zip(*choices, strict=True)
        self._random.choices(functions, weights)[0]()

    def _read(self) -> None:
        key = self._random.choice(ALL_KEYS)
        path = path_of(key)
        (way,) = self._random.choices(("read", "head", "exists", "default"), (70, 15, 10, 5))
        match way:
            case "read":
                self._send(Call([(key, GET)], "GET", path))
            case "head":
                self._send(Call([(key, LOOK)], "HEAD", path))
            case "exists":
                self._send(Call([(key, LOOK)], "GET", f"{path}?check_exist=true"))
            case "default":
                self._send(Call([(key, GET)], "GET", f"{path}?default={ABSENT}"))

    def _read_many(self) -> None:
        keys = self._random.sample(ALL_KEYS, self._random.randint(2, 10))
        wishes = [(key, GET) for key in keys]
        self._send(Call(wishes, "GET", path_of_many(keys)))

    def _change_text(self) -> None:
        key = self._random.choice(self._texts)
        path = path_of(key)
        value, ttl = self._text(), self._ttl()
        body = {"value": value} if ttl is None else {"value": value, "ttl": ttl}
        verbs = ("set", "add", "put", "touch", "pull", "delete", "create", "swap", "drop")
        (verb,) = self._random.choices(verbs, (6, 5, 6, 4, 2, 2, 2, 5, 1))
        if verb in ("swap", "drop") and key not in self._tags:
            self._send(Call([(key, GET)], "GET", path))
        known, tag = self._tags.get(key, ("", '"none"'))
        match verb:
            case "set":
                wish = Operation(verb, value, ttl)
                self._send(Call([(key, wish)], "POST", CACHE, {"key": key, **body}))
            case "add":
                self._send(Call([(key, Operation(verb, value, ttl))], "POST", path, body))
            case "put":
                self._send(Call([(key, Operation(verb, value, ttl))], "PUT", path, body))
            case "touch":
                self._touch(key)
            case "pull":
                self._send(Call([(key, Operation(verb))], "GET", f"{path}?clear=true"))
            case "delete":
                self._send(Call([(key, DELETE)], "DELETE", path))
            case "create":
                wish = Operation(verb, value, ttl)
                self._send(Call([(key, wish)], "PUT", path, body, {"If-None-Match": "*"}))
            case "swap":
                wish = Operation(verb, value, ttl, known=known, etag=tag)
                self._send(Call([(key, wish)], "PUT", path, body, {"If-Match": tag}))
            case "drop":
                wish = Operation(verb, known=known, etag=tag)
                self._send(Call([(key, wish)], "DELETE", path, None, {"If-Match": tag}))

    def _change_count(self) -> None:
        key = self._random.choice(self._counts)
        roll = self._random.random()
        if roll < 0.8:
            step, ttl = self._random.randint(1, 9), self._ttl()
            initial = self._random.choice((None, 0, 1000 * self._next()))
            body = {"increment": step}
            body |= {} if initial is None else {"initial": initial}
            body |= {} if ttl is None else {"ttl": ttl}
            wish = Operation("count", step, ttl, initial)
            self._send(Call([(key, wish)], "PATCH", path_of(key), body))
        elif roll < 0.9:
            self._touch(key)
        else:
            self._send(Call([(key, DELETE)], "DELETE", path_of(key)))

    def _touch(self, key: str) -> None:
        ttl = self._ttl()
        # Without a number it is the default, as everywhere.
        wish = Operation("touch", ttl=ttl)
        self._send(Call([(key, wish)], "PATCH", path_of(key), {"ttl": ttl}))

    def _store_many(self) -> None:
        wishes: Wishes = []
        for key in self._random.sample(self._texts + self._counts, self._random.randint(2, 6)):
            value = self._text() if key in self._texts else 1000 * self._next()
            wishes.append((key, Operation("set", value, self._ttl())))
        pairs = [{"key": key, "value": wish.value, "ttl": wish.ttl} for key, wish in wishes]
        self._send(Call(wishes, "POST", CACHE, {"resource": pairs}))

    def _delete_many(self) -> None:
        keys = self._random.sample(self._texts + self._counts, self._random.randint(2, 4))
        wishes = [(key, DELETE) for key in keys]
        self._send(Call(wishes, "DELETE", path_of_many(keys)))

    def _text(self) -> str:
        # Some are longer than a packet.
        return f"s{self._number}-{self._next()}-" + "x" * self._random.choice((0, 10, 100, 5000))

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _ttl(self) -> int | None:
        return self._random.choice((None, None, None, 4, 7, 20))

    def sweep(self) -> None:
        """Read every key once."""
        for key in ALL_KEYS:
            self._send(Call([(key, GET)], "GET", path_of(key)))

    # Sending and judging

    def _send(self, call: Call) -> None:
        tickets = [self._model.begin(key, wish) for key, wish in call.wishes]
        started = time.monotonic()
        answers: Sequence[Answer | None] = [None] * len(tickets)
        try:
            reply = self._connection.call(call.method, call.path, call.body, call.headers)
        except (OSError, http.client.HTTPException) as error:
            self._ledger.failed(
                f"{self.name}: {call} -> {error!r}", started, call.wishes, self.name
            )
        else:
            self._ledger.answered(reply.status, started)
            answers = self._read_reply(call, reply, started)
        for ticket, answer in zip(tickets, answers, strict=True):
            self._ledger.judged(self._model.end(ticket, answer))

    def _read_reply(self, call: Call, reply: Reply, started: float) -> Sequence[Answer | None]:
        try:
            answers = answers_of(call, reply)
        except (ValueError, KeyError, TypeError) as error:
            text = f"{reply.status} {reply.body[:300]!r} ({error!r})"
            self._ledger.strange(f"{self.name}: {call} -> {text}")
            return [None] * len(call.wishes)
        if reply.status == 500:
            text = f"{self.name}: {call} -> 500 {reply.body[:400].decode()}"
            self._ledger.failed(text, started, call.wishes, self.name)
            if "Retry-After" not in reply.headers:
                self._ledger.strange(text)
        elif len(answers) == 1 and answers[0].word == "value" and "ETag" in reply.headers:
            self._tags[call.wishes[0][0]] = (answers[0].value, reply.headers["ETag"])
        return answers

    def _list(self) -> None:
        """List the own keys, which nobody changes meanwhile, page by page."""
        own = self._texts + self._counts
        tickets = [self._model.begin(key, LOOK) for key in own]
        started = time.monotonic()
        listed: set[str] | None = set()
        cursor = None
        for _ in range(MAX_PAGES):
            query = {"prefix": f"s{self._number}:", "limit": 1000}
            call = Call(
                [(own[0], LOOK)],
                "GET",
                f"{CACHE}?{urlencode(query | ({'cursor': cursor} if cursor else {}))}",
            )
            began = time.monotonic()
            try:
                reply = self._connection.call(call.method, call.path)
            except (OSError, http.client.HTTPException) as error:
                self._ledger.failed(
                    f"{self.name}: {call} -> {error!r}", began, call.wishes, self.name
                )
                listed = None
                break
            self._ledger.answered(reply.status, began)
            if reply.status != 200:
                self._read_reply(call, reply, began)
                listed = None
                break
            document = reply.json
            listed |= {one["key"] for one in document["resource"]}
            cursor = document["meta"]["next"]
            if cursor is None:
                break
        # After a failover the cursor is one of another server; what it skips is no promise.
        if self._ledger.in_fault(started):
            listed = None
        for key, ticket in zip(own, tickets, strict=True):
            answer = None if listed is None else PRESENT if key in listed else MISSING
            self._ledger.judged(self._model.end(ticket, answer))
