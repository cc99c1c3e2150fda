"""deploy/Containerfile, read and carried out step by step in bare Debian roots.

No container engine is needed: a stage's base is a root that ``debootstrap`` makes, which is
what the image ``debian:bookworm-slim`` is made of, and a RUN line runs in it by ``chroot``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import REPOSITORY
from tests.support.tools import run, tool

CONTAINERFILE = REPOSITORY / "deploy" / "Containerfile"
# What a network has of its own, and a step in a root needs to reach a registry.
_NETWORK = re.compile(r"(?i:https?_proxy|no_proxy)|PIP_(?:INDEX_URL|DEFAULT_TIMEOUT|TRUSTED_HOST)")
_AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"


class Instruction(NamedTuple):
    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Its words, or the list that is written as JSON."""
        if self.rest.startswith("["):
            return [str(word) for word in json.loads(self.rest)]
        return shlex.split(self.rest)


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Containerfile."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n", "", lines)
    parts = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [Instruction(name.upper(), rest.strip()) for name, rest in parts]


@dataclass
class Stage:
    """A root with what its instructions made of it so far."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    directory: str = "/"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        return self.root / os.path.join(self.directory, path).lstrip("/")


class Failed(Exception):
    """A step that ended with another code than 0."""


def debootstrap(root: Path) -> None:
    """Make a bare root.

    :raises Failed: no archive of packages could be reached.
    """
    (base,) = set(re.findall(r"^FROM (\S+)", CONTAINERFILE.read_text(), re.MULTILINE))
    suite = re.fullmatch(r"debian:([a-z]+)-slim", base)[1]
    made = run(tool("debootstrap"), "--variant=minbase", suite, root, timeout=1000)
    if made.returncode:
        raise Failed(made.stdout[-2000:] + made.stderr[-2000:])
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    retries = root / "etc" / "apt" / "apt.conf.d" / "retries"
    retries.write_text('Acquire::Retries "5";\n')


def build(base: Path, directory: Path, context: Path) -> Stage:
    """Carry out all instructions; return the last stage.

    :param base: a bare root, which is copied for each stage.
    """
    stages: dict[str, Stage] = {}
    stage = Stage(base)
    for name, rest in parse(CONTAINERFILE.read_text()):
        words = Instruction(name, rest).words
        match name:
            case "FROM":
                called = words[2] if len(words) == 3 else str(len(stages))
                stage = stages[called] = Stage(directory / called)
                subprocess.run(["cp", "-a", base, stage.root], check=True)
            case "ARG" | "ENV":
                stage.environ |= dict(word.split("=", 1) for word in words)
            case "RUN":
                run_in(stage, rest)
            case "COPY":
                _copy(stage, stages, context, words)
            case "WORKDIR":
                stage.directory = words[0]
                stage.inside(".").mkdir(parents=True, exist_ok=True)
            case "USER":
                stage.user = words[0]
            case "CMD":
                stage.command = words
            case "HEALTHCHECK":
                stage.health = Instruction("CMD", rest[rest.index("CMD ") + 4 :]).words
            case "EXPOSE" | "VOLUME" | "STOPSIGNAL":
                pass
            case _:
                raise AssertionError(f"{name} is not known here")
    return stage


def run_in(stage: Stage, command: str) -> None:
    """Carry out a RUN line.

    :raises Failed: it ended with another code than 0.
    """
    given = {name: value for name, value in os.environ.items() if _NETWORK.fullmatch(name)}
    authorities = stage.root / _AUTHORITIES
    if authorities.exists():
        # Those of this machine, whose network may have one of its own.
        shutil.copy(f"/{_AUTHORITIES}", authorities)
        given["PIP_CERT"] = f"/{_AUTHORITIES}"
    done = run(
        *(tool("unshare"), "--mount", "--pid", "--fork", f"--mount-proc={stage.root}/proc"),
        *("chroot", stage.root, "/bin/sh", "-euc", f"cd {stage.directory}\n{command}"),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **given, **stage.environ},
        timeout=1000,
    )
    if done.returncode:
        raise Failed(f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")


def _copy(stage: Stage, stages: dict[str, Stage], context: Path, words: list[str]) -> None:
    *sources, target = words
    if sources[0].startswith("--from="):
        root = stages[sources.pop(0).removeprefix("--from=")].root
        sources = [source.lstrip("/") for source in sources]
    else:
        root = context
    for source in sources:
        if (root / source).is_dir():
            shutil.copytree(root / source, stage.inside(target), symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(root / source, stage.inside(target))
