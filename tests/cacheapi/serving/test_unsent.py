"""Large answers that clients do not take: who pays for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import cast

import pytest

from cacheapi import create_app, load
from cacheapi.serving import heavy, leaving
from cacheapi.serving.unsent import MOST_WAITING, Room, Waiting
from cacheapi.web.large import NO_ROOM
from tests.http.client import FileStore, close_app
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Wire, head
from tests.support.processes import eventually

MIB = 2**20
OTHER = ("other", 1)


@pytest.mark.parametrize(
    ("waits", "slow", "other"),
    [
        ({}, True, True),
        # Several readers that take nothing.
        ({"slow": 20 * MIB, "slower": 8 * MIB}, True, True),
        # One that has more than its share.
        ({"slow": 33 * MIB}, False, True),
        ({"slow": 20 * MIB, "slower": 20 * MIB}, False, True),
        # All together are bounded.
        ({f"slow{number}": 5 * MIB for number in range(10)}, False, False),
        ({"slow": MOST_WAITING + 1}, False, False),
    ],
)
def test_who_takes_nothing_pays_himself(waits: dict[str, int], slow: bool, other: bool) -> None:
    room = Room(waits)
    assert room.has(("slow", 2)) is slow
    assert room.has(OTHER) is other


def test_what_waits_is_bounded_whoever_asks_and_one_host_leaves_room() -> None:
    waits: dict[str, int] = {}
    for number in range(20):
        host = (f"{number}", 1)
        # Each asks for as long as it may, and takes nothing.
        while Room(waits).has(host):
            waits[host[0]] = waits.get(host[0], 0) + MIB
        assert sum(waits.values()) <= MOST_WAITING + MIB
        assert Room(waits).has(OTHER) or number > 1


def test_an_answer_counts_whole_until_its_client_has_the_last_byte() -> None:
    class Buffer:
        left = 0

        def get_write_buffer_size(self) -> int:
            return self.left

    waiting, buffer = Waiting(), Buffer()
    transport = cast("asyncio.Transport", buffer)
    # The kernel took it at once.
    waiting.add(transport, ("slow", 1), 33 * MIB)
    assert waiting.room().has(("slow", 1))
    buffer.left = 1
    waiting.add(transport, ("slow", 1), 20 * MIB)
    assert waiting.room().has(("slow", 1))
    # Another one, behind it on the same connection.
    waiting.add(transport, ("slow", 1), 13 * MIB)
    assert not waiting.room().has(("slow", 1))
    assert waiting.room().has(OTHER)
    buffer.left = 0
    assert waiting.room().has(("slow", 1))


@pytest.mark.usefixtures("never_slow")
def test_slow_readers_delay_no_other_large_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who has to wait does so for long.
    monkeypatch.setattr(heavy, "CROWDED_SECONDS", 60)
    monkeypatch.setattr(heavy, "PATIENCE_SECONDS", 60)
    for module in (heavy, leaving):
        monkeypatch.setattr(module, "MOST_CROWDED_SECONDS", 60)
    value = json.dumps("x" * 7 * MIB).encode()
    app = create_app(
        load({"CACHEAPI_API_KEY": Inside.api_key, "CACHEAPI_DATA_DIR": str(tmp_path)}, None)
    )
    for key in ("slow", "read", "pulled", "unknown"):
        FileStore(tmp_path).plant(key, value)
    with inside(app, tmp_path) as live, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Wire(live.port)) for _ in range(4)]
        for wire in slow:
            wire.send(head(f"GET {CACHE}/slow"))
        eventually(lambda: sum(live.site.waiting.room()._waits.values()) > 10 * MIB)
        with Wire(live.port) as wire:
            # The second read is of what is known to be large; so is the first pull.
            for target in ("read", "read", "unknown?pull=1"):
                wire.send(head(f"GET {CACHE}/{target}"))
                assert len(wire.answer().body) > 7 * MIB
            wire.send(head(f"HEAD {CACHE}/pulled"))
            assert wire.status() == 200
        with Wire(live.port) as wire:
            wire.send(head(f"GET {CACHE}/pulled?pull=1"))
            assert len(wire.answer().body) > 7 * MIB
    close_app(app)


@pytest.mark.usefixtures("never_slow")
def test_each_of_many_pulls_at_once_is_given_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "MOST_CROWDED_SECONDS", 1)
    app = create_app(
        load({"CACHEAPI_API_KEY": Inside.api_key, "CACHEAPI_DATA_DIR": str(tmp_path)}, None)
    )
    keys = [f"k{number}" for number in range(16)]
    for key in keys:
        FileStore(tmp_path).plant(key, json.dumps("x" * 7 * MIB).encode())
    with inside(app, tmp_path) as live, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(live.port)) for _ in keys]
        for key, wire in zip(keys, wires, strict=True):
            wire.send(head(f"GET {CACHE}/{key}?pull=1"))
        # Nobody takes anything, so the last of them find no room, and are told so.
        assert wires[-1].answer().status == 503
        answers = {key: wire.answer() for key, wire in zip(keys[:-1], wires, strict=False)}
        refused = [key for key, answer in answers.items() if answer.status == 503]
        assert 0 < len(refused) < len(keys) - 1
        assert all(len(answers[key].body) > 7 * MIB for key in answers if key not in refused)
        for key in answers:
            # What was refused is there still.
            wire = stack.enter_context(Wire(live.port))
            wire.send(head(f"HEAD {CACHE}/{key}"))
            assert wire.status() == (200 if key in refused else 404)
    close_app(app)


def test_what_would_be_taken_stays_where_there_is_no_room_for_it(tmp_path: Path) -> None:
    app = create_app(
        load({"CACHEAPI_API_KEY": Inside.api_key, "CACHEAPI_DATA_DIR": str(tmp_path)}, None)
    )
    client, none = app.test_client(), {NO_ROOM: True}
    fields = {"X-DreamFactory-API-Key": Inside.api_key}
    FileStore(tmp_path).plant("k", b"1")
    # Who may not is told that first.
    assert client.get(f"{CACHE}/k?pull=1", environ_overrides=none).status_code == 401
    for way in ("pull", "clear"):
        refused = client.get(f"{CACHE}/k?{way}=1", headers=fields, environ_overrides=none)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    # A plain read is refused only where it turns out to be large.
    assert client.get(f"{CACHE}/k", headers=fields, environ_overrides=none).status_code == 200
    assert client.get(f"{CACHE}/k?pull=1", headers=fields).json == {"key": "k", "value": 1}
    close_app(app)
