"""Secrets of services at rest: encrypted, and readable only with the service's own key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cacheapi.registry.keyfile import keep

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

# What a client is shown of a secret; sent back, it means the one that is kept.
MASK: Final = "**********"


class Sealed(Exception):
    """The secrets cannot be read; the message says why, and nothing of them."""


class Vault:
    """Encrypts and decrypts, with Fernet: AES-128 in CBC mode, and an HMAC over it.

    :param key: the setting, of any form; ``None`` for the one in ``path``.
    :param path: where a key is kept that is made when one is first needed.
    """

    def __init__(self, key: str | None, path: Path) -> None:
        self._key = key
        self._path = path
        self._fernet: Fernet | None = None

    def seal(self, values: Mapping[str, str]) -> str:
        """Return the values as one encrypted text; empty where there are none.

        :raises Sealed: there is no key, and none can be made.
        """
        return self._open().encrypt(json.dumps(values).encode()).decode() if values else ""

    def unseal(self, sealed: str) -> dict[str, str]:
        """Return the values of an encrypted text.

        :raises Sealed: it was encrypted with another key, or is damaged.
        """
        if not sealed:
            return {}
        from cryptography.fernet import InvalidToken

        try:
            values: dict[str, str] = json.loads(self._open().decrypt(sealed.encode()))
        except InvalidToken:
            raise Sealed(
                "its secrets were stored with another secret key (CACHEAPI_SECRET_KEY, or "
                "secret-key in CACHEAPI_DATA_DIR); bring that back, or save the secrets again."
            ) from None
        return values

    def derive(self, purpose: str) -> bytes:
        """Return a key for another purpose; the same wherever the service's own key is.

        :raises Sealed: there is no key, and none can be made.
        """
        return hmac.digest(self._text(), purpose.encode(), "sha256")

    def _open(self) -> Fernet:
        if self._fernet is None:
            from cryptography.fernet import Fernet

            self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(self._text()).digest()))
        return self._fernet

    def _text(self) -> bytes:
        if self._key is not None:
            return self._key.encode()
        try:
            keep(self._path, lambda: secrets.token_urlsafe(32))
            text = self._path.read_bytes().strip()
        except OSError as error:
            raise Sealed(f"the secret key cannot be kept or read ({error.strerror}).") from error
        if len(text) < 32:
            raise Sealed("the file secret-key in CACHEAPI_DATA_DIR does not hold a secret key.")
        return text
