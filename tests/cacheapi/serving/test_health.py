"""When the lane lets a service alone, and when it comes back."""

from __future__ import annotations

import itertools

from backends.errors import Unavailable
from cacheapi.serving.health import FIRST_PAUSE, LONGEST_PAUSE, SLOW_SECONDS, Health, Way

DOWN = Unavailable("down")


def test_a_service_that_is_well_is_the_lanes() -> None:
    assert Health().way(0) is Way.LANE


def test_after_a_failure_reads_are_answered_at_once_and_then_one_is_let_through() -> None:
    health = Health()
    health.failed(10, DOWN)
    assert health.way(10) is Way.AT_ONCE
    assert health.failure is DOWN
    later = 10 + FIRST_PAUSE
    assert health.way(later) is Way.FLASK
    assert health.way(later) is Way.AT_ONCE
    health.heard(later, 0.001, 200)
    assert health.way(later) is Way.LANE


def test_after_a_slow_call_reads_are_flasks() -> None:
    health = Health()
    health.failed(10, None)
    assert health.way(10) is Way.FLASK
    health.heard(10, SLOW_SECONDS * 2, 200)
    assert health.way(10) is Way.FLASK
    health.heard(10, SLOW_SECONDS / 2, 404)
    assert health.way(10) is Way.LANE


def test_pauses_grow_to_a_bound() -> None:
    health = Health()
    now, pauses = 0.0, []
    for _ in range(8):
        health.failed(now, DOWN)
        start = now
        while health.way(now) is not Way.FLASK:
            now += FIRST_PAUSE / 100
        pauses.append(round(now - start, 3))
    assert all(after > before - 0.01 for before, after in itertools.pairwise(pauses))
    assert pauses[0] < FIRST_PAUSE * 1.1
    assert LONGEST_PAUSE * 0.9 < pauses[-1] < LONGEST_PAUSE * 1.1


def test_an_answer_without_the_backend_says_nothing_of_it() -> None:
    health = Health()
    health.failed(10, DOWN)
    for status in (400, 401, 403, 405, 413, 415):
        health.heard(10, 0.001, status)
    assert health.way(10) is Way.AT_ONCE


def test_a_probe_that_fails_begins_a_longer_pause_with_the_same_failure() -> None:
    health = Health()
    health.failed(0, DOWN)
    assert health.way(FIRST_PAUSE) is Way.FLASK
    health.heard(FIRST_PAUSE, 0.25, 500)
    assert health.failure is DOWN
    assert health.way(FIRST_PAUSE * 2.9) is Way.AT_ONCE
    assert health.way(FIRST_PAUSE * 3.1) is Way.FLASK
