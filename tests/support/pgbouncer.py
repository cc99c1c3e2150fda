"""PgBouncer as Debian has it, before a PostgreSQL, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.postgresql import PASSWORD, USER, PostgreSQL
from tests.support.processes import free_port, wait_for_port

# Its defaults, but for where it listens and who may come in.
_CONFIG = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
default_pool_size = 3
"""


@contextlib.contextmanager
def pgbouncer(server: PostgreSQL, mode: str) -> Iterator[int]:
    """Run one; give its port."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    # It refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        port = free_port()
        users = directory / "users.txt"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        users.chmod(0o600)
        if user is not None:
            os.chown(users, pwd.getpwnam(user).pw_uid, -1)
        config = directory / "pgbouncer.ini"
        config.write_text(_CONFIG.format(server=server.port, port=port, users=users, mode=mode))
        process = subprocess.Popen(
            [program, "-q", str(config)],
            user=user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_port(port, process)
            yield port
        finally:
            process.kill()
            process.wait(20)
