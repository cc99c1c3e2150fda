"""The work that is measured, and wrk, which asks for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import Server
from tests.support.processes import Service

KEYS = 10_000
LARGE_KEYS = 200
ALLOWED = 0.01
SIZES = {"": 230, "1k": 1000, "100k": 100_000}

# The values are JSON texts, as cacheapi stores them, and need no encoding in a URL.
LUA = """
local function value(size) return '"' .. string.rep('v', size - 2) .. '"' end
local function key() return 'key:' .. math.random(0, {keys} - 1) end
-- Zipf's law, with exponent 1: the logarithm of the rank is even.
local function zipf() return 'key:' .. math.floor({keys} ^ math.random()) - 1 end
local function many(make, separator)
  local parts = {{}}
  for i = 1, 100 do parts[i] = make(i) end
  return table.concat(parts, separator)
end
-- These take the place of those of the command line.
local json = {{['Content-Type'] = 'application/json', ['X-DreamFactory-API-Key'] = '{api_key}'}}
local limited = {{['X-DreamFactory-API-Key'] = '{limited}'}}
-- Each key once, of those that were stored for this.
local taken = 0
local function once() taken = taken + 1 return 'once:' .. taken - 1 end
local function fresh() return 'fresh:' .. math.random(0, 2 ^ 50) end
function init() math.randomseed(os.time()) end
function request() {request} end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\nRESULT {{"requests": %d, "seconds": %f, "p50": %f, "p99": %f,'
    .. ' "refused": %d, "broken": %d}}\\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""

CACHE = "/api/v2/cache"
ONE = """return wrk.format('POST', '/api/v2/cache', json,
  '{"key":"' .. key() .. '","value":' .. value(230) .. ',"ttl":3600}')"""
READS = {
    "cacheapi": "return wrk.format('GET', '/api/v2/cache/' .. %s)",
    "webdis": "return wrk.format('GET', '/GET/' .. %s)",
    "nginx": "return wrk.format('GET', '/' .. %s)",
}
VALUE = """'{"value":' .. value(230) .. ',"ttl":3600}'"""
SET = "return wrk.format('POST', '/', nil, 'SET/' .. key() .. '/' .. value(230) .. '/EX/3600')"


def reads(key: str, kinds: tuple[str, ...] = ("cacheapi", "webdis", "nginx")) -> dict[str, str]:
    return {kind: READS[kind] % key for kind in kinds}


class Work(NamedTuple):
    """A kind of work: a row of the table.

    :ivar requests: the body of wrk's function ``request``, by the kind of the server.
    :ivar absent: the kinds of server that must answer each request with 404.
    :ivar takes: each key is taken once; who is faster than there are keys may be told 404.
    """

    name: str
    connections: int
    requests: dict[str, str]
    absent: tuple[str, ...] = ()
    takes: bool = False
    keys: int = KEYS
    quick: bool = True


def key(method: str, body: str = "nil", name: str = "key()", query: str = "") -> str:
    return f"return wrk.format('{method}', '/api/v2/cache/' .. {name} .. '{query}', json, {body})"


def command(text: str) -> str:
    return f"return wrk.format('GET', {text})"


VERBS = (
    Work(
        "PUT of a key; SET XX",
        16,
        {
            "cacheapi": key("PUT", VALUE),
            "webdis": "return wrk.format('POST', '/', nil, "
            "'SET/' .. key() .. '/' .. value(230) .. '/XX/EX/3600')",
        },
    ),
    Work(
        "POST of a key; SET NX",
        16,
        {
            "cacheapi": key("POST", VALUE.replace("3600", "60"), "fresh()"),
            "webdis": "return wrk.format('POST', '/', nil, "
            "'SET/' .. fresh() .. '/' .. value(230) .. '/NX/EX/60')",
        },
    ),
    Work(
        "DELETE of a key; DEL",
        16,
        {"cacheapi": key("DELETE", name="once()"), "webdis": command("'/DEL/' .. once()")},
        takes=True,
    ),
    Work(
        "GET with clear; GETDEL",
        16,
        {
            "cacheapi": key("GET", name="once()", query="?clear=true"),
            "webdis": command("'/GETDEL/' .. once()"),
        },
        takes=True,
    ),
    Work(
        "PATCH increment; INCRBY",
        16,
        {
            "cacheapi": key(
                "PATCH", """'{"increment":1,"initial":0,"ttl":3600}'""", "'n:' .. key()"
            ),
            "webdis": command("'/INCRBY/n:' .. key() .. '/1'"),
        },
    ),
    Work(
        "PATCH ttl; EXPIRE",
        16,
        {
            "cacheapi": key("PATCH", """'{"ttl":3600}'"""),
            "webdis": command("'/EXPIRE/' .. key() .. '/3600'"),
        },
    ),
    Work(
        "read by a key with a rate limit",
        16,
        {
            "cacheapi": "return wrk.format('GET', '/api/v2/cache/' .. key(), limited)",
            "webdis": READS["webdis"] % "key()",
        },
    ),
)
WORK = (
    Work("read, 16 connections", 16, reads("key()")),
    Work("read, 64 connections", 64, reads("key()")),
    Work(
        "read, absent, 64 connections",
        64,
        reads("'no:' .. key()"),
        absent=("cacheapi", "nginx"),
    ),
    Work(
        "100 keys in one read",
        16,
        {
            "cacheapi": "return wrk.format('GET', '/api/v2/cache?keys=' .. many(key, ','))",
            "webdis": "return wrk.format('GET', '/MGET/' .. many(key, '/'))",
        },
    ),
    Work("one write with a TTL", 16, {"cacheapi": ONE, "webdis": SET}),
    Work(
        "100 keys in one write",
        16,
        {
            "cacheapi": """local function pair()
                return '{"key":"' .. key() .. '","value":' .. value(230) .. ',"ttl":3600}' end
              return wrk.format('POST', '/api/v2/cache', json,
                '{"resource":[' .. many(pair, ',') .. ']}')""",
            "webdis": """local function pair() return key() .. '/' .. value(230) end
              return wrk.format('POST', '/', nil, 'MSET/' .. many(pair, '/'))""",
        },
    ),
    Work(
        "90 reads to 10 writes, Zipf",
        64,
        {
            "cacheapi": f"if math.random() < .1 then {ONE} end {READS['cacheapi'] % 'zipf()'}",
            "webdis": f"if math.random() < .1 then {SET} end {READS['webdis'] % 'zipf()'}",
        },
    ),
    *VERBS,
    Work("read of 1 kB", 64, reads("'1k:' .. key()"), quick=False),
    Work("read of 100 kB", 16, reads("'100k:' .. key()"), keys=LARGE_KEYS, quick=False),
)


class Result(NamedTuple):
    """One measurement: requests per second, milliseconds, wrong answers.

    :ivar cpu: microseconds of the processor a request, of all processes of the server.
    """

    rate: float
    p50: float
    p99: float
    wrong: int
    cpu: float


def measure(server: Server, work: Work, seconds: int, directory: Path) -> Result:
    """Let wrk ask a server for some work.

    :raises RuntimeError: some answers were not what they must be.
    """
    script = directory / "wrk.lua"
    script.write_text(
        LUA.format(
            keys=work.keys,
            request=work.requests[server.kind],
            api_key=Service.api_key,
            limited=server.limited,
        )
    )
    before = server.cpu_seconds()
    ended = subprocess.run(
        [
            *("wrk", "-t1", f"-c{work.connections}", f"-d{seconds}s", "-s", script),
            *("-H", f"X-DreamFactory-API-Key: {Service.api_key}"),
            f"http://127.0.0.1:{server.port}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    used = server.cpu_seconds() - before
    found = json.loads(ended.stdout.partition("RESULT ")[2])
    expected = found["requests"] if server.kind in work.absent else 0
    refused = 0 if work.takes else abs(found["refused"] - expected)
    wrong = refused + found["broken"]
    # A server that is overloaded may refuse a few; they are reported, and not work done.
    if wrong > ALLOWED * found["requests"] or not found["requests"]:
        raise RuntimeError(f"{server.name}, {work.name}: {found}")
    rate = (found["requests"] - wrong) / found["seconds"]
    return Result(rate, found["p50"], found["p99"], wrong, used / found["requests"] * 1e6)
