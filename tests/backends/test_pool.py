"""The pool that lends connections."""

from __future__ import annotations

import pytest

from backends.pool import Pool
from tests.support import scripts


def pool_of_numbers() -> tuple[Pool[int], list[int], list[int]]:
    made: list[int] = []
    closed: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    return Pool(make, closed.append), made, closed


def test_what_was_returned_last_is_lent_first() -> None:
    pool, made, _ = pool_of_numbers()
    first, second, third = (pool.acquire() for _ in range(3))
    for thing in (second, first, third):
        pool.release(thing)
    assert [pool.acquire() for _ in range(4)] == [third, first, second, 3]
    assert made == [0, 1, 2, 3]


def test_what_is_discarded_is_closed_and_not_lent_again() -> None:
    pool, _, closed = pool_of_numbers()
    pool.discard(pool.acquire())
    assert closed == [0]
    assert pool.acquire() == 1


def test_clear_closes_what_is_idle_and_nothing_else() -> None:
    pool, _, closed = pool_of_numbers()
    lent, idle = pool.acquire(), pool.acquire()
    pool.release(idle)
    pool.clear()
    assert closed == [idle]
    pool.release(lent)
    assert pool.acquire() == lent


def test_a_failure_to_make_one_is_the_borrowers() -> None:
    def fail() -> int:
        raise OSError("none to be had")

    with pytest.raises(OSError, match="none to be had"):
        Pool(fail, print).acquire()


def test_a_forked_child_neither_uses_nor_closes_what_its_parent_had() -> None:
    output = scripts.run(
        """
        import os
        from backends.pool import Pool
        numbers = iter(range(9))
        closed = []
        pool = Pool(lambda: next(numbers), closed.append)
        pool.release(pool.acquire())
        child = os.fork()
        got = pool.acquire()
        pool.release(got)
        if child == 0:
            pool.clear()
            os._exit(0 if (got, closed) == (1, [1]) else 1)
        print(got, closed, os.waitpid(child, 0)[1])
        """
    )
    assert output == "0 [] 0\n"
