"""The error family of the backends.

Every exception of a driver becomes one of these before it leaves the backend's
room, and keeps its cause::

    BackendError
    ├── Refused                 the request is at fault; the backend is well
    │   ├── InvalidKey          empty, too long, or of forbidden characters
    │   ├── InvalidCursor       a listing cursor that this backend did not make
    │   ├── NotAnInteger        counting on a value that is no integer in range
    │   ├── WrongType           under the key is no value, but something else of another program
    │   ├── NotRead             one of many values, which were too much to be read at once
    │   ├── Unsupported         an ability that this backend does not have
    │   └── BehindProxy         a proxy in front of the servers does not know the command
    └── Failed                  the request is well; the backend is at fault
        ├── Unavailable         no server, no connection, or a broken one
        │   ├── NotNow          it is there, and refuses for the time being
        │   └── Timeout         it did not answer in time
        ├── AuthenticationFailed
        │   ├── LoginNotSent    a part that logs in is missing, here or there
        │   └── NotPermitted    logged in, without the rights that it needs
        ├── OutOfMemory         memory or disk full, nothing may be evicted
        └── ValueTooLarge       the server or the file takes no value this size
    DriverMissing               the driver's package is not installed
    InvalidOption               a setting that the backend cannot work with
    PluginBroken                another distribution's backend is no working one

The last three stop the start; the others answer a call.
"""

from __future__ import annotations

from backends.capabilities import Capability


class BackendError(Exception):
    """Base of all that a backend's methods raise. ``str()`` of it is safe to show to a client."""


class Refused(BackendError):
    """The call is at fault and would be again; nothing was changed."""


class InvalidKey(Refused):
    """The key is empty, too long, or has characters that this backend cannot carry."""


class InvalidCursor(Refused):
    """The listing cursor was not made by this backend, or not for a list with this prefix."""

    def __init__(
        self,
        text: str = "This cursor was not given for this list: go on with the prefix that it was "
        "given for, or begin again without a cursor.",
    ) -> None:
        super().__init__(text)


class NotAnInteger(Refused):
    """The stored value, or the count asked for, is no integer in the backend's range."""


class WrongType(Refused):
    """Another program stored something under the key that is no value, so it is left alone.

    :param kind: what it is, where the backend tells: "hash".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"WRONGTYPE: under this key is another program's {kind}; this API reads and writes "
            "strings only."
        )


class NotRead(Refused):
    """A value that may be there was not read: those before it were as much as was asked for."""

    def __init__(
        self, text: str = "The value was not read: those before it were as much as was asked for."
    ) -> None:
        super().__init__(text)


class Unsupported(Refused):
    """The backend lacks an ability.

    :param capability: the flag that is off.
    :param reason: why, where the flag depends on a setting.
    """

    def __init__(self, label: str, capability: Capability, reason: str = "") -> None:
        self.capability = capability
        message = f"{label} cannot {capability.value}"
        super().__init__(f"{message}: {reason}." if reason else f"{message}.")


class BehindProxy(Refused):
    """A proxy in front of the servers closes the connection at a command that it does not know.

    Reads and writes of keys go through it.

    :param place: the servers, as a message names them.
    :param command: what it does not know.
    """

    def __init__(self, place: str, command: str) -> None:
        self.command = command
        super().__init__(
            f"A proxy is in front of {place}: it does not know the command {command}, and closes "
            "the connection at it."
        )


class Failed(BackendError):
    """The backend did not do its work; the same call may succeed later.

    :ivar apart: only this key's, or that of one server among several: it says nothing of
        whether the service answers for other keys.
    :param cause: what is likely wrong, in plain words that name no host and no secret; empty:
        what the class says.
    """

    apart = False

    def __init__(self, message: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class Unavailable(Failed):
    """The backend cannot be reached, or the connection to it broke."""


class NotNow(Unavailable):
    """The backend is there and refused, in a state that passes; nothing was changed."""


class Timeout(Unavailable):
    """The backend did not answer within its time limit."""


class AuthenticationFailed(Failed):
    """The backend refused the service's own user name or password."""


class LoginNotSent(AuthenticationFailed):
    """Nothing was refused yet: this side or the other lacks what it takes to log in."""


class NotPermitted(AuthenticationFailed):
    """The backend knows the user, and does not give it the rights that a cache needs."""


class OutOfMemory(Failed):
    """The backend has no room left and may not evict."""


class ValueTooLarge(Failed):
    """The value is over the largest that the backend takes."""


class DriverMissing(Exception):
    """The package that a backend needs is not installed; the message names the extra."""


class InvalidOption(Exception):
    """A setting that the backend cannot work with; the message names it."""


class PluginBroken(Exception):
    """A backend of another distribution is not what it must be; one line names both."""
