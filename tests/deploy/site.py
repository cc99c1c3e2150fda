"""deploy/nginx/cacheapi.conf as a test runs it: its lines, with ports and paths of the test."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.support.certificates import Certificates
from tests.support.processes import REPOSITORY, Server, free_port
from tests.support.tools import run, tool

SITE = (REPOSITORY / "deploy" / "nginx" / "cacheapi.conf").read_text()

# The least that a configuration has around a site.
AROUND = """
{user}
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    include {directory}/cacheapi.conf;
}}
"""


def replaced(text: str, changes: dict[str, str]) -> str:
    """Return a text with each change made; what is to be changed must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class Nginx(Server):
    """nginx with the site in front of a port; TLS on ``port``, plain on ``plain_port``."""

    def __init__(
        self, directory: Path, certificates: Certificates, upstream: int, **changes: str
    ) -> None:
        self.directory = directory
        self.plain_port = free_port()
        self.port = free_port()
        directory.mkdir(exist_ok=True)
        text = re.sub(r"^ *listen \[::\].*\n", "", SITE, flags=re.MULTILINE)
        site = replaced(
            text,
            {
                "server 127.0.0.1:8000;": f"server 127.0.0.1:{upstream};",
                "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
                "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                "/etc/ssl/certs/cache.example.com.pem": str(certificates.server),
                "/etc/ssl/private/cache.example.com.key": str(certificates.server_key),
                "/var/log/nginx": str(directory),
                **changes,
            },
        )
        (directory / "cacheapi.conf").write_text(site)
        # Its workers could not write into the directories of the tests' root.
        user = "user root;" if os.getuid() == 0 else ""
        (directory / "nginx.conf").write_text(AROUND.format(directory=directory, user=user))
        super().__init__(self.port)

    @property
    def command(self) -> list[str]:
        configuration = str(self.directory / "nginx.conf")
        return [tool("nginx"), "-e", f"{self.directory}/error.log", "-c", configuration]

    def check(self) -> subprocess.CompletedProcess[str]:
        return run(*self.command, "-t")

    def start(self) -> None:
        self._run([*self.command, "-g", "daemon off;"])

    def stop(self) -> None:
        """Stop it and its workers."""
        self._process.terminate()
        self._process.wait(20)

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.directory.glob("*.log")))
