"""The values that plain reads of a turn bring: one call a service, for some keys.

How large values are is known only once they are here: so few are asked for at once until they have
been small for a while, and a call ends when there were enough.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from backends.errors import Failed
from backends.within import MOST_UNKNOWN, SMALL
from cacheapi.caching.service import CacheService
from cacheapi.serving.answers import Found, value_sizes
from cacheapi.serving.health import Troubles
from cacheapi.serving.largeness import LARGE
from cacheapi.web.errors import ApiError, answer_to, internal, note

# The values that are read in one turn, in bytes, about.
TURN_BYTES: Final = 4 * 1024 * 1024
# And by one call, which reads one value more at most.
CALL_BYTES: Final = TURN_BYTES // 2
# How many keys are asked for at once where all values were small, and how often they have to be.
# One call for more costs less than more calls.
MOST_KEYS: Final = 1024
PATIENCE: Final = 32


class Bringing:
    """Asks the caches for values.

    :param troubles: learns of calls that failed or took long.
    :ivar most_keys: how many are asked for at once now.
    """

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self.most_keys = MOST_UNKNOWN
        # Since how many times all values were small.
        self._small = 0

    def learn(self, found: Mapping[CacheService, Found]) -> tuple[int, int]:
        """Note how large values are, for how many are read next; return sum and largest."""
        sizes = [size for values in found.values() for size in sizes_of(values)]
        largest = max(sizes, default=0)
        if largest > SMALL:
            self.most_keys = max(1, min(self.most_keys, TURN_BYTES // largest // 4))
            self._small = 0
        else:
            self._small += 1
            if self._small >= PATIENCE and self.most_keys < MOST_KEYS:
                self.most_keys, self._small = min(2 * self.most_keys, MOST_KEYS), 0
        return sum(sizes), largest

    def get(self, service: CacheService, keys: list[str]) -> Found:
        """Return the values of those keys that are there; or the answer that all shall get.

        Of a large value its bytes are returned; what was too much is
        :class:`~backends.errors.NotRead`. Another error in place of a value is about that key
        alone, and says nothing of the service.
        """
        failure = self._troubles.failure(service.name, stores=False)
        if failure is not None:
            return answer_to(failure)
        started = time.monotonic()
        found: Found = {}
        try:
            found = service.get_each_raw(keys, CALL_BYTES, LARGE)
            return found
        except Failed as error:
            note(error)
            failure = error
            return answer_to(error)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            return internal(error)
        finally:
            self._troubles.look(
                service.name, started, failure, stores=False, brought=lambda: sum(sizes_of(found))
            )


def sizes_of(found: Found) -> list[int]:
    """Return how large values are that were read, in bytes."""
    if isinstance(found, ApiError):
        return []
    return value_sizes(found.values())
