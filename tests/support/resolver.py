"""A machine of its own as far as names go: its name server is silent, its hosts are ours."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_INSIDE = (
    'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'
)


class NotPermitted(Exception):
    """This user may not make a mount namespace, or serve the port of names."""


@contextlib.contextmanager
def silent_resolver(
    directory: Path, hosts: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, ...]]:
    """Yield a command that runs another one where no name server ever answers.

    :param hosts: the addresses of names that are known all the same, as by ``/etc/hosts``.
    :raises NotPermitted: on this machine that cannot be.
    """
    address = f"127.{random.randint(2, 254)}.{random.randint(2, 254)}.{random.randint(2, 254)}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        try:
            silent.bind((address, 53))
        except OSError as error:
            raise NotPermitted(str(error)) from error
        resolv, names = directory / "resolv.conf", directory / "hosts"
        resolv.write_text(f"nameserver {address}\noptions timeout:5 attempts:3\n")
        lines = [f"{place} {name}\n" for name, places in hosts.items() for place in places]
        names.write_text("127.0.0.1 localhost\n" + "".join(lines))
        command = ("unshare", "-m", "bash", "-c", _INSIDE, "bash", str(resolv), str(names))
        tried = subprocess.run([*command, "true"], capture_output=True, check=False)
        if tried.returncode:
            raise NotPermitted(tried.stderr.decode())
        yield command


@contextlib.contextmanager
def dead_addresses(count: int) -> Iterator[tuple[list[str], int]]:
    """Yield addresses of 127.0.0.0/8, and a port on which none of them ever answers.

    Each has a listener whose queue is full: what comes is dropped, as by a firewall.
    """
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(socket.socket())
        first.bind((f"127.44.{os.getpid() % 250}.1", 0))
        base, port = first.getsockname()
        first.listen(0)
        listeners = [first]
        for number in range(2, count + 1):
            listener = stack.enter_context(socket.socket())
            listener.bind((f"{base.rpartition('.')[0]}.{number}", port))
            listener.listen(0)
            listeners.append(listener)
        addresses = [listener.getsockname()[0] for listener in listeners]
        for address in addresses:
            while True:
                filler = stack.enter_context(socket.socket())
                filler.settimeout(0.3)
                try:
                    filler.connect((address, port))
                except TimeoutError:
                    break
        yield addresses, port
