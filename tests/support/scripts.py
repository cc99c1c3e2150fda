"""Python programs beside the test: processes that fork, die or are measured."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Sequence

from tests.support.processes import REPOSITORY


def start(script: str, *arguments: object, within: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a script; its arguments are in ``sys.argv``, its output is a pipe.

    :param within: the command that it is run by, if any.
    """
    return subprocess.Popen(
        [*within, sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Return the output of a script, which ended well."""
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()[1]) from None
    assert process.returncode == 0, errors
    return output


def run(script: str, *arguments: object, within: Sequence[str] = ()) -> str:
    """Run a script and return its output."""
    return finish(start(script, *arguments, within=within))
