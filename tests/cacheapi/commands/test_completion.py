"""What shells complete, as each of them does it with the script that is printed for it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import environ, on_terminal, run
from tests.support.tools import tool

# What is typed before the tabulator, and what the line is then.
LINES = {
    "ke": "keys",
    "services of": "services off",
    "--ve": "--version",
    "keys --det": "keys --details",
    "get --service pag": "get --service pages",
    "services test pag": "services test pages",
    "services create x --type cache_l": "services create x --type cache_local",
    "import all.js": "import all.json",
    "completion fi": "completion fish",
    # Words of bash end at each ":".
    "--url http://h:8000 keys --det": "--url http://h:8000 keys --details",
    "keys user:1 --det": "keys user:1 --details",
}
# What each reads at its start: the script, a prompt, and a word that tells what was typed.
BASH = "source ./script\nPS1='ready> '\ncacheapi() { echo \"[$*]\"; }\n"
ZSH = "autoload -U compinit; compinit -u -D\n" + BASH


@pytest.fixture
def place(tmp_path: Path) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "cacheapi"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cacheapi "$@"\n')
    program.chmod(0o755)
    (tmp_path / "all.json").touch()
    run(tmp_path, "services", "create", "pages", "--type", "cache_local")
    return tmp_path


def script(place: Path, shell: str) -> dict[str, str]:
    """Put the script of a shell there; return the environment that it is to have."""
    ended = run(place, "completion", shell)
    (place / "script").write_bytes(ended.stdout)
    path = environ(place)["PATH"]
    return {"PATH": f"{place / 'bin'}:{path}", "HOME": str(place), "ZDOTDIR": str(place)}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tabulator_completes_the_line(place: Path, shell: str) -> None:
    program = tool(shell)
    settings = script(place, shell)
    (place / ".bashrc").write_text(BASH)
    (place / ".zshrc").write_text(ZSH)
    typed = "".join(f"cacheapi {line}\t\r" for line in LINES)
    _, shown = on_terminal(
        place,
        program=[program, "-i"],
        until=lambda shown: "ready> " in shown,
        press=f"{typed}exit\r".encode(),
        **settings,
    )
    for line in LINES.values():
        assert f"[{line}]" in shown.replace(" ]", "]"), shown


def test_fish_completes_the_line_and_tells_what_it_is(place: Path) -> None:
    program = tool("fish")
    settings = script(place, "fish")
    asked = "; ".join(f"complete -C {shlex.quote(f'cacheapi {line}')}" for line in LINES)
    ended = subprocess.run(
        [program, "--no-config", "-c", f"source script; {asked}"],
        cwd=place,
        env=environ(place, **settings),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    words = [line.split("\t") for line in ended.stdout.splitlines()]
    assert [word for word, *_ in words] == [line.split()[-1] for line in LINES.values()]
    # To its end, whatever stands in it.
    help_of = {word: told[0] for word, *told in words if told}
    assert help_of["off"] == "Switch a service off: its keys stay, and nobody can ask for them."
    assert help_of["--details"] == (
        "With lifetime left, bytes of the value (VALUE) and kind of each."
    )


def test_what_cannot_be_read_completes_to_nothing(place: Path) -> None:
    (place / ".env").write_text("CACHE_DRIVER=nope\n")
    ended = run(
        place,
        _CACHEAPI_COMPLETE="bash_complete",
        COMP_WORDS="cacheapi get --service ",
        COMP_CWORD="3",
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"\n", b"")


def test_services_elsewhere_are_not_asked_for(place: Path) -> None:
    ended = run(
        place,
        _CACHEAPI_COMPLETE="bash_complete",
        COMP_WORDS="cacheapi --url http://127.0.0.1:1 get --service ",
        COMP_CWORD="5",
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"\n", b"")
