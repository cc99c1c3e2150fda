"""The worker of a benchmark, which notes how late its event loop was.

The machine may be busy with other work. So of what a callback is late no more counts than the
processor time of the worker's own process meanwhile, with all its threads.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from pathlib import Path

from cacheapi.serving.worker import Worker

# Where it is noted, as two numbers a time: when it was due, and the seconds it was late.
FILE = "CACHEAPI_BENCH_LAGS"
PAIR = struct.Struct("dd")
EACH_SECONDS = 0.001


class Lagging(Worker):
    """Serve as the service does, and note what a request that came at any time waited for."""

    async def _serve(self) -> None:
        # Until the process ends.
        notes = Path(os.environ[FILE]).open("ab", buffering=512)  # noqa: SIM115
        loop, ran, due = asyncio.get_running_loop(), time.process_time(), time.monotonic()

        def tick() -> None:
            nonlocal ran, due
            now, used = time.monotonic(), time.process_time()
            while due <= now:
                # Its own time: of what came in between the first waited longest.
                notes.write(PAIR.pack(due, min(now - due, used - ran)))
                due += EACH_SECONDS
            ran = used
            loop.call_later(max(due - time.monotonic(), 0.0), tick)

        tick()
        await super()._serve()


def lags(path: Path, since: float, until: float) -> list[float]:
    """Return how late, in ms, what was due in some time was."""
    data = path.read_bytes()
    data = data[: len(data) // PAIR.size * PAIR.size]
    return [late * 1000 for due, late in PAIR.iter_unpack(data) if since <= due < until]
