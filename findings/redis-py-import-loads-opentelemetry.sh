#!/bin/sh
# redis-py 8.1.0: "import redis" loads all of OpenTelemetry's metrics where that is installed, though nothing asks for it.
#
# A short command that asks Redis one thing pays for what it imports. redis-py's metrics are off until a program sets
# them up. But a plain "import redis" runs the asynchronous half of the package too, whose commands import the
# recorder of metrics, and that imports opentelemetry.sdk.metrics wherever it is installed: 51 modules that a program
# which does nothing but GET never uses, and about a third more of what the import costs.
#
# Seen: 'without: redis.asyncio loaded, 0 modules of opentelemetry; where it is installed: redis.asyncio loaded, 51'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/pip --disable-pip-version-check --quiet install"
cat >"$folder/seen.py" <<'PYTHON'
import sys

import redis

assert redis.__version__ == '8.1.0'
of_it = sum(name.partition('.')[0] == 'opentelemetry' for name in sys.modules)
print('redis.asyncio loaded,' if 'redis.asyncio' in sys.modules else 'not loaded,', of_it)
PYTHON
$pip redis==8.1.0
without=$("$folder/venv/bin/python" "$folder/seen.py")
$pip opentelemetry-sdk==1.39.1
with=$("$folder/venv/bin/python" "$folder/seen.py")
echo "without: $without modules of opentelemetry; where it is installed: $with"
[ "$without" = 'redis.asyncio loaded, 0' ]
[ "${with##* }" -gt 40 ]
