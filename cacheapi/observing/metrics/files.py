"""Numbers of several processes, in files that prometheus_client adds up.

The format is that of its multiprocess mode: a file a process and type, and its collector
reads them. Here a file is written whole, many numbers at once, and takes the place of the
one before in one step; so no number costs a system call, and nobody reads half of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

from backends import owned
from cacheapi.observing.metrics.tally import Sample

LOCK: Final = "lock"
# In the name of the files that hold the sums of processes that are gone.
GONE: Final = "gone"

_HEAD: Final = struct.Struct("i4x")
_LENGTH: Final = struct.Struct("i")
_NUMBERS: Final = struct.Struct("dd")
_TYPES: Final = ("counter", "histogram")

Numbers = Mapping[str, float]


def keys_of(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """Return the sums of samples, by type and by the format's text for a number's name."""
    found: dict[str, dict[str, float]] = {kind: {} for kind in _TYPES}
    for sample in samples:
        family = sample.family
        kind = found["histogram" if family.buckets else "counter"]
        name = f"{family.name}{sample.suffix}"
        # What mmap_key() of the library makes.
        key = json.dumps([family.name, name, dict(sample.labels), family.help], sort_keys=True)
        kind[key] = kind.get(key, 0.0) + sample.value
    return found


class ProcessFiles:
    """The files of this process.

    :param directory: where those of all processes are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # A process id comes back; who had it before keeps its numbers.
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._samples: list[Sample] = []
        self._written: dict[str, dict[str, float]] = {}

    def write(self, samples: list[Sample]) -> None:
        """Hand over the present numbers, if they are others than before.

        :raises OSError: they cannot be.
        """
        if not self._directory.is_dir():
            # The system cleans up where it was, such as at the end of a user's last session.
            owned.folder(self._directory)
            self._samples, self._written = [], {}
        if samples == self._samples:
            return
        numbers = keys_of(samples)
        for kind, found in numbers.items():
            if found and found != self._written.get(kind):
                _write(self._directory / f"{kind}_{self._name}.db", found)
                self._written[kind] = found
        self._samples = samples


def fold(directory: Path, process: int) -> None:
    """Add the numbers of a process that is gone to those of others that are.

    So the number of files does not grow with each worker that comes and goes.

    :raises OSError: a file cannot be read or written.
    """
    with locked(directory):
        for kind in _TYPES:
            for path in directory.glob(f"{kind}_{process}-*.db"):
                gone = directory / f"{kind}_{GONE}.db"
                sums = dict(_read(gone)) if gone.exists() else {}
                for key, value in _read(path):
                    sums[key] = sums.get(key, 0.0) + value
                _write(gone, sums)
                path.unlink()


@contextlib.contextmanager
def locked(directory: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep others from folding, meanwhile."""
    with owned.locked(directory / LOCK, shared=shared):
        yield


def clear(directory: Path) -> None:
    """Forget all numbers."""
    for path in directory.glob("*.db"):
        path.unlink(missing_ok=True)


def _read(path: Path) -> Iterator[tuple[str, float]]:
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
        yield key, value


def _write(path: Path, numbers: Numbers) -> None:
    data = bytearray(_HEAD.size)
    for key, value in numbers.items():
        text = key.encode()
        # The numbers stand at multiples of eight.
        padding = b" " * (8 - (len(text) + _LENGTH.size) % 8)
        data += _LENGTH.pack(len(text)) + text + padding + _NUMBERS.pack(value, 0.0)
    _HEAD.pack_into(data, 0, len(data))
    made = path.with_suffix(f".{os.getpid()}.new")
    made.write_bytes(data)
    made.replace(path)
