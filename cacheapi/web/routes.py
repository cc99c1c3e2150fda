"""How a path is read: which part is a service, and what belongs to the key."""

from __future__ import annotations

from werkzeug.routing import BaseConverter


class KeyConverter(BaseConverter):
    """The rest of the path, slashes and all; an empty key is the service's to refuse."""

    regex = r"[\s\S]*"
    part_isolating = False


class ServiceConverter(BaseConverter):
    """The name of a cache, which those of the service's own paths cannot be."""

    regex = r"(?!(?:docs|system)\Z)[^/]+"
    part_isolating = True
