"""Where an origin is, and which of its URLs a request means.

The origin stands in the configuration. A request adds a path below it and a query, and
nothing in them leads out: not to another host, and not above the base path.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

PORTS: Final = {"http": 80, "https": 443}
MAX_URL: Final = 16 * 1024

# RFC 3986, section 3.3 and 3.4: what stands in a path or a query as it is.
_PLAIN: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?"
)
# Section 2.3: encoded or not, these are the same (section 6.2.2.2).
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{2}")
# A server behind the origin may decode once more than it should.
_DECODINGS: Final = 4
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


class BadAddress(ValueError):
    """A URL that cannot be asked for; the message is for whoever wrote it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Base:
    """The URL under which an origin is.

    :ivar scheme: ``http`` or ``https``.
    :ivar host: its name or address; IPv6 without brackets.
    :ivar port: its port.
    :ivar path: the path that all its URLs begin with, without a slash at the end.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the field ``Host`` says (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def root(self) -> str:
        """Its scheme and authority, as a URL begins."""
        return f"{self.scheme}://{self.authority}"

    def target(self, path: bytes, query: bytes) -> str:
        """Return the path and query to ask for, in the one way to write them.

        :param path: below the base, percent-encoded as it came; empty, or with a slash first.
        :param query: as it came, without its ``?``.
        :raises BadAddress: it leads out of the base, or is no path.
        """
        below = _normal(path)
        _check_inside(below)
        if below.startswith("//"):
            # In a request's line it would begin like another host's name.
            raise BadAddress("The path may not begin with an empty part.")
        whole = self.path + below or "/"
        if query:
            whole = f"{whole}?{_normal(query)}"
        if len(whole) > MAX_URL:
            raise BadAddress(f"The URL is longer than {MAX_URL} bytes.")
        return whole

    def mounted(self, location: str, target: str, mount: str) -> str:
        """Return a ``Location`` of the origin as a client of ours can follow it.

        What points into the base points to the service; all else is the origin's absolute URL.

        :param target: the path that was asked for, which the location may be relative to.
        :param mount: the path of the service.
        """
        try:
            url = urljoin(self.root + target, location.strip())
            parts = urlsplit(url)
            port = parts.port or PORTS.get(parts.scheme)
        except ValueError:
            return location
        is_here = (parts.scheme, (parts.hostname or "").lower(), port) == (
            self.scheme,
            self.host.lower(),
            self.port,
        )
        if not is_here or not _is_below(parts.path, self.path):
            return url
        rest = parts.path[len(self.path) :]
        query = f"?{parts.query}" if parts.query else ""
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        return f"{mount}{rest}{query}{fragment}"


def parse_base(text: str) -> Base:
    """Return the base that a URL describes.

    :raises BadAddress: it is no such URL.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadAddress("It must be a URL.") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise BadAddress("It must be a URL that begins with http:// or https:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("It may not have a user name; use a secret request header.")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise BadAddress("It may have no query and no fragment.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if not _HOST.fullmatch(host) or port == 0:
        raise BadAddress("Its host or port is not valid.")
    path = _normal(parts.path.rstrip("/").encode())
    _check_inside(path)
    return Base(parts.scheme, parts.hostname, port or PORTS[parts.scheme], path)


def kept_query(query: bytes, *, without: Sequence[str], is_sorted: bool) -> bytes:
    """Return a query less some of its parameters, in their order or sorted.

    What does not take part in the key is not sent to the origin either: an answer that
    repeats it would be stored for all others.

    :param without: names of parameters; ``*`` stands for any text.
    """
    if not query or not (without or is_sorted):
        return query
    kept = [
        part
        for part in query.split(b"&")
        if not any(fnmatchcase(_name(part), pattern) for pattern in without)
    ]
    if is_sorted:
        # Of equal names the order stays: it may mean something.
        kept.sort(key=_name)
    return b"&".join(kept)


def _name(part: bytes) -> str:
    return unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" ")).decode("latin-1")


def _normal(text: bytes) -> str:
    """Write a path or query in one way (RFC 3986, section 6.2.2).

    :raises BadAddress: an encoding is broken.
    """
    made = []
    index = 0
    while index < len(text):
        byte = text[index]
        if byte == 0x25:
            digits = text[index + 1 : index + 3]
            if not _HEX.fullmatch(digits):
                raise BadAddress("A '%' in the URL is not followed by two hexadecimal digits.")
            byte = int(digits, 16)
            made.append(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}")
            index += 3
            continue
        made.append(chr(byte) if byte in _PLAIN else f"%{byte:02X}")
        index += 1
    return "".join(made)


def _check_inside(path: str) -> None:
    """Refuse a path with a part that is a step up or none, however it is encoded."""
    text = path.encode("latin-1")
    for _ in range(_DECODINGS):
        for part in re.split(rb"[/\\]", text):
            # Some servers take off what follows a semicolon before they look at the part.
            if part.partition(b";")[0] in (b".", b".."):
                raise BadAddress("The path may not have '.' or '..' for a part.")
        if any(byte < 0x20 or byte == 0x7F for byte in text):
            raise BadAddress("The path may not have control characters.")
        decoded = unquote_to_bytes(text)
        if decoded == text:
            return
        text = decoded
    raise BadAddress("The path is encoded too many times.")


def _is_below(path: str, base: str) -> bool:
    return path == base or path.startswith(f"{base}/") or not base
