"""The README says what is so: its table of settings, and every command with its answer."""

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
    _, shown, _ = re.split(r"<!-- /?settings -->\n", README)
    _, rule, *rows = shown.splitlines()
    assert set(rule) == {"|", "-"}
    assert rows == [row(option) for option in table().values()]


def test_the_table_of_backends_is_made_from_their_classes() -> None:
    _, shown, _ = re.split(r"<!-- /?backends -->\n", README)
    assert shown.splitlines() == list(comparison())
    assert NOT_SAID not in shown


def test_every_command_of_the_readme_gives_the_answer_shown(tmp_path: Path) -> None:
    blocks = [match for match in BLOCK.finditer(README) if "curl " in match["command"]]
    assert len(blocks) == len(re.findall(r"^curl ", README, re.MULTILINE))
    assert any(match["answer"] for match in blocks)
    with service(tmp_path, WEB_CONCURRENCY="1") as live:
        for match in blocks:
            command = match["command"].replace("http://127.0.0.1:8000", live.url)
            assert "127.0.0.1:8000" not in command
            ended = subprocess.run(
                ["bash", "-euc", command],
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
