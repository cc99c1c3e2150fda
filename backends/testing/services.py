"""What a backend does with all entries: listing, flushing, keeping apart, statistics."""

from __future__ import annotations

import pytest

from backends.base import MISSING, Backend, Item
from backends.capabilities import Capability
from backends.errors import InvalidCursor, Unsupported
from backends.probe import NotDone
from backends.statistics import ServerStatistics
from backends.testing.cases import KEYS, ROUNDS, all_keys, needs, reads_of, with_prefix


class Services:
    """A part of :class:`~backends.testing.BackendConformance`."""

    @needs(Capability.LIST_KEYS)
    def test_a_listing_has_each_key_once(self, backend: Backend) -> None:
        backend.set_many([Item(key, b"", None) for key in KEYS])
        backend.set("expired", b"", 0)
        for limit in (1, 7, len(KEYS), 1000):
            assert all_keys(backend, "", limit) == sorted(KEYS)
        for prefix in (*KEYS, "no key has this"):
            expected = sorted(key for key in KEYS if key.startswith(prefix))
            assert all_keys(backend, prefix, 2) == expected

    @needs(Capability.LIST_KEYS)
    def test_a_listing_goes_on_while_keys_are_deleted(self, backend: Backend) -> None:
        keys = {f"key{number}" for number in range(20)}
        backend.set_many([Item(key, b"", None) for key in keys])
        listed, cursor = backend.list_keys("", 5, None)
        while cursor is not None:
            assert backend.delete(listed[-1]) is True
            page, cursor = backend.list_keys("", 5, cursor)
            listed += page
        assert sorted(listed) == sorted(keys)

    @needs(Capability.LIST_KEYS)
    def test_a_cursor_of_somebody_else_is_refused(self, backend: Backend) -> None:
        # Base64 of something or other is none, either.
        base64 = ("xyz", "YQ", "bm9ib2R5IGdhdmUgdGhpcyBvbmUgdG8gYW55Ym9keQ")
        for cursor in ("no cursor!", "\0", "é", "👩", "\ud800", *base64):
            with pytest.raises(InvalidCursor):
                backend.list_keys("", 10, cursor)

    def test_flush_deletes_all_keys(self, backend: Backend) -> None:
        backend.set_many([Item(key, b"", None) for key in KEYS])
        if backend.prefix and Capability.FLUSH_PREFIX not in backend.capabilities:
            with pytest.raises(Unsupported):
                backend.flush()
            assert backend.get_many(KEYS).keys() == set(KEYS)
        else:
            backend.flush()
            assert backend.get_many(KEYS) == {}
            assert backend.add("a", b"new", None) is True
            assert backend.get("a") == b"new"

    def test_services_with_a_prefix_are_apart(self, backend: Backend) -> None:
        one = with_prefix(backend, "b:")
        others = [with_prefix(backend, prefix) for prefix in ("a:", "B:", "b;", "b\u0308:", "b")]
        for service in (one, *others):
            service.set_many([Item(key, service.prefix.encode(), None) for key in ("a", "b")])
        if Capability.FLUSH_PREFIX in backend.capabilities:
            one.flush()
            assert one.get_many(["a", "b"]) == {}
        else:
            with pytest.raises(Unsupported) as refusal:
                one.flush()
            assert refusal.value.capability is Capability.FLUSH_PREFIX
            assert one.get_many(["a", "b"]) == {"a": b"b:", "b": b"b:"}
        for other in others:
            assert other.get_many(["a", "b"]) == dict.fromkeys("ab", other.prefix.encode())
        if Capability.LIST_KEYS in backend.capabilities:
            assert [all_keys(other, "", 9) for other in others[:-1]] == [["a", "b"]] * 4

    @needs(Capability.STATS)
    def test_statistics_are_told_server_by_server(self, backend: Backend) -> None:
        backend.set("key", b"value", None)
        before = backend.stats()
        assert {type(found) for found in before} == {ServerStatistics}
        assert len({found.server for found in before}) == len(before) > 0
        assert all(found.error is None and found.figures for found in before)
        for section in backend.stats_sections:
            of_section = backend.stats(section)
            assert [found.server for found in of_section] == [found.server for found in before]
            assert all(found.error is None and found.figures for found in of_section)
        items = [found.figures.curr_items for found in before if found.figures]
        assert None in items or sum(filter(None, items)) > 0

    @needs(Capability.STATS)
    def test_statistics_count_each_read_once(self, backend: Backend) -> None:
        backend.set("here", b"value", None)
        # Who else uses the server may read at the same time, but not each time.
        for _ in range(ROUNDS):
            before = reads_of(backend)
            for _ in range(ROUNDS):
                assert backend.get("here") == b"value"
            assert backend.get("absent") is MISSING
            assert backend.get_many(["here", "absent", "absent-too"]) == {"here": b"value"}
            after = reads_of(backend)
            if before is None or after is None:
                return
            counted = tuple(now - then for now, then in zip(after, before, strict=True))
            if counted == (ROUNDS + 1, 3):
                return
        assert counted == (ROUNDS + 1, 3)

    def test_a_probe_does_its_steps_and_leaves_nothing(self, backend: Backend) -> None:
        probe = backend.probe("probe")
        probe.connect()
        probe.write()
        probe.read()
        probe.delete()
        probe.connect()
        assert backend.get("probe") is MISSING
        with pytest.raises(NotDone):
            probe.read()
        with pytest.raises(NotDone):
            probe.delete()

    def test_a_closed_backend_opens_again(self, backend: Backend) -> None:
        backend.set("key", b"value", None)
        backend.close()
        backend.close()
        assert backend.get("key") == b"value"
