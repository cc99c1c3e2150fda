"""A written answer is what it would be if it was written anew each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cacheapi.responses.messages import Response, Stored
from cacheapi.responses.ready import Ready
from cacheapi.responses.storing import keep
from tests.cacheapi.responses.simulation import get

CAME = 1_700_000_000.0
LINES = ("HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ndate: x\r\n")


def stored(age: str, lifetime: int, took: float) -> Stored:
    fields = (("cache-control", f"max-age={lifetime}"), ("age", age))
    made = keep(get(), Response(200, fields), CAME - took, CAME, 1)
    assert made is not None
    return made


@given(
    st.sampled_from(["0", "3", "x"]),
    st.integers(0, 20),
    st.floats(0, 2),
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.one_of(st.floats(-3, 25), st.integers(-3, 25).map(float)),
        ),
        max_size=20,
    ),
)
def test_a_head_that_is_written_already_is_the_one_of_its_time(
    age: str, lifetime: int, took: float, uses: list[tuple[int, float]]
) -> None:
    ready = Ready(stored(age, lifetime, took), 200, "a: 1\r\n", "b: 2\r\n", b"x", False)
    for which, later in uses:
        fields = ready.fields(CAME + later)
        line = LINES[which]
        whole = None if fields is None else f"{line}{fields}\r\n".encode()
        assert ready.head(line, CAME + later) == whole


def test_it_is_written_once_a_second() -> None:
    ready = Ready(stored("0", 20, 0.0), 200, "", "", None, False)
    first = ready.head(LINES[0], CAME + 1.25)
    assert ready.head(LINES[0], CAME + 1.5) is first
    assert b"age: 1\r\ncache-status: cacheapi; hit; ttl=18\r\n" in (first or b"")
    again = ready.head(LINES[0], CAME + 2.5)
    assert b"age: 2\r\ncache-status: cacheapi; hit; ttl=17\r\n" in (again or b"")
