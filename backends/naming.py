"""What the settings of a backend are called where it was described.

Messages of backends name the variables of the environment. A service that is described elsewhere
has no variables: there a setting is a field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def in_names(called: Mapping[str, str], text: str) -> str:
    """Return a message that calls settings as they are called.

    :param called: the names, by the variables. What stands in quotes is somebody's text, and stays.
    """
    if not called:
        return text
    names = "|".join(map(re.escape, called))
    return re.sub(rf"(?<!')\b(?:{names})\b(?!')", lambda found: called[found[0]], text)
