"""An origin that answers by script, in a process of its own.

A script belongs to a path and is a list of answers, each a list of steps; the last answer
is given again and again. A step is ``["send", text]`` (Latin-1), ``["sleep", seconds]``,
``["fill", bytes]`` (so many bytes, in pieces), ``["wait"]`` (until :meth:`Origin.go_on`; with
a number, until it was called so many times since the last script was set) or ``["close"]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import http.client
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support.processes import REPOSITORY, Server

Steps = list[list[Any]]
Headers = Mapping[str, str] | Sequence[tuple[str, str]]


def date(ago: float = 0.0) -> str:
    """Return an HTTP date so many seconds ago."""
    return email.utils.formatdate(time.time() - ago, usegmt=True)


def reply(
    status: int = 200,
    headers: Headers = (),
    body: str = "",
    *,
    delay: float = 0.0,
    length: bool = True,
    dated: bool = True,
) -> Steps:
    """Return the steps of an ordinary answer."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if length:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
    lines += [f"{name}: {value}" for name, value in pairs]
    steps: Steps = [["sleep", delay]] if delay else []
    if dated and not any(name.lower() == "date" for name, _ in pairs):
        lines.append("Date: %DATE%")
    return [*steps, ["send", "\r\n".join([*lines, "", body])]]


class Origin(Server):
    """The process, and what a test says to it."""

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.origin", str(self.port)]
        self._run(command, {"PYTHONPATH": str(REPOSITORY)})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str, *answers: Steps) -> None:
        """Set the script of a path; with the answers, the log of that path begins anew."""
        self._say("PUT", {"path": path, "answers": list(answers)})

    def log(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return the requests that came, of one path or all."""
        found = self._say("GET", None)
        return [entry for entry in found if path is None or entry["path"] == path]

    def count(self, path: str) -> int:
        return len(self.log(path))

    def go_on(self) -> None:
        """Let every step that waits end."""
        self._say("POST", None)

    def _say(self, method: str, document: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, "/__control", json.dumps(document))
            return json.loads(connection.getresponse().read())


@contextlib.contextmanager
def origin() -> Iterator[Origin]:
    """Run one."""
    server = Origin()
    try:
        yield server
    finally:
        server.stop()


class _Scripted:
    def __init__(self) -> None:
        self.scripts: dict[str, list[Steps]] = {}
        self.requests: list[dict[str, Any]] = []
        self.gone_on = 0
        self.going_on = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.split("\r\n")[:-2]
        method, target, _ = line.split(" ")
        headers = [field.split(": ", 1) for field in fields]
        named = {name.lower(): value for name, value in headers}
        body = await reader.readexactly(int(named.get("content-length", 0)))
        if target == "/__control":
            said = json.dumps(await self._control(method, json.loads(body or b"null")))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said))
            writer.write(said.encode())
            await writer.drain()
            return True
        path = target.partition("?")[0]
        self.requests.append(
            {
                "method": method,
                "target": target,
                "path": path,
                "headers": headers,
                "named": named,
                "body": body.decode("latin-1"),
                "peer": writer.get_extra_info("peername")[1],
            }
        )
        answers = self.scripts.get(path, [reply(404, {}, "no script")])
        steps = answers.pop(0) if len(answers) > 1 else answers[0]
        for name, *arguments in steps:
            if name == "send":
                text = arguments[0].replace("%DATE%", email.utils.formatdate(usegmt=True))
                if method == "HEAD":
                    text = text.partition("\r\n\r\n")[0] + "\r\n\r\n"
                writer.write(text.encode("latin-1"))
                await writer.drain()
            elif name == "sleep":
                await asyncio.sleep(arguments[0])
            elif name == "fill":
                left = arguments[0]
                piece = bytes(64 * 1024)
                while left > 0:
                    writer.write(piece[:left])
                    left -= len(piece)
                    await writer.drain()
            elif name == "wait":
                times = arguments[0] if arguments else 1
                async with self.going_on:
                    await self.going_on.wait_for(lambda times=times: self.gone_on >= times)
            elif name == "close":
                return False
        return True

    async def _control(self, method: str, document: Any) -> Any:
        if method == "GET":
            return self.requests
        if method == "PUT":
            self.gone_on = 0
            self.scripts[document["path"]] = document["answers"]
            self.requests = [one for one in self.requests if one["path"] != document["path"]]
        else:
            async with self.going_on:
                self.gone_on += 1
                self.going_on.notify_all()
        return None


async def _main(port: int) -> None:
    scripted = _Scripted()
    server = await asyncio.start_server(
        scripted.serve, "127.0.0.1", port, limit=1024 * 1024, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
