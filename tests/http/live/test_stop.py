"""Each signal that ends the service ends it alike: soon, in order, and without a complaint."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support.live import CACHE, Wire, head
from tests.support.processes import service
from tests.support.timing import Stopwatch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_the_service_without_a_complaint(
    tmp_path: Path, number: signal.Signals
) -> None:
    with (
        service(tmp_path, WEB_CONCURRENCY="2") as live,
        Wire(live.port) as wire,
        Wire(live.port) as sending,
    ):
        wire.send(head(f"GET {CACHE}/absent"))
        assert wire.answer().status == 404
        sending.send(head(f"POST {CACHE}/new", "Content-Length: 11") + b'{"val')
        time.sleep(0.3)
        started = Stopwatch()
        live.process.send_signal(number)
        time.sleep(0.3)
        # What is in flight may finish.
        sending.send(b'ue":1}')
        assert sending.answer().status == 201
        assert live.process.wait(25) == 0
        assert started() < 10
        log = live.log.read_text()
    assert "[ERROR]" not in log
    assert "[WARNING]" not in log
    assert "Err" not in log
    assert "Traceback" not in log


def test_reloads_that_meet_workers_as_they_begin_end_them(tmp_path: Path) -> None:
    with service(tmp_path, WEB_CONCURRENCY="2") as live:
        for wait in (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6):
            live.process.send_signal(signal.SIGHUP)
            time.sleep(wait)
        live.process.send_signal(signal.SIGTERM)
        started = Stopwatch()
        assert live.process.wait(60) == 0
        # None went on for as long as it may finish its work.
        assert started() < 20
        log = live.log.read_text()
    assert "Traceback" not in log
    # A listener that is closed twice may by then be a descriptor of something else.
    assert "Errno" not in log
