"""The file ``.env``: lines ``NAME=value``, and which line is none."""

from __future__ import annotations

import io
from pathlib import Path


class SettingsError(Exception):
    """A setting that the service cannot start with; one line that names it."""


def read(path: str | Path) -> dict[str, str]:
    """Return the variables of a file, which need not exist.

    :raises SettingsError: it cannot be read, or a line of it is no variable; what stands there
        is not repeated, for it may be a secret.
    """
    file = Path(path)
    try:
        if not file.is_file():
            return {}
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"The file {path} is not UTF-8.") from error
    except OSError as error:
        raise SettingsError(f"The file {path} cannot be read ({error.strerror}).") from error
    # Where there is no file, the program starts without it.
    from dotenv.parser import parse_stream

    found = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            # What is read as one may begin with empty lines.
            before = binding.original.string
            line = binding.original.line + before[: len(before) - len(before.lstrip())].count("\n")
            raise SettingsError(
                f"The file {path}, line {line}: it is not NAME=value. A value with spaces or "
                "signs of its own stands in single quotes, which end on the same line."
            )
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found
