"""The README and its pages say what is so: tables, links, every command with its answer."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from backends.options import Option
from cacheapi.console import now
from cacheapi.console.entries import PAGE
from cacheapi.console.services import CARDS
from cacheapi.observing import prefixes
from cacheapi.observing.tail.slowest import MOST_SLOW
from cacheapi.registry.listing import USUAL
from cacheapi.settings import table
from tests.support.comparison import NOT_SAID, comparison
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Service, eventually, service
from tests.support.program import environ

README = (REPOSITORY / "README.md").read_text()
DOCS = REPOSITORY / "docs"
# Those with commands for curl, each read from its beginning.
PAGES = ["README.md", "docs/api.md", "docs/services.md", "docs/running.md", "docs/backends.md"]
# A screen has so many lines.
SCREEN = 40
BLOCK = re.compile(
    r"^```sh\n(?P<command>.*?)^```\n(?:\s*^```json\n(?P<answer>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)

# Those whose figures and times are others each time.
VARYING = frozenset(
    ("keys", "ttl", "analyze", "tail", "audit", "stats", "doctor", "explain", "services")
)
# What is compared of them, where a machine has more to say.
PARTS = {"cacheapi doctor": ".*?\nWhat to do\n", "cacheapi tail --slowest": "[^\n]*\n"}
# How they may end, but for 0.
CODES = {"cacheapi doctor": (0, 1)}
TAIL = "cacheapi tail\n"
# What a block of the program begins with; the first hit of the README is in the cache before them.
PROGRAMS = ("cacheapi ", "echo ", "KEY=", "curl ")

SHOWN = re.compile(
    r"^```sh\n(?P<command>.*?)^```\n(?:\s*^```text\n(?P<answer>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


def row(option: Option) -> str:
    default = f"`{option.default}`" if option.default and not option.secret else NOT_SAID
    return f"| `{option.variable}` | {default} | {option.help} |"


def test_the_table_of_settings_is_the_one_of_the_code() -> None:
    _, shown, _ = re.split(r"<!-- /?settings -->\n", (DOCS / "settings.md").read_text())
    _, rule, *rows = shown.splitlines()
    assert set(rule) == {"|", "-"}
    assert rows == [row(option) for option in table().values()]


def test_the_table_of_backends_is_made_from_their_classes() -> None:
    _, shown, _ = re.split(r"<!-- /?backends -->\n", (DOCS / "backends.md").read_text())
    assert shown.splitlines() == list(comparison())
    assert NOT_SAID not in shown


def test_the_first_hit_is_on_the_first_screen() -> None:
    # What is longer belongs into docs/.
    assert len(README.split()) < 1000
    screen = "\n".join(README.splitlines()[:SCREEN])
    assert "KEY=$(cat var/api-key)" in screen.partition("$KEY")[0]
    assert screen.count("\ncurl ") == 2


def test_every_page_is_in_the_index_and_every_link_leads_somewhere() -> None:
    index = (DOCS / "README.md").read_text()
    pages = sorted(path.name for path in DOCS.glob("*.md") if path.name != "README.md")
    assert [name for name in pages if f"]({name})" not in index] == []
    for page in (REPOSITORY / "README.md", *DOCS.glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), (page.name, link)


def test_the_pages_say_how_much_is_shown_at_once() -> None:
    console, commands = (
        " ".join((DOCS / page).read_text().split()) for page in ("console.md", "commands.md")
    )
    told = (
        f"advice; {CARDS} on a page",
        f"backend lists them, {PAGE} on a page",
        f"({prefixes.MOST_TOLD} prefixes at most",
        f"the {prefixes.LARGEST} largest ones",
        f"the {now.SHOWN} latest, and the {now.SLOW} slowest",
        f"purged, {now.ACTS} on a page",
        f"**API keys**, {USUAL} on a page",
    )
    assert [words for words in told if words not in console] == []
    told = (
        f"the {prefixes.LARGEST} largest entries",
        f"{prefixes.MOST_TOLD} lines are told at most",
        f"{MOST_SLOW} at most (`--count`)",
    )
    assert [words for words in told if words not in commands] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_gives_the_answer_shown(tmp_path: Path, page: str) -> None:
    text = (REPOSITORY / page).read_text()
    blocks = [match for match in BLOCK.finditer(text) if "curl " in match["command"]]
    assert len(blocks) == len(re.findall(r"^curl ", text, re.MULTILINE))
    assert blocks
    # Said before it is first used.
    assert "KEY=$(cat var/api-key)" in text.partition("Key: $KEY")[0]
    with service(tmp_path, WEB_CONCURRENCY="1") as live:
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "api-key").write_text(f"{live.api_key}\n")
        for match in blocks:
            command = match["command"].replace("http://127.0.0.1:8000", live.url)
            assert "127.0.0.1:8000" not in command
            ended = subprocess.run(
                ["bash", "-euc", command],
                cwd=tmp_path,
                env={**os.environ, "KEY": live.api_key},
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            )
            answer = json.loads(ended.stdout)
            assert not isinstance(answer, dict) or "error" not in answer, (command, answer)
            if match["answer"]:
                assert answer == json.loads(match["answer"]), command


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_every_command_of_the_program_works_as_shown(tmp_path: Path, page: str) -> None:
    """One after the other, as somebody does who reads the page, in the directory of a service."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "cacheapi"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cacheapi "$@"\n')
    program.chmod(0o755)
    # As after "make run": nothing is set.
    settings = environ(tmp_path, PATH=f"{programs}:{os.environ['PATH']}", LOGNAME="ada")
    settings = {name: text for name, text in settings.items() if not name.startswith("CACHE")}
    text = (REPOSITORY / page).read_text()
    blocks = [block for block in SHOWN.finditer(text) if block["command"].startswith(PROGRAMS)]
    assert len(blocks) >= 5
    with service(tmp_path, WEB_CONCURRENCY="1") as live:
        (tmp_path / "var").symlink_to(tmp_path / "data")
        key = tmp_path / "data" / "api-key"
        key.write_text(f"{live.api_key}\n")
        key.chmod(0o600)
        settings["KEY"] = live.api_key
        for block in blocks:
            command = block["command"].replace("http://127.0.0.1:8000", live.url)
            if command == TAIL:
                assert block["answer"]
                watch(tmp_path, settings, live, block["answer"])
                continue
            ended = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command],
                cwd=tmp_path,
                env=settings,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            last = command.splitlines()[-1]
            assert ended.returncode in CODES.get(last, (0,)), (command, ended.stdout)
            if block["answer"]:
                assert seen(last, ended.stdout) == seen(last, block["answer"]), command


def seen(command: str, shown: str) -> str:
    """Return what is to be the same whenever a command is given: no times, no figures."""
    if command.split()[1] not in VARYING:
        return shown
    part = PARTS.get(command)
    if part is not None:
        found = re.match(part, shown, re.DOTALL)
        assert found is not None, shown
        shown = found[0]
    shown = re.sub(r"^hits lately .*", "hits lately", shown, flags=re.MULTILINE)
    shown = re.sub(r"\b\d+[smhd](?: \d+[smhd])?\b", "0", shown)
    shown = re.sub(r"\d[\d.,:%-]*", "0", shown)
    shown = re.sub(r"#+", "#", shown)
    return re.sub(r"[ \t]+", " ", shown).replace(" \n", "\n")


def watch(directory: Path, settings: dict[str, str], live: Service, shown: str) -> None:
    """Ask the service until each line that is shown has come, as one that watches sees it."""
    wanted = set(seen(TAIL.strip(), shown).splitlines())
    output = directory / "tail"
    with output.open("wb") as file:
        running = subprocess.Popen(
            ["bash", "-c", f"exec {TAIL}"],
            cwd=directory,
            env=settings,
            stdout=file,
            stderr=file,
        )
    try:

        def missing() -> set[str]:
            call(live.port, "PUT", f"{CACHE}/user:1:name", {"value": "Ada"})
            call(live.port, "GET", f"{CACHE}/user:1:name")
            call(live.port, "GET", f"{CACHE}/absent")
            call(live.port, "GET", f"{CACHE}?prefix=user:")
            call(live.port, "GET", f"{CACHE}/user:1:name", key="wrong")
            return wanted - set(seen(TAIL.strip(), output.read_text()).splitlines())

        eventually(lambda: not missing(), 30)
    finally:
        running.terminate()
        running.wait(30)


def test_the_changelog_has_a_heading_of_a_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.search(r"^## (?:\[?Unreleased\b|\[?\d+\.\d+\.\d+)", changelog, re.MULTILINE)
