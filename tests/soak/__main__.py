"""``python -m tests.soak``: all kinds, one after the other; exit code 1 for a broken promise.

From the environment: ``SOAK_SECONDS`` (300, for all kinds together), ``SOAK_KINDS`` (a
comma-separated list) and ``SOAK_SEED`` (printed, to do the same faults again). With ``ATTACK=1``
there are no faults, but the requests of :mod:`tests.soak.attack`.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from tests.soak import attack
from tests.soak.faults import FAILOVER, POOL_BACK, SINGLE_BACK, TOLERANCE
from tests.soak.kinds import KINDS, running
from tests.soak.run import Run, started

HEADINGS = (
    "kind", "faults", "requests", "by status", "exact", "wrong", "404s", "other",
    "500s in/out", "longest", "slowest", "memory", "descriptors",
)  # fmt: skip


def main() -> int:
    if os.environ.get("ATTACK"):
        return attack.main()
    names = [name.strip() for name in os.environ.get("SOAK_KINDS", ",".join(KINDS)).split(",")]
    unknown = set(names) - set(KINDS)
    if unknown:
        print(f"SOAK_KINDS: there is no {', '.join(unknown)}; there are {', '.join(KINDS)}")
        return 2
    seconds = float(os.environ.get("SOAK_SECONDS", "300")) / len(names)
    seed = os.environ.get("SOAK_SEED") or secrets.token_hex(4)
    print(f"SOAK_SEED={seed}: {seconds:.0f} s for each of {', '.join(names)}")
    runs = [_run(name, seed, seconds) for name in names]
    _print_table(runs)
    print(
        f"longest: from a fault to the last 500 of it. Promised: {SINGLE_BACK:.0f} s after the "
        f"server is back; pool {POOL_BACK:.0f} s after; failover {FAILOVER:.0f} s, and "
        f"{TOLERANCE:.0f} s of tolerance. memory (MiB) and descriptors: all workers, second "
        "quarter -> last."
    )
    broken = [run for run in runs if run.ledger.breaches]
    for run in broken:
        print(f"\n{run.kind.name}: {dict(run.ledger.breaches)}")
        for text in run.ledger.evidence:
            print(f"  {text}")
    print("\nsome promises are broken" if broken else "\nall promises are kept")
    return 1 if broken else 0


def _run(name: str, seed: str, seconds: float) -> Run:
    with (
        tempfile.TemporaryDirectory() as directory,
        running(name) as kind,
        started(kind, Path(directory) / "service", seed, seconds) as run,
    ):
        run.run()
        if run.ledger.breaches:
            lines = run.service.log.read_text().splitlines()
            run.ledger.evidence.append("\n    ".join(["the service's log ends:", *lines[-20:]]))
        return run


def _print_table(runs: list[Run]) -> None:
    rows = [HEADINGS, *(_row(run) for run in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _row(run: Run) -> tuple[str, ...]:
    ledger = run.ledger
    wrong = ledger.breaches["wrong value"]
    absent = ledger.breaches["unexplained 404"]
    second, last = run.quarters()
    return (
        run.kind.name,
        str(run.faults),
        str(ledger.requests),
        " ".join(f"{status}:{count}" for status, count in sorted(ledger.statuses.items())),
        f"{100 * run.model.exact / max(1, run.model.judged):.0f} %",
        str(wrong),
        str(absent),
        str(sum(ledger.breaches.values()) - wrong - absent),
        f"{ledger.inside}/{ledger.outside}",
        f"{ledger.longest_window:.1f} s",
        f"{ledger.slowest:.2f} s",
        f"{second.memory / 2**20:.0f} -> {last.memory / 2**20:.0f}",
        f"{second.descriptors} -> {last.descriptors}",
    )


def _end(number: int, _frame: object) -> None:
    # What runs is stopped on the way out.
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
