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
from cacheapi.settings import table
from tests.support.comparison import NOT_SAID, comparison
from tests.support.processes import REPOSITORY, service
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
    assert len(README.splitlines()) < 150
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
    """One after the other in one directory, as somebody does who reads the page."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "cacheapi"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cacheapi "$@"\n')
    program.chmod(0o755)
    settings = environ(tmp_path, PATH=f"{programs}:{os.environ['PATH']}")
    text = (REPOSITORY / page).read_text()
    blocks = [block for block in SHOWN.finditer(text) if block["command"].startswith("cacheapi ")]
    assert blocks
    for block in blocks:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block["command"]],
            cwd=tmp_path,
            env=settings,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, (block["command"], ended.stderr)
        if block["answer"]:
            assert ended.stdout == block["answer"], block["command"]


def test_the_changelog_has_a_heading_of_a_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.search(r"^## (?:\[?Unreleased\b|\[?\d+\.\d+\.\d+)", changelog, re.MULTILINE)
