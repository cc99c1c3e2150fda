"""Feed each reader for FUZZ_SECONDS (600), or those that are named; FUZZ_SEED repeats a run.

No reader may raise anything but that it does not read something, and memory is limited.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time

from cacheapi.formats.limits import MAX_BYTES, Unreadable
from tests.fuzz.inputs import READERS, spoiled

# What one value may need: its bytes inflated, some copies of them, and this interpreter.
MEMORY = 1024 * 1024 * 1024
# A reader that took longer for an input of a few KiB would hold up its worker.
SLOW_SECONDS = 5.0


def fuzz(name: str, seconds: float, chance: random.Random) -> int:
    """Feed one reader; return how many inputs it read and refused together.

    Whatever it raises but :class:`Unreadable` ends the run.
    """
    read, seeds = READERS[name]
    kept = list(seeds)
    tried = readable = 0
    slowest = 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stored = spoiled(kept, chance)
        tried += 1
        started = time.process_time()
        try:
            found = read(stored)
            readable += 1
            json.dumps(found, allow_nan=False, default=repr).encode()
            # What is still readable is spoiled further: so it gets deeper and odder.
            if len(stored) < 4096:
                place = chance.randrange(len(seeds), len(seeds) + 400)
                kept[place:place] = [stored]
                del kept[len(seeds) + 400 :]
        except Unreadable:
            pass
        except BaseException:
            print(f"{name}: FAILED on {stored.hex()}", flush=True)
            raise
        slowest = max(slowest, time.process_time() - started)
    print(
        f"{name:12} {tried:>10,} inputs, {readable:>9,} readable, 0 crashes, "
        f"slowest {slowest * 1000:.1f} ms, "
        f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB",
        flush=True,
    )
    if slowest > SLOW_SECONDS:
        sys.exit(f"{name}: an input took {slowest:.1f} s")
    return tried


def main() -> None:
    """Run the readers, one after the other."""
    names = sys.argv[1:] or [*READERS]
    seconds = float(os.environ.get("FUZZ_SECONDS", "600"))
    seed = int(os.environ.get("FUZZ_SEED") or time.time())
    assert MEMORY > 8 * MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(f"{seconds:.0f} s for each of {len(names)} readers, FUZZ_SEED={seed}", flush=True)
    for name in names:
        fuzz(name, seconds, random.Random(f"{seed} {name}"))


if __name__ == "__main__":
    main()
