"""One server, from its name to its TLS: what happens before anything is asked of it."""

from __future__ import annotations

import collections
import datetime as dt
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from backends.endpoints import Endpoint
from backends.errors import Timeout, Unavailable
from cacheapi.registry.trial import Step, cause_of

# The system's resolver has limits of its own, of half a minute and more.
RESOLVE_SECONDS: Final = 5.0
# A server that has its most clients says so at once, or closes.
GREETING_SECONDS: Final = 0.1
# A certificate that ends so soon is told.
CERTIFICATE_DAYS: Final = 14


class Fault(NamedTuple):
    """Why a server cannot be used, and what to do."""

    message: str
    action: str


class Reached(NamedTuple):
    """How far a server was reached.

    :ivar warning: it works, but not for long.
    """

    steps: list[Step]
    fault: Fault | None = None
    warning: Fault | None = None


class _Stopped(Exception):
    def __init__(self, message: str, action: str) -> None:
        super().__init__(message)
        self.fault = Fault(message, action)


def reach(endpoint: Endpoint) -> Reached:
    """Resolve its name, connect, and shake hands; stop at the first step that fails."""
    steps: list[Step] = []
    look = _Look(endpoint)
    try:
        for name, work in look.steps():
            started = time.monotonic()
            try:
                message = work()
            except _Stopped as error:
                steps.append(_step(name, started, str(error), success=False))
                return Reached(steps, error.fault)
            steps.append(_step(name, started, message, success=True))
    finally:
        look.close()
    return Reached(steps, warning=look.warning)


def _step(name: str, started: float, message: str, *, success: bool) -> Step:
    return Step(name, success, message, round((time.monotonic() - started) * 1000, 3))


class _Look:
    """The steps; each leaves what the next one needs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # A look may take longer than a request may.
        self._timeout = max(1.0, endpoint.timeout)
        self._found: list[Any] = []
        self._socket: socket.socket | None = None
        self.warning: Fault | None = None

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        resolving = [("resolve", self._resolve)] if self._endpoint.address else []
        shaking = [("tls", self._shake_hands)] if self._endpoint.tls else []
        return [*resolving, ("connect", self._connect), *shaking]

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _resolve(self) -> str:
        assert self._endpoint.address is not None
        host, port = self._endpoint.address
        found: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def ask() -> None:
            try:
                found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                found.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer = found.get(timeout=RESOLVE_SECONDS)
        except queue.Empty:
            raise _Stopped(
                f"The name {host!r} was not resolved within {RESOLVE_SECONDS:.0f} s.",
                "Look at the name servers of this machine (/etc/resolv.conf).",
            ) from None
        if isinstance(answer, Exception):
            reason = getattr(answer, "strerror", None) or "it is no host name"
            raise _Stopped(
                f"The name {host!r} is not known: {reason}.",
                "Correct the host, or make the name known (DNS, /etc/hosts).",
            )
        self._found = answer
        count = max(collections.Counter(each[0] for each in answer).values(), default=0)
        if self._endpoint.several and count > 1:
            self.warning = Fault(
                f"The name {host!r} has {count} addresses.", self._endpoint.several
            )
        return ", ".join(dict.fromkeys(str(each[4][0]) for each in answer))

    def _connect(self) -> str:
        failed: OSError | None = None
        if self._endpoint.path is not None:
            self._found = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", self._endpoint.path)]
        for family, kind, protocol, _, address in self._found:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(self._timeout)
            try:
                connection.connect(address)
            except OSError as error:
                connection.close()
                failed = error
                continue
            self._socket = connection
            self._hear_greeting(connection)
            return "Done."
        assert failed is not None
        kind_of = Timeout if isinstance(failed, TimeoutError) else Unavailable
        reason = "no answer in time" if isinstance(failed, TimeoutError) else failed.strerror
        message = f"It cannot be connected to: {reason}."
        raise _Stopped(message, cause_of(kind_of("")))

    def _hear_greeting(self, connection: socket.socket) -> None:
        """Stop at a server that speaks or closes unasked: it takes no more clients."""
        connection.settimeout(GREETING_SECONDS)
        try:
            said = connection.recv(512)
        except TimeoutError:
            return
        except OSError:
            said = b""
        finally:
            connection.settimeout(self._timeout)
        words = said.decode(errors="replace").strip().lstrip("-")
        raise _Stopped(
            f"It closes connections at once{f', saying {words!r}' if words else ''}.",
            "It has its most clients: raise its limit (memcached -c, Redis maxclients), or find "
            "who holds so many connections.",
        )

    def _shake_hands(self) -> str:
        assert self._socket is not None
        assert self._endpoint.tls is not None
        assert self._endpoint.address is not None
        try:
            context = self._endpoint.tls()
            wrapped = context.wrap_socket(self._socket, server_hostname=self._endpoint.address[0])
        except ssl.SSLCertVerificationError as error:
            raise _Stopped(
                f"Its certificate is not accepted: {error.verify_message}.",
                "Trust its authority (tls_ca of a service; of the system cache REDIS_TLS_CA or "
                "MEMCACHED_TLS_CA), use the name in the certificate, or renew it.",
            ) from error
        except (OSError, ValueError) as error:
            raise _Stopped(
                f"TLS failed: {getattr(error, 'reason', None) or error}.",
                "Does the server speak TLS on this port? Are the files of its settings of TLS "
                "readable and right?",
            ) from error
        self._socket = wrapped
        return self._certificate(wrapped)

    def _certificate(self, wrapped: ssl.SSLSocket) -> str:
        certificate = wrapped.getpeercert()
        ends = (certificate or {}).get("notAfter")
        if not isinstance(ends, str):
            return f"{wrapped.version()}; the certificate is not checked"
        days = int((ssl.cert_time_to_seconds(ends) - time.time()) // 86400)
        end = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), dt.UTC)
        if days < CERTIFICATE_DAYS:
            self.warning = Fault(f"Its certificate ends in {days} days.", "Renew it.")
        return f"{wrapped.version()}; the certificate ends on {end:%Y-%m-%d}"
