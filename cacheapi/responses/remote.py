"""The type of service ``rws``, and a service of it."""

from __future__ import annotations

import dataclasses
from typing import Final

from backends.capabilities import Traits
from cacheapi.responses.config import Config
from cacheapi.responses.options import OPTIONS


class RemoteType:
    """The type of service ``rws``, as a form knows it."""

    service_type: Final = "rws"
    driver: Final = "rws"
    label: Final = "an HTTP API"
    options: Final = OPTIONS
    traits: Final = Traits(
        title="HTTP API",
        description="The answers of an HTTP API, from the cache where they are fresh.",
        needs="the URL of the API, and a service that stores its answers",
        shared_by="all that share the service that stores",
        eviction="as with the service that stores",
        persistence="as with the service that stores",
        replication="as with the service that stores",
        data_types="answers of any content type",
        max_value="the setting `max_body_kb`; larger answers are passed on",
    )


REMOTE: Final = RemoteType()


@dataclasses.dataclass(frozen=True, eq=False)
class Remote:
    """A service in front of an HTTP API; another object after each change of it.

    :ivar cache: the name of the service that stores.
    """

    name: str
    label: str
    description: str
    cache: str
    config: Config

    type = RemoteType.service_type
