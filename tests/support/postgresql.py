"""A real PostgreSQL on a free port of 127.0.0.1, from the system's packages."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, create_engine

from tests.support.processes import eventually, free_port, wait_for_port

USER = "cacheapi"
PASSWORD = "s3cret-of-postgres"


def _programs() -> Path:
    """Return the directory of the newest PostgreSQL; Debian does not put it on the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    return max(versions, key=lambda path: float(path.parent.name))


class PostgreSQL:
    """A server; it can be killed and started again on the same port and data.

    :param primary: the server to be a standby of.
    """

    def __init__(self, directory: Path, primary: PostgreSQL | None = None) -> None:
        self.port = free_port()
        self._data = directory / "data"
        # The server refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user is not None:
            directory.chmod(0o755)
            self._data.mkdir(0o700)
            os.chown(self._data, pwd.getpwnam(self._user).pw_uid, -1)
        self._count = 0
        if primary is not None:
            copy = ("-c", "fast", "-R", "-D", str(self._data), "-d", primary.url("postgres"))
            self._run("pg_basebackup", *copy)
            self.start()
            return
        password = directory / "password"
        password.write_text(PASSWORD)
        self._run(
            *("initdb", "-D", str(self._data), "-U", USER, "-A", "scram-sha-256"),
            *("--pwfile", str(password), "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"),
        )
        self.start()

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [str(_programs() / program), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            self._command(program, *arguments),
            user=self._user,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            self._command("postgres", "-D", str(self._data), *options),
            user=self._user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self._process)
        eventually(self._answers, 20)

    def _answers(self) -> bool:
        ready = self._command("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
        return subprocess.run(ready, cwd="/").returncode == 0

    def stop(self) -> None:
        """Stop it at once, breaking its connections."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def _ask(self, query: str) -> str:
        engine = create_engine(
            self._url("postgres", "postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            answer = str(connection.exec_driver_sql(query).scalar())
        engine.dispose()
        return answer

    def promote(self, primary: PostgreSQL) -> None:
        """Make a standby the primary, once it has all that the old one has."""
        last = primary._ask("SELECT pg_current_wal_lsn()")
        behind = f"SELECT pg_last_wal_replay_lsn() >= '{last}'::pg_lsn"
        eventually(lambda: self._ask(behind) == "True", 20)
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def demote(self) -> None:
        """Take no more changes, of sessions that there are either."""
        engine = create_engine(
            self._url("postgres", "postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET default_transaction_read_only = on")
        engine.dispose()
        self._ask("SELECT pg_reload_conf()")
        # The server reads its settings when it comes to it, not before it answers.
        eventually(lambda: self._ask("SHOW default_transaction_read_only") == "on", 20)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return self._url(name, "postgresql")

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        self._count += 1
        name = f"test{self._count}"
        engine = create_engine(
            self._url("postgres", "postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self._url(name, "postgresql")

    def _url(self, name: str, driver: str) -> str:
        return URL.create(driver, USER, PASSWORD, "127.0.0.1", self.port, name).render_as_string(
            hide_password=False
        )


@contextlib.contextmanager
def postgresql(primary: PostgreSQL | None = None) -> Iterator[PostgreSQL]:
    """Run a server; of a primary, its standby."""
    with tempfile.TemporaryDirectory() as directory:
        server = PostgreSQL(Path(directory), primary)
        try:
            yield server
        finally:
            server.stop()
