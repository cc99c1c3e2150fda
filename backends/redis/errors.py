"""What Redis's refusals and redis-py's exceptions mean."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Final

import redis

from backends.errors import (
    AuthenticationFailed,
    BackendError,
    Failed,
    NotAnInteger,
    NotNow,
    NotPermitted,
    OutOfMemory,
    Timeout,
    Unavailable,
    ValueTooLarge,
    WrongType,
)
from backends.names import UNKNOWN_NAME, NotLookedUp

# Redis refused, did nothing, and will take the same command later. "{}" is the server.
_LATER: Final = {
    "LOADING": "{} is loading its data",
    "BUSY": "{} is busy with a script",
    "MISCONF": "{} cannot save to its disk and takes no writes",
    "NOREPLICAS": "{} has too few replicas to take writes",
    "MASTERDOWN": "{} is a replica that has lost its master",
    "READONLY": "{} is a read-only replica",
    "CLUSTERDOWN": "{} has no node for this key",
    "TRYAGAIN": "{} is moving this key",
    "MOVED": "{} is moving this key",
    "ASK": "{} is moving this key",
}
NOT_NOW: Final = frozenset(_LATER)
# Redis's words for a type that say little.
_KINDS: Final = {"zset": "sorted set", "ReJSON-RL": "JSON document"}
# A node of a cluster says that a key is another's.
_ELSEWHERE: Final = frozenset({"MOVED", "ASK", "CLUSTERDOWN"})
# What ended a connection, and one on which the server had not said a word.
CLOSED: Final = "closed by the server"
NO_SENTINEL_KNOWS: Final = "no sentinel knows the master"
CLOSED_AT_ONCE: Final = f"{CLOSED} before it said anything"
# What begins with that: HTTP/1.1 400, ERROR of memcached, an alert of TLS.
_STRANGERS: Final = {"H": "HTTP", "E": "memcached's", "\\": "TLS", "\x15": "TLS"}
# How much of what a server says of a refusal is told.
MOST_SAID: Final = 200
_REFUSED_LOGIN: Final = {"WRONGPASS"}
# twemproxy's words for a server behind it that is down: the system's.
_OTHER_IS_DOWN = re.compile(
    r"(ERR )?(Connection (refused|reset|timed out)|Host is|No route|Network is)"
)
# A script's NOPERM has the code ERR in Redis 7.0; the other text is Valkey's and Redis 7.2's.
_NO_RIGHT_IN_A_SCRIPT: Final = ("The user executing the script can't", "ACL failure in script")


class Broken(Exception):
    """No whole reply came.

    :ivar cause: redis-py's exception.
    :ivar sent: the command may have been done.
    :ivar node: the one of a cluster that did not answer, while others may.
    :ivar sentinel: the one that was asked for the master; nobody else was.
    """

    def __init__(
        self,
        cause: Exception,
        *,
        sent: bool,
        node: str | None = None,
        sentinel: str | None = None,
    ) -> None:
        super().__init__(str(cause))
        self.node = node
        self.sentinel = sentinel
        self.__cause__ = self.cause = cause
        self.sent = sent

    @property
    def refuses_login(self) -> bool:
        """Return whether the server did not let the user in, and will not the next time."""
        return isinstance(
            self.cause, redis.AuthenticationError | redis.exceptions.NoPermissionError
        )


def is_refusal(error: Exception) -> bool:
    """Return whether the server sent this error as its whole reply."""
    return isinstance(error, redis.ResponseError) or getattr(error, "status_code", None) is not None


def code_of(error: Exception) -> str:
    """Return the first word of a refusal, ``WRONGTYPE`` for one."""
    return getattr(error, "status_code", None) or str(error).partition(" ")[0]


def kind_of(word: str) -> str:
    """Return what Redis's word for a type means; all that it may be, if it is none."""
    known = "list, hash or set" if " " in word.strip() or not word else word
    return _KINDS.get(known, known)


def failure(error: Exception, place: str, *, reading: bool, cluster: bool = False) -> BackendError:
    """Return the backend error for a reply that is an exception, with that as its cause.

    :param place: the servers, as a message names them.
    :param reading: the command changes nothing, so that nothing about it is unknown.
    :param cluster: the service knows that it talks to one.
    """
    cause = error.cause if isinstance(error, Broken) else error
    node = error.node if isinstance(error, Broken) else None
    sentinel = error.sentinel if isinstance(error, Broken) else None
    place = node or sentinel or place
    if is_refusal(cause):
        stray = code_of(cause) in _ELSEWHERE and not cluster
        settings = "REDIS_SENTINEL" if sentinel else "REDIS"
        made = not_told_of_cluster(place) if stray else _refusal(cause, place, settings)
    else:
        sent = isinstance(error, Broken) and error.sent and not reading
        made = _no_reply(cause, place, sent=sent)
    if isinstance(made, Failed):
        # A login that is refused is everybody's.
        own = isinstance(made, NotPermitted) and not isinstance(error, Broken)
        made.apart = made.apart or own or node is not None
    made.__cause__ = cause
    return made


def not_told_of_cluster(place: str) -> Failed:
    """Return what to say of a cluster's node where ``REDIS_CLUSTER`` is not set."""
    return Failed(
        f"{place} is a node of a Redis Cluster, and has a part of the keys only: "
        "set REDIS_CLUSTER=true.",
        "The server is a node of a Redis Cluster: set REDIS_CLUSTER=true.",
    )


def _refusal(error: Exception, place: str, settings: str) -> BackendError:
    """Return what a refusal is.

    :param settings: how the names of the settings begin that a login is of.
    """
    code, text = code_of(error), str(error)
    if code in _LATER:
        return NotNow(f"{code}: {_LATER[code].format(place)}.")
    if code == "NOAUTH":
        return AuthenticationFailed(
            f"Authentication failed: {place} wants a password, and none is set "
            f"({settings}_PASSWORD).",
            "The server wants a password, and the service has none.",
        )
    if code in _REFUSED_LOGIN or isinstance(error, redis.AuthenticationError):
        return AuthenticationFailed(
            f"Authentication failed: {place} refused the configured user name or password.",
            ""
            if settings == "REDIS"
            else "A sentinel refuses the user name or password of the service "
            "(REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD).",
        )
    if code == "NOPERM" or any(words in text for words in _NO_RIGHT_IN_A_SCRIPT):
        return NotPermitted(
            f"Authentication failed: {place} does not permit this command or this key to the "
            "configured user (NOPERM)."
        )
    if code == "OOM":
        return OutOfMemory(f"SERVER_ERROR out of memory: {place} is full and may not evict.")
    if code == "WRONGTYPE":
        return WrongType(kind_of(text))
    if "not an integer" in text or "would overflow" in text:
        return NotAnInteger("The stored value or the count is no whole number of 64 bits.")
    if "max number of clients" in text:
        return NotNow(f"Connection refused: {place} has its most clients already.")
    if "string exceeds maximum allowed size" in text or "invalid bulk length" in text:
        return ValueTooLarge(f"SERVER_ERROR object too large: {place} takes no value of this size.")
    if code == "DENIED":
        return Unavailable(
            f"DENIED: {place} is in protected mode: only its own machine may connect.",
            "The server is in protected mode: give it a password (requirepass) and tell it here, "
            "or set protected-mode no where its network is private.",
        )
    if _OTHER_IS_DOWN.match(text):
        down = Unavailable(
            f"{_printable(text)}: {place} is a proxy, and says so of its server for this key.",
            "A server behind the proxy is down; the keys of the others are served.",
        )
        down.apart = True
        return down
    said = _printable(f"{code} {text.removeprefix(code).strip()}")
    if "DB index is out of range" in text or "SELECT is not allowed" in text:
        return Failed(
            f"REDIS_DATABASE: {place} has no database of this number. It says: {said}",
            "The server has no database of this number (REDIS_DATABASE); a cluster has 0 only, "
            "unless it is Valkey's and its cluster-databases says more.",
        )
    if "cluster support disabled" in text:
        return Failed(
            f"{place} is no node of a cluster, but REDIS_CLUSTER is set. It says: {said}",
            f"REDIS_CLUSTER is set, but the server is no node of a cluster. It says: {said}",
        )
    return Failed(f"{place} refused the command: {said}")


def _printable(text: str) -> str:
    """Return what a server said, as a message may have it."""
    return "".join(letter for letter in text[:MOST_SAID] if letter.isprintable())


def _no_reply(cause: Exception, place: str, *, sent: bool) -> BackendError:
    unknown = " Whether the change was made is unknown." if sent else ""
    if isinstance(cause.__context__, NotLookedUp):
        return Timeout(
            f"Connection timed out: the name of {place} was not looked up in time.{unknown}",
            "The name servers do not answer in time, so the host of the service has no address.",
        )
    if isinstance(cause.__context__, socket.gaierror):
        return Unavailable(
            f"Connection refused: the name of {place} is not known.{unknown}", UNKNOWN_NAME
        )
    if isinstance(cause, redis.TimeoutError) and "handshake" in str(cause.__context__):
        return Timeout(
            f"Connection timed out: {place} did not answer to TLS in time.{unknown}",
            "The server takes the connection and does not answer to TLS: it may not speak it "
            "there (REDIS_TLS=false), or hangs.",
        )
    if isinstance(cause, redis.TimeoutError):
        return Timeout(f"Connection timed out: {place} did not answer in time.{unknown}")
    context = cause.__context__
    if isinstance(context, ssl.SSLError):
        return Unavailable(
            f"TLS failed: {place} and this service do not accept each other.", _tls_cause(context)
        )
    if isinstance(cause, redis.InvalidResponse):
        speaks = _protocol(str(cause))
        return Unavailable(
            f"Unexpected answer: {place} does not speak Redis's protocol, but {speaks}.{unknown}",
            f"What answers there does not speak Redis's protocol, but {speaks}: is the port right?",
        )
    if str(cause).startswith(NO_SENTINEL_KNOWS):
        return Unavailable(
            f"Connection refused: {cause} (REDIS_SENTINEL_MASTER).",
            "The sentinels answer, and none knows a master of this name (REDIS_SENTINEL_MASTER).",
        )
    if str(cause) == CLOSED_AT_ONCE:
        return Unavailable(
            f"Connection closed: {place} took the connection and ended it without an answer."
            f"{unknown}",
            "The server ends connections without an answer: it may speak TLS only "
            "(REDIS_TLS=true), or a proxy there has no server behind it.",
        )
    return Unavailable(f"Connection refused: {place} cannot be reached.{unknown}")


def _tls_cause(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if "WRONG_VERSION" in reason or "RECORD_LAYER" in reason or "PACKET_LENGTH" in reason:
        return "The server does not speak TLS there: unset REDIS_TLS, or take its port for TLS."
    if isinstance(error, ssl.SSLCertVerificationError):
        # Behind the comma stands for which name it is not valid.
        reason, _, _ = error.verify_message.partition(",")
        return f"The server's certificate is not accepted ({_printable(reason)}): see REDIS_TLS_CA."
    return "The server refuses this client: it may want a certificate (REDIS_TLS_CERT)."


def _protocol(told: str) -> str:
    """Return what speaks so, by the first letter that hiredis did not know."""
    return _STRANGERS.get(told.partition('got "')[2][:1], "another one")
