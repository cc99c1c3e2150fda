"""What the settings of TLS mean."""

from __future__ import annotations

import ssl
from typing import NamedTuple


class Tls(NamedTuple):
    """How to speak TLS to a server.

    :ivar ca: file of the authorities to trust; ``None`` for the system's.
    :ivar cert: file of the client's certificate, with ``key``.
    :ivar verify: check the server's certificate and its host name.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Return what a connection needs.

        :raises OSError: a file of a certificate cannot be read or used.
        """
        made = ssl.create_default_context(cafile=self.ca)
        if not self.verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if self.cert is not None:
            made.load_cert_chain(self.cert, self.key)
        return made
