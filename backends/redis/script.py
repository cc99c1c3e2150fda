"""Lua that the server runs as one atomic step, where it has no command for it."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path
from typing import Final


class Script:
    """Lua of ``backends/redis/scripts``, one file after the other, run as one atomic step."""

    def __init__(self, *names: str) -> None:
        rooms = Path(__file__).with_name("scripts")
        self.text = "".join((rooms / f"{name}.lua").read_text() for name in names)
        # The name under which Redis keeps a script; no secret depends on it.
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        # What stands before the key where it is run by that name, with two arguments behind it.
        self.head = b"*6\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n1\r\n" % self.digest.encode()


COMPARE_AND_SET: Final = Script("compare_and_set")
COMPARE_AND_DELETE: Final = Script("compare_and_delete")
REPLACE: Final = Script("strings_only", "replace")
TOUCH: Final = Script("strings_only", "touch")
INCREMENT: Final = Script("increment")
