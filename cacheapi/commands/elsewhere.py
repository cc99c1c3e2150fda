"""A service elsewhere, over HTTP: the connection, with errors as commands have them.

:class:`~cacheapi.commands.remote_cache.RemoteCache` is a cache of it. What it answers is checked
here, once: a command gets what has the shape that it asks for, see
:mod:`~cacheapi.commands.cache_shapes`.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from typing import Any, Final

import msgspec

from cacheapi.commands import cache_shapes, service_words, system_shapes
from cacheapi.commands.addresses import API, read_address
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.given_key import GivenKey
from cacheapi.commands.refusals import Refused, message_of

TIMEOUT_SECONDS: Final = 30
# How the API ends what it says of a service, and one of before.
_ABSENT: Final = (" does not exist.", " lists those that do.")
# How it begins what it says of a path that it does not have, with where a cache is.
_NOWHERE: Final = re.compile(rf"There is nothing at this path; a cache is at (\S*){API}/")
_NO_KEYS: Final = " stands in front of an HTTP API and has no keys."
# Of a web server that knows no such path, or has a file there, and takes no POST for it.
_NO_SUCH_PATH: Final = (404, 405, 501)


class Elsewhere:
    """A service by its address; a path in it is what it is mounted under.

    :raises click.UsageError: there can be no such address.
    """

    def __init__(self, url: str, key: GivenKey) -> None:
        address = read_address(url)
        self.url = address.url
        self._key = key
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
            "X-DreamFactory-API-Key": self._key.text,
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
            raise Failure(f"{self.url} cannot be reached: {_reason(error)}") from error
        if "Cache-Status" in response.headers:
            # Only what stands in front of an API has it.
            raise self.strange
        if 200 <= response.status < 300:
            if response.headers.get_content_type() == "text/html":
                # A site that has a page for each path.
                raise Failure(f"{self.strange}{self._below_a_path()}")
            return answer, response.headers
        raise self._refusal(response.status, response.headers, answer)

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

    def _refusal(self, status: int, headers: http.client.HTTPMessage, answer: bytes) -> Failure:
        """Return what an answer that is no success ends the command with."""
        if 300 <= status < 400:
            leads = f"{self.url} leads to {headers.get('Location')!r}: name that address."
            return Refused(status, leads, answer)
        message = message_of(answer)
        if message is None:
            hint = self._below_a_path() if status in _NO_SUCH_PATH else ""
            said = f"{self.url} answers {status}, and not as cacheapi does.{hint}"
            return Failure(said)
        if status == 401:
            return Refused(status, f"{message} {self._key.origin}", answer)
        nowhere = _NOWHERE.match(message)
        if nowhere is not None and nowhere[1] != self._base:
            whole = self.url.removesuffix(self._base) + nowhere[1]
            where = f"under {self._base}" if self._base else "there"
            below = "" if self._base else f" it is under {nowhere[1]}:"
            return Refused(status, f"cacheapi answers, but not {where}:{below} give --url {whole}.")
        return self._of_service(Refused(status, message, answer))

    def _of_service(self, refused: Refused) -> Failure:
        """Return what is said of a service as it is on the machine itself."""
        message = str(refused)
        if not message.startswith("Service '"):
            return refused
        name = message.split("'")[1]
        if refused.reason == "service_off":
            return service_words.switched_off(name)
        if message.endswith(_NO_KEYS):
            return service_words.without_keys(name, "on its own machine")
        return self.unknown(name) if message.endswith(_ABSENT) else refused

    def unknown(self, name: str) -> Failure:
        """Return what ends a command whose service does not exist there, with those that do."""
        try:
            # One that is switched off exists too; only an administrator may see it.
            found = self.json("GET", "/system/service?limit=1000", system_shapes.Services)
            names = [each["name"] for each in found["resource"]]
        except Failure:
            try:
                listed = self.json("GET", "", cache_shapes.Names)["services"]
            except Failure:
                return Failure(f"Service '{name}' does not exist.", Exit.USAGE)
            names = [each["name"] for each in listed]
        return service_words.unknown(name, names)

    def _below_a_path(self) -> str:
        """Return a hint for an address that has something else at its paths."""
        if self._base:
            return f" Is cacheapi mounted under another path than {self._base}?"
        return f" If cacheapi is mounted under a path, that belongs to it: --url {self.url}/PATH."


def _reason(error: Exception) -> str:
    """Return why a service cannot be reached, and what is likely wrong with its address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid here ({error.verify_message})."
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "it speaks no TLS there; try http://."
    if isinstance(error, http.client.RemoteDisconnected):
        return "it ends the connection without an answer, as one does that wants https://."
    if isinstance(error, http.client.BadStatusLine):
        return "what answers there speaks no HTTP."
    said = (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
    hint = ""
    if isinstance(error, ConnectionRefusedError):
        hint = " Is the service running there, and is the port right?"
    return f"{said}.{hint}"
