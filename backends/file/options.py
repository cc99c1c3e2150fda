"""The settings of the file backend: where the file is, and how large it may become."""

from __future__ import annotations

from typing import Final

from backends.options import DATA_DIR, Option, integer

SERVICE_TYPE: Final = "cache_local"
OPTIONS: Final = (
    DATA_DIR,
    Option(
        variable="CACHE_FILE_MAX_MB",
        kind=integer(1, 1024 * 1024, "MiB"),
        default="256",
        help="The embedded cache file takes so many MiB; the least recently used goes first.",
        name="max_mb",
        title="Size",
    ),
)
