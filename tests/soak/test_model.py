"""The soak's judge: what it must accept, and what it must not."""

from __future__ import annotations

import pytest

from tests.soak.model import Breach, Model, Slack
from tests.soak.operations import DONE, EXISTS, MISSING, PRESENT, REFUSED, UNMET, Answer, Operation

GET = Operation("get")
DELETE = Operation("delete")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Judge:
    """A model of the keys ``a`` and ``b``, and requests that take no time."""

    def __init__(self, stores: int = 1) -> None:
        self.clock = Clock()
        self.model = Model(["a", "b"], stores, Slack(0.5, 1.0), self.clock)

    def hear(self, wish: Operation, answer: Answer | None, key: str = "a") -> Breach | None:
        return self.model.end(self.model.begin(key, wish), answer)

    def accepts(self, wish: Operation, answer: Answer | None, key: str = "a") -> None:
        breach = self.hear(wish, answer, key)
        assert breach is None, breach

    def refuses(self, wish: Operation, answer: Answer, key: str = "a") -> Breach:
        breach = self.hear(wish, answer, key)
        assert breach is not None
        return breach


def value(number: object) -> Answer:
    return Answer("value", number)


def store(number: object, **more: int) -> Operation:
    return Operation("set", number, **more)


@pytest.fixture
def judge() -> Judge:
    return Judge()


def test_an_acknowledged_write_is_what_is_read(judge: Judge) -> None:
    judge.accepts(GET, MISSING)
    judge.accepts(store("x"), DONE)
    judge.accepts(GET, value("x"))
    judge.accepts(store("y"), DONE)
    assert judge.refuses(GET, value("x")).kind == "wrong value"


def test_a_404_of_what_is_there_is_unexplained_and_comes_with_the_history(judge: Judge) -> None:
    judge.accepts(store("x"), DONE)
    breach = judge.refuses(GET, MISSING)
    assert breach.kind == "unexplained 404"
    assert "set 'x' -> done  => {'x'}" in breach.history[0]
    assert "get -> missing: UNEXPLAINED  => {'x'}" in breach.history[1]
    judge.accepts(GET, MISSING)


@pytest.mark.parametrize(
    ("wish", "absent", "there", "then"),
    [
        (Operation("add", "n"), DONE, EXISTS, value("x")),
        (Operation("create", "n"), DONE, UNMET, value("x")),
        (Operation("put", "n"), MISSING, DONE, value("n")),
        (Operation("touch"), MISSING, DONE, value("x")),
        (Operation("swap", "n", known="x"), UNMET, DONE, value("n")),
        (Operation("swap", "n", known="other"), UNMET, UNMET, value("x")),
        (Operation("drop", known="x"), UNMET, DONE, MISSING),
        (Operation("drop", known="other"), UNMET, UNMET, value("x")),
        (DELETE, MISSING, DONE, MISSING),
        (Operation("pull"), MISSING, value("x"), MISSING),
        (Operation("look"), MISSING, PRESENT, value("x")),
    ],
)
def test_every_verb_tells_what_was_there(
    wish: Operation, absent: Answer, there: Answer, then: Answer
) -> None:
    judge = Judge()
    judge.accepts(wish, absent, "b")
    judge.accepts(store("x"), DONE)
    judge.accepts(wish, there)
    judge.accepts(GET, then)
    if absent != there:
        judge = Judge()
        judge.accepts(store("x"), DONE)
        judge.refuses(wish, absent)
        judge.refuses(wish, there, "b")


def test_counts_add_up(judge: Judge) -> None:
    judge.accepts(Operation("count", 3), MISSING)
    judge.accepts(Operation("count", 3, initial=10), value(10))
    judge.accepts(Operation("count", 3, initial=10), value(13))
    judge.refuses(Operation("count", 3), value(19))


def test_a_read_may_meet_what_a_write_under_way_makes_of_a_lifetime_that_ends(
    judge: Judge,
) -> None:
    judge.accepts(store(7, ttl=4), DONE)
    judge.clock.now += 3
    count = judge.model.begin("a", Operation("count", 3, initial=0))
    read = judge.model.begin("a", GET)
    other = judge.model.begin("a", GET)
    judge.clock.now += 1
    assert judge.model.end(read, value(0)) is None
    assert judge.model.end(count, value(0)) is None
    breach = judge.model.end(other, value(1))
    assert breach is not None
    assert breach.kind == "wrong value"


def test_a_lost_answer_leaves_both_outcomes_until_one_is_seen(judge: Judge) -> None:
    judge.accepts(store("x"), DONE)
    judge.accepts(store("y"), None)
    judge.accepts(GET, value("y"))
    judge.refuses(GET, value("x"))


def test_a_failure_that_claims_to_have_done_nothing_is_held_to_it(judge: Judge) -> None:
    judge.accepts(store("x"), DONE)
    judge.model.loosen(["a"])
    judge.accepts(store("y"), REFUSED)
    judge.model.settle(["a"])
    judge.refuses(GET, value("y"))


def test_a_reader_may_meet_a_write_that_is_under_way_or_not(judge: Judge) -> None:
    judge.accepts(store("x"), DONE)
    readers = [judge.model.begin("a", GET) for _ in range(3)]
    writer = judge.model.begin("a", store("y"))
    assert judge.model.end(readers[0], value("y")) is None
    assert judge.model.end(writer, DONE) is None
    assert judge.model.end(readers[1], value("x")) is None
    judge.refuses(GET, value("x"))
    other = Judge()
    reader = other.model.begin("a", GET)
    other.accepts(store("y"), DONE)
    assert other.model.end(reader, value("z")) is not None


def test_what_one_read_sees_during_a_write_does_not_decide(judge: Judge) -> None:
    judge.accepts(store("x"), DONE)
    writer = judge.model.begin("a", store("y"))
    judge.accepts(GET, value("x"))
    judge.accepts(GET, value("y"))
    assert judge.model.end(writer, DONE) is None
    judge.accepts(GET, value("y"))


def test_a_lifetime_ends_when_it_should(judge: Judge) -> None:
    judge.accepts(store("x", ttl=10), DONE)
    judge.clock.now += 9.4
    judge.accepts(GET, value("x"))
    judge.clock.now += 0.3
    judge.accepts(GET, value("x"))
    judge.accepts(GET, MISSING)
    judge.accepts(store("y", ttl=10), DONE)
    judge.clock.now += 11.1
    judge.refuses(GET, value("y"))
    judge.accepts(store("z", ttl=10), DONE, "b")
    judge.clock.now += 9.4
    assert judge.refuses(GET, MISSING, "b").kind == "unexplained 404"


def test_a_dead_server_answers_nothing_and_comes_back_empty(judge: Judge) -> None:
    judge.accepts(store("x"), DONE)
    judge.accepts(store("x"), DONE, "b")
    judge.model.loosen(["a", "b"])
    judge.model.kill(0)
    judge.accepts(GET, None)
    judge.accepts(store("y"), None)
    judge.refuses(GET, MISSING, "b")
    judge.model.revive(0)
    judge.model.settle(["a", "b"])
    assert judge.refuses(GET, value("y")).kind == "wrong value"


def test_what_timed_out_may_arrive_after_what_was_acknowledged_until_the_fault_is_over() -> None:
    judge = Judge()
    judge.accepts(store(1), DONE)
    judge.model.loosen(["a"])
    judge.accepts(Operation("count", 5), None)
    judge.accepts(store(100), DONE)
    judge.accepts(GET, value(105))
    judge.accepts(GET, value(100))
    judge.refuses(GET, value(99))
    judge = Judge()
    judge.model.loosen(["a"])
    judge.accepts(store(1), None)
    judge.accepts(store(2), DONE)
    judge.model.settle(["a"])
    judge.accepts(store(3), DONE)
    judge.refuses(GET, value(1))


def test_a_key_of_a_server_that_lives_is_not_excused() -> None:
    judge = Judge(stores=2)
    judge.model.settle(["a", "b"], {"a": 0, "b": 1}.__getitem__)
    judge.accepts(store("x"), DONE, "a")
    judge.accepts(store("x"), DONE, "b")
    judge.model.loosen(["a"], (0, 1))
    judge.model.kill(0)
    judge.accepts(GET, MISSING, "a")
    judge.refuses(GET, MISSING, "b")


def test_a_server_that_comes_back_into_a_pool_has_what_it_held_when_it_left() -> None:
    judge = Judge(stores=2)
    judge.accepts(store("old"), DONE)
    judge.model.loosen(["a"], (0, 1))
    judge.accepts(GET, MISSING)
    judge.accepts(store("new"), DONE)
    judge.accepts(GET, value("old"))
    judge.model.settle(["a"])
    judge.accepts(GET, value("old"))
    judge.refuses(GET, value("new"))


def test_what_a_substitute_keeps_is_stale_in_the_next_fault_and_not_before() -> None:
    judge = Judge(stores=2)
    judge.model.loosen(["a"], (0, 1))
    judge.accepts(store("kept"), DONE)
    judge.model.settle(["a"])
    judge.accepts(store("new"), DONE)
    judge.model.loosen(["a"], (0, 1))
    judge.accepts(GET, value("kept"))
    judge.model.settle(["a"])
    judge.refuses(GET, value("kept"))


def test_a_failover_may_lose_the_last_writes_and_no_older_ones(judge: Judge) -> None:
    for number in range(10):
        judge.accepts(store(number), DONE)
        judge.clock.now += 1
    judge.model.loosen(["a"], since=judge.clock.now - 2)
    judge.accepts(GET, value(9))
    judge.accepts(GET, value(7))
    judge.model.settle(["a"])
    judge.accepts(GET, value(8))
    judge.refuses(GET, value(9))
    other = Judge()
    for number in range(10):
        other.accepts(store(number), DONE)
        other.clock.now += 1
    other.model.loosen(["a"], since=other.clock.now - 2)
    other.refuses(GET, value(6))


def test_a_write_during_a_failover_may_be_lost(judge: Judge) -> None:
    judge.accepts(store("x"), DONE)
    judge.clock.now += 10
    judge.model.loosen(["a"], since=judge.clock.now - 2)
    judge.accepts(store("y"), DONE)
    judge.accepts(GET, value("x"))
    assert judge.refuses(GET, MISSING).kind == "unexplained 404"


def test_a_flush_leaves_nothing_on_any_server() -> None:
    judge = Judge(stores=2)
    judge.model.loosen(["a"], (0, 1))
    judge.accepts(store("x"), DONE)
    judge.model.flush(done=True)
    judge.refuses(GET, value("x"))
    judge.accepts(GET, MISSING, "b")
