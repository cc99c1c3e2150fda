"""A service elsewhere, over HTTP: the connection, with errors as commands have them.

:class:`~cacheapi.commands.remote_cache.RemoteCache` is a cache of it. What it answers is checked
here, once: a command gets what has the shape that it asks for, see
:mod:`~cacheapi.commands.cache_shapes`.
"""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from cacheapi.commands import cache_shapes
from cacheapi.commands.addresses import API, read_address
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.output import printable
from cacheapi.slips import did_you_mean

TIMEOUT_SECONDS: Final = 30
# How the API ends what it says of a service, and one of before.
_ABSENT: Final = (" does not exist.", " lists those that do.")
_CODES: Final = {400: Exit.USAGE, 404: Exit.NO, 409: Exit.NO, 412: Exit.NO, 413: Exit.USAGE}


class _Fault(msgspec.Struct):
    message: str
    context: msgspec.Raw = msgspec.Raw(b"null")


class _Refusal(msgspec.Struct):
    error: _Fault


class Refused(Failure):
    """The service has said no.

    :param answer: what it said.
    :ivar status: of its answer.
    """

    def __init__(self, status: int, message: str, answer: bytes = b"") -> None:
        # An unknown service is wrong use, as it is on the machine itself.
        is_key = message.startswith(("Key ", "API key "))
        code = Exit.USAGE if status == 404 and not is_key else _CODES.get(status, Exit.FAILED)
        super().__init__(message, code)
        self.status = status
        self._answer = answer

    @property
    def done(self) -> bytes | None:
        """What became of each operation, as JSON, where one of several failed."""
        try:
            context = msgspec.json.decode(self._answer, type=_Refusal).error.context
        except (ValueError, RecursionError):
            return None
        return bytes(context) if bytes(context).startswith(b"{") else None


class Elsewhere:
    """A service by its address; a path in it is what it is mounted under.

    :param key: the API key, or ``@`` and the file that has it.
    :raises click.UsageError: there can be no such address, or there is no key.
    """

    def __init__(self, url: str, key: str | None) -> None:
        address = read_address(url)
        self.url = address.url
        self._key = _key(key)
        self._base = address.base
        self._connection: http.client.HTTPConnection
        if address.is_https:
            self._connection = http.client.HTTPSConnection(
                address.host,
                address.port,
                timeout=TIMEOUT_SECONDS,
                context=ssl.create_default_context(),
            )
        else:
            self._connection = http.client.HTTPConnection(
                address.host, address.port, timeout=TIMEOUT_SECONDS
            )

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[bytes, http.client.HTTPMessage]:
        """Send a request; return the body of its answer, and the header fields.

        :param path: below ``/api/v2``.
        :raises Failure: it cannot be reached, refuses, or is something else.
        """
        sent = {
            "X-DreamFactory-API-Key": self._key,
            "Accept": "application/json",
            # A service in front of an HTTP API would pass the request on to that.
            "X-Service-Kind": "cache",
        }
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            self._connection.request(method, f"{self._base}{API}{path}", body, sent)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Failure(f"{self.url} cannot be reached: {_reason(error)}.") from error
        if "Cache-Status" in response.headers:
            # Only what stands in front of an API has it.
            raise self.strange
        if 200 <= response.status < 300:
            return answer, response.headers
        message = self._message(response.status, response.headers, answer)
        if message.startswith("Service '") and message.endswith(_ABSENT):
            message = self._with_names(message)
        raise Refused(response.status, message, answer)

    def json(
        self, method: str, path: str, shape: Any, document: Any = None, **headers: str
    ) -> dict[str, Any]:
        """Do as :meth:`call` with a document, and return the answer's.

        :param shape: what it is, as a ``TypedDict``; more may be in it.
        :param document: as JSON text where it is bytes.
        """
        if document is not None and not isinstance(document, bytes):
            document = json.dumps(document).encode()
        answer, _ = self.call(method, path, document, **headers)
        return self.checked(answer, shape)

    def checked(self, answer: bytes, shape: Any) -> dict[str, Any]:
        """Return the document of an answer, all of it, where it has a shape.

        :raises Failure: it is something else.
        """
        told: dict[str, Any] = self.read(answer, dict[str, Any])
        try:
            msgspec.convert(told, shape)
        except msgspec.ValidationError as error:
            raise self.strange from error
        return told

    def read(self, answer: bytes | msgspec.Raw, shape: Any) -> Any:
        """Return what an answer, or a part of one, says, as a type of msgspec's.

        :raises Failure: it is something else.
        """
        try:
            # msgspec steps over what is no UTF-8, where the shape leaves a part as it is.
            return msgspec.json.decode(str(answer, "utf-8"), type=shape)
        # Text that is no UTF-8, and brackets without end, too.
        except (ValueError, RecursionError) as error:
            raise self.strange from error

    @property
    def strange(self) -> Failure:
        """What is raised for an answer of another shape than a cache's."""
        return Failure(f"{self.url} is something else than cacheapi, or no cache of it answers.")

    def close(self) -> None:
        """Close the connection; the next request opens one."""
        self._connection.close()

    def _message(self, status: int, headers: http.client.HTTPMessage, answer: bytes) -> str:
        if 300 <= status < 400:
            return f"{self.url} leads to {headers.get('Location')!r}: name that address."
        try:
            message = msgspec.json.decode(answer, type=_Refusal).error.message
        except (ValueError, RecursionError):
            return f"{self.url} answers {status}, and not as cacheapi does."
        if self._base and message.startswith("There is nothing at this path"):
            whole = self.url.removesuffix(self._base)
            return f"cacheapi answers there, but not under {self._base}: give --url {whole}."
        return message

    def _with_names(self, message: str) -> str:
        """Return what is said of a service that does not exist, with those that do.

        As :func:`~cacheapi.commands.here.defined` says it.
        """
        try:
            found = self.json("GET", "", cache_shapes.Names)["services"]
        except Failure:
            return message
        names = sorted(each["name"] for each in found)
        near = did_you_mean(message.split("'")[1], names)
        # In place of where the API says that they are listed.
        said = message.partition("; GET ")[0].rstrip(".")
        return f"{said}; there are: {', '.join(names)}.{near}"


def _reason(error: Exception) -> str:
    """Return why a service cannot be reached, and what is likely wrong with its address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid here ({error.verify_message})"
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "it speaks no TLS there; try http://"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it ends the connection without an answer, as one does that wants https://"
    if isinstance(error, http.client.BadStatusLine):
        return "what answers there speaks no HTTP"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def _key(given: str | None) -> str:
    if given is None:
        raise click.UsageError(
            "The service elsewhere wants an API key: set CACHEAPI_KEY, or say --key @FILE."
        )
    key = given.strip()
    if given.startswith("@"):
        try:
            key = Path(given[1:]).read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            key = ""
    if not (key and key.isascii() and key.isprintable()):
        where = f"The file {printable(given[1:])!r}" if given.startswith("@") else "--key"
        raise click.UsageError(f"{where} has no API key: one line of ASCII.")
    return key
