"""The Containerfile, built by its steps in bare roots, and what it makes, run as it says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.containerfile import CONTAINERFILE, Stage, parse
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, eventually, free_port, wait_for_port
from tests.support.tools import run, tool

pytestmark = pytest.mark.timeout(2400)

KEY = "the-key-of-the-tests"


class Container:
    """The image's command in its root, which it cannot change, as its user, with its settings.

    :param data: what is mounted on the volume.
    """

    def __init__(self, image: Stage, data: Path, log: Path, **settings: str) -> None:
        self.port = free_port()
        self._image = image
        self.environ = {
            **image.environ,
            "PORT": str(self.port),
            "CACHEAPI_API_KEY": KEY,
            "WEB_CONCURRENCY": "2",
            **settings,
        }
        os.chown(data, int(image.user), int(image.user))
        root, volume = image.root, f"{image.root}{image.directory}"
        script = f"""
            mount --bind {root} {root}
            mount --bind {data} {volume}
            mount -t tmpfs tmpfs {root}/tmp
            mount -t tmpfs tmpfs {root}/dev/shm
            mount -t proc proc {root}/proc
            mount -o remount,bind,ro {root}
            exec {tool("chroot")} --userspec={image.user}:{image.user} {root} \\
                /bin/sh -c 'cd {image.directory} && exec "$@"' sh {" ".join(image.command)}
        """
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [tool("unshare"), "--mount", "/bin/sh", "-euc", script],
                env=self.environ,
                stdout=stream,
                stderr=stream,
            )
        try:
            wait_for_port(self.port, self.process)
        except RuntimeError as error:
            raise RuntimeError(log.read_text()) from error

    def is_healthy(self) -> bool:
        command = self._image.health
        done = run(tool("chroot"), self._image.root, *command, env=self.environ, timeout=60)
        return done.returncode == 0


@contextlib.contextmanager
def container(image: Stage, directory: Path, **settings: str) -> Iterator[Container]:
    data = directory / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    running = Container(image, data, directory / "log", **settings)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(60)


def metrics(running: Container) -> bytes:
    answer = call(running.port, "GET", "/metrics", key=KEY)
    assert answer.status == 200
    return answer.body


def test_it_serves_without_root_in_a_root_that_cannot_be_written(
    image: Stage, tmp_path: Path
) -> None:
    with container(image, tmp_path) as running:
        assert call(running.port, "POST", CACHE, {"key": "k", "value": 1}, key=KEY).status == 201
        assert call(running.port, "GET", f"{CACHE}/k", key=KEY).json["value"] == 1
        # A worker hands its counts over several times a second.
        eventually(lambda: b"cacheapi_requests_total{" in metrics(running), 20)
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        assert re.search(rf"^Uid:\s+{image.user}\s+{image.user}\s", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert running.process.returncode == 0
    # What it stored is on the volume, and there for the next one.
    with container(image, tmp_path) as running:
        assert call(running.port, "GET", f"{CACHE}/k", key=KEY).json["value"] == 1


def test_it_is_healthy_while_it_runs_even_if_its_cache_does_not(
    image: Stage, tmp_path: Path
) -> None:
    nobody = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{free_port()}"}
    with container(image, tmp_path, **nobody) as running:
        assert call(running.port, "GET", f"{CACHE}/k", key=KEY).status == 500
        eventually(running.is_healthy, 120)
    assert not running.is_healthy()


def test_the_image_speaks_to_memcached_and_redis(image: Stage, memcached_server, redis_one) -> None:
    directory = image.root.parent / "drivers"
    directory.mkdir(exist_ok=True)
    memcached = {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}",
        "MEMCACHED_TIMEOUT_MS": "3000",
    }
    redis = {"CACHE_DRIVER": "redis", "REDIS_TIMEOUT_MS": "3000", **redis_one.settings}
    for settings in (memcached, redis):
        with container(image, directory, **settings) as running:
            item = {"key": "container", "value": 1, "ttl": 60}
            assert call(running.port, "POST", CACHE, item, key=KEY).status == 201
            assert call(running.port, "GET", f"{CACHE}/container", key=KEY).status == 200


LIST = """
import importlib.metadata, json
print(json.dumps({d.name.lower().replace("_", "-"): d.version
                  for d in importlib.metadata.distributions()}))
"""


def test_it_has_what_is_locked_and_no_tools(image: Stage) -> None:
    listed = run(tool("chroot"), image.root, "/opt/cacheapi/bin/python", "-c", LIST)
    installed = json.loads(listed.stdout)
    locked = dict(
        re.findall(
            r"^([\w.-]+)(?:\[\w+\])?==(\S+)",
            "".join(
                (REPOSITORY / "requirements" / f"{name}.txt").read_text()
                for name in ("run", "memcached", "redis", "postgresql")
            ),
            re.MULTILINE,
        )
    )
    assert installed.pop("cacheapi")
    assert installed.items() <= locked.items()
    assert {"flask", "gunicorn", "pylibmc", "redis", "psycopg"} <= set(installed)
    for absent in ("pip", "gcc", "curl", "make"):
        assert not list(image.root.glob(f"opt/cacheapi/bin/{absent}*"))
        assert not (image.root / "usr" / "bin" / absent).exists()
    assert not list(image.root.glob("var/lib/apt/lists/*_*"))
    assert not (image.root / "source").exists()


def test_nothing_in_it_is_writable_for_its_user_but_the_volume(image: Stage) -> None:
    found = run(
        *(tool("chroot"), f"--userspec={image.user}:{image.user}", image.root),
        *("find", "/", "-xdev", "-writable", "!", "-type", "l", "!", "-path", "/proc/*"),
    )
    writable = set(found.stdout.split())
    usual = {"/tmp", "/var/tmp", "/run/lock", "/dev/shm", image.directory}
    assert {path for path in writable if not path.startswith("/dev/")} <= usual


def test_only_what_is_copied_is_sent_to_the_engine() -> None:
    sent = re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE)
    copied = {
        source.rstrip("/")
        for name, rest in parse(CONTAINERFILE.read_text())
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert set(sent) == copied
    assert all((REPOSITORY / source).exists() for source in copied)


def test_its_last_stage_is_not_root_and_every_base_is_the_one_that_is_tried() -> None:
    instructions = parse(CONTAINERFILE.read_text())
    bases = {rest.split()[0] for name, rest in instructions if name == "FROM"}
    assert bases == {"debian:bookworm-slim"}
    (user,) = [rest for name, rest in instructions if name == "USER"]
    assert int(user) > 0
    installs = re.findall(r"pip install (?:(?!&&|;).)+", CONTAINERFILE.read_text(), re.DOTALL)
    assert all("--require-hashes" in each or "--no-deps" in each for each in installs)
