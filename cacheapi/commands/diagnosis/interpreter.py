"""Whether this Python was built with optimisations; deploy/find-python runs it to ask others."""

from __future__ import annotations

import sys
import sysconfig


def optimised(prefix: str = sys.base_prefix, arguments: str | None = None) -> bool:
    """Return whether a Python was built as CPython's own instructions for releases say.

    Without ``--enable-optimizations``, which pyenv leaves out unless told otherwise, a request
    costs a sixth to a quarter more of a worker's time. A distribution's own Python (prefix
    ``/usr``) is optimised, whatever its configuration has.

    :param prefix: where Python is installed; here, this one
    :param arguments: what it was configured with; here, this one's
    """
    if arguments is None:
        arguments = sysconfig.get_config_var("CONFIG_ARGS")
    # Nothing is known of those that were not configured, on Windows for one.
    return prefix == "/usr" or not arguments or "--enable-optimizations" in arguments


if __name__ == "__main__":
    # What makes an environment: without them it is no choice.
    import ensurepip  # noqa: F401
    import venv  # noqa: F401

    print("optimised" if optimised() else "plain", *sys.version_info[:2])
