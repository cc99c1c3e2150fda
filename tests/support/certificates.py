"""Certificates for tests, made by ``openssl``."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Certificates:
    """A certificate authority of its own, and what it signed for a server and a client."""

    directory: Path

    @property
    def authority(self) -> Path:
        return self.directory / "authority.crt"

    @property
    def server(self) -> Path:
        return self.directory / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    @property
    def client(self) -> Path:
        return self.directory / "client.crt"

    @property
    def client_key(self) -> Path:
        return self.directory / "client.key"

    def settings(self) -> dict[str, str]:
        """Return what the service needs for a connection."""
        return {
            "REDIS_TLS": "true",
            "REDIS_TLS_CA": str(self.authority),
            "REDIS_TLS_CERT": str(self.client),
            "REDIS_TLS_KEY": str(self.client_key),
        }

    def options(self) -> dict[str, Any]:
        """Return what redis-py needs for a connection."""
        return {
            "ssl": True,
            "ssl_ca_certs": str(self.authority),
            "ssl_certfile": str(self.client),
            "ssl_keyfile": str(self.client_key),
        }


def make_certificates(directory: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> Certificates:
    """Make an authority, a certificate of a server for some names, and one of a client."""
    directory.mkdir(parents=True, exist_ok=True)
    _openssl(
        directory,
        *("req", "-x509", "-days", "2", "-subj", "/CN=Authority of the tests"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *_new_key("authority"),
        *("-out", "authority.crt"),
    )
    _sign(directory, "server", f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
    _sign(directory, "client", "extendedKeyUsage=clientAuth\n")
    return Certificates(directory)


def _sign(directory: Path, name: str, extensions: str) -> None:
    (directory / f"{name}.ext").write_text(f"authorityKeyIdentifier=keyid\n{extensions}")
    _openssl(directory, "req", "-subj", f"/CN={name}", *_new_key(name), "-out", f"{name}.csr")
    _openssl(
        directory,
        *("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-extfile", f"{name}.ext"),
        *("-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial"),
        *("-out", f"{name}.crt"),
    )


def _new_key(name: str) -> tuple[str, ...]:
    return (
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-keyout", f"{name}.key"),
    )


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
