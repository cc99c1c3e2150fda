"""What each key may now be, after the writes that were acknowledged and the faults there were.

A key has a set of possible states for each server that may hold a copy of it. An acknowledged
request leaves the states that explain its answer, and no answer may be unexplained. A request
without an answer adds what it may have done. A fault makes the keys of its server *loose*:
until it is over, what arrives late or at another server may change them, so that states are
added and none is taken away. A server that is dead has no states, so nothing explains an
answer from it.

Each key has one writer; all may read it. A request is explained by any state that was possible
at some time between its start and its end.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from tests.soak.operations import MISSING, REFUSED, Answer, Lease, Operation, State, brief, outcome

States = set[State | None]

# A lifetime that began while its server was stopped, or that begins when it goes on.
ANY_TIME: Final = Lease(-math.inf, math.inf)


class Slack(NamedTuple):
    """How many seconds before and after its time a lifetime may end."""

    early: float
    late: float


class Breach(NamedTuple):
    """A promise that was broken, and the history of the key."""

    kind: str
    text: str
    history: tuple[str, ...]


@dataclasses.dataclass(eq=False)
class Ticket:
    """A request on a key that is under way, and every state it may have met."""

    key: Key
    wish: Operation
    start: float
    seen: States
    lease: Lease | None
    epoch: int = 0


class Key:
    """A key: the states of each server's copy, and which servers may be asked for it."""

    def __init__(self, name: str, stores: int) -> None:
        self.name = name
        self.copies: list[States] = [{None} for _ in range(stores)]
        self.routes: tuple[int, ...] = (0,)
        self.loose = False
        # Requests that may still change it: they were sent while it was loose.
        self.pending: list[Operation] = []
        # The sets of states that others took the place of, and when.
        self.past: collections.deque[tuple[float, States]] = collections.deque(maxlen=64)
        self.epoch = 0
        self.active: list[Ticket] = []
        self.history: collections.deque[str] = collections.deque(maxlen=60)
        self.broken = False

    def visible(self) -> States:
        """Return what a request may meet now, with what is under way done or not."""
        states = set().union(*(self.copies[route] for route in self.routes))
        for ticket in self.writers():
            states |= _after(ticket.wish, states, ticket.lease)
        return states

    def change(self, now: float, store: int, states: States) -> None:
        """Give a copy other states."""
        self.past.append((now, self.copies[store]))
        self.copies[store] = states
        self.show()

    def show(self) -> None:
        """Let the requests that are under way meet what there is now."""
        states = self.visible()
        for ticket in self.active:
            ticket.seen |= states

    def writers(self) -> list[Ticket]:
        return [ticket for ticket in self.active if ticket.wish.writes]


class Model:
    """All keys. Safe for threads.

    :param stores: how many servers may have copies.
    :param clock: seconds; any start will do.
    """

    def __init__(
        self, names: Iterable[str], stores: int, slack: Slack, clock: Callable[[], float]
    ) -> None:
        self.keys = {name: Key(name, stores) for name in names}
        self._slack = slack
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        # Answers that were judged, and those of them that only one answer could have been.
        self.judged = self.exact = 0

    # Requests

    def begin(self, name: str, wish: Operation) -> Ticket:
        """Note that a request is about to be sent."""
        with self._lock:
            key, now = self.keys[name], self._clock()
            ticket = Ticket(key, wish, now, key.visible(), self._lease(key, wish, now, math.inf))
            if wish.writes:
                key.epoch += 1
                others = [*key.active]
                key.active.append(ticket)
                states = key.visible()
                for other in others:
                    other.seen |= states
            else:
                key.active.append(ticket)
            ticket.epoch = key.epoch
            return ticket

    def end(self, ticket: Ticket, answer: Answer | None) -> Breach | None:
        """Judge a request's answer.

        :param answer: ``None`` where there was none, or none that says what was done;
            :data:`~tests.soak.operations.REFUSED` where it says that nothing was.
        """
        with self._lock:
            key, wish, now = ticket.key, ticket.wish, self._clock()
            key.active.remove(ticket)
            before = _at(ticket.seen, ticket.start, now)
            # What is under way may have met a lifetime's end as well.
            for other in key.writers():
                before |= _after(other.wish, before, other.lease)
            lease = self._lease(key, wish, ticket.start, now)
            told = [outcome(wish, state, lease) for state in before]
            after = {state for state, said in told if answer in (None, said)}
            if key.broken:
                return None
            if answer == REFUSED:
                self._note(key, f"{wish} -> {answer}", ticket.start, key.visible())
                return None
            if answer is not None:
                self.judged += 1
                self.exact += len({said for _, said in told}) <= 1
            if answer is not None and not after:
                key.broken = True
                self._note(key, f"{wish} -> {answer}: UNEXPLAINED", ticket.start, before)
                kind = "unexplained 404" if answer == MISSING else "wrong value"
                text = f"{key.name}: {wish} -> {answer}; explained: {_list(before)}"
                return Breach(kind, text, tuple(key.history))
            quiet = ticket.epoch == key.epoch and not key.loose and len(key.routes) == 1
            if answer is not None and quiet and not key.writers():
                (route,) = key.routes
                if wish.writes or after != key.copies[route]:
                    key.change(now, route, after)
            elif wish.writes:
                self._widen(key, after, now)
            if wish.writes:
                key.epoch += 1
                if key.loose:
                    key.pending.append(wish)
            self._note(key, f"{wish} -> {answer or 'no answer'}", ticket.start, key.visible())
            return None

    # Faults

    def loosen(
        self,
        names: Iterable[str],
        routes: Sequence[int] = (0,),
        *,
        since: float | None = None,
        gone: bool = False,
    ) -> None:
        """Begin a fault that touches these keys.

        :param routes: the servers that may be asked for them from now on.
        :param since: states that were possible after this time may come back.
        :param gone: the keys may get lost.
        """
        with self._lock:
            now = self._clock()
            for key in self._each(names):
                key.loose, key.routes = True, tuple(routes)
                key.pending += [ticket.wish for ticket in key.writers()]
                lost: States = {None} if gone else set()
                if since is not None:
                    lost = lost.union(*(states for until, states in key.past if until >= since))
                self._widen(key, lost, now)
                self._note(key, "FAULT begins", now, key.visible())

    def settle(self, names: Iterable[str], home: Callable[[str], int] = lambda _: 0) -> None:
        """End a fault: nothing arrives late any more, and every key has one server.

        :param home: the server of a key.
        """
        with self._lock:
            now = self._clock()
            for key in self._each(names):
                key.loose, key.routes = False, (home(key.name),)
                key.pending.clear()
                self._note(key, "FAULT is over", now, key.visible())

    def kill(self, store: int) -> None:
        """Note that a server is dead: it gives no answer."""
        self._replace(store, set())

    def revive(self, store: int) -> None:
        """Note that a server is about to start with nothing in it."""
        self._replace(store, {None})

    def flush(self, *, done: bool) -> None:
        """Note a flush, while nothing else is under way; with ``done`` it was acknowledged."""
        with self._lock:
            now = self._clock()
            for key in self._each(self.keys):
                for store, states in enumerate(key.copies):
                    key.change(now, store, {None} if done else states | {None})
                self._note(key, f"flush -> {'done' if done else 'no answer'}", now, key.visible())

    def _replace(self, store: int, states: States) -> None:
        with self._lock:
            now = self._clock()
            for key in self._each(self.keys):
                under_way = key.writers() if states else []
                reached = [_after(ticket.wish, states, ANY_TIME) for ticket in under_way]
                key.change(now, store, states.union(*reached))
                what = "starts, empty" if states else "is dead"
                if store in key.routes:
                    self._note(key, f"server {store} {what}", now, key.visible())

    # Rules

    def _each(self, names: Iterable[str]) -> list[Key]:
        """Return the keys, of which something else than their writer changes now."""
        found = [self.keys[name] for name in names]
        for key in found:
            key.epoch += 1
        return found

    def _widen(self, key: Key, added: States, now: float) -> None:
        for route in key.routes:
            if not key.copies[route]:
                continue
            states = _at(key.copies[route] | added, now, now)
            for wish in key.pending:
                states |= _after(wish, states, ANY_TIME if wish.ttl else None)
            key.change(now, route, states)

    def _lease(self, key: Key, wish: Operation, start: float, end: float) -> Lease | None:
        if wish.ttl is None:
            return None
        if key.loose:
            return ANY_TIME
        return Lease(start + wish.ttl - self._slack.early, end + wish.ttl + self._slack.late)

    def _note(self, key: Key, text: str, since: float, states: States) -> None:
        times = f"{since - self._start:8.3f} … {self._clock() - self._start:8.3f}"
        mark = " (loose)" if key.loose else ""
        key.history.append(f"{times}  {text}  => {_list(states)}{mark}")


def _after(wish: Operation, states: States, lease: Lease | None) -> States:
    return {outcome(wish, state, lease)[0] for state in states}


def _at(states: States, start: float, end: float) -> States:
    """Return what these states are at some time from ``start`` to ``end``, lifetimes considered."""
    found: States = set()
    for state in states:
        if state is None or state.lease is None:
            found.add(state)
            continue
        if start < state.lease.late:
            found.add(state)
        if end >= state.lease.early:
            found.add(None)
    return found


def _list(states: States) -> str:
    shown = sorted({"missing" if state is None else brief(state.value) for state in states})
    more = f", and {len(shown) - 8} more" if len(shown) > 8 else ""
    return f"{{{', '.join(shown[:8])}{more}}}"
