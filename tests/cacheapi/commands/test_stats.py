"""``cacheapi stats``: figures of known traffic, once and as they change."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from backends.statistics import Figures
from cacheapi.commands.main import cacheapi
from cacheapi.commands.plotting import plot
from cacheapi.observing.sample_files import Sample, SampleFiles
from tests.cacheapi.commands.conftest import Program
from tests.support.processes import Memcached, free_port, memcached, service
from tests.support.program import begin, on_terminal, run
from tests.support.redis import Redis


def on_memcached(*servers: Memcached) -> dict[str, str]:
    addresses = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": addresses,
        "MEMCACHED_TIMEOUT_MS": "3000",
    }


def test_known_traffic_is_shown(program: Program) -> None:
    with memcached() as server:
        program.settings |= on_memcached(server)
        lines = b"".join(b'{"key":"%d","value":1}\n' % number for number in range(8))
        program("import", "-", stdin=lines)
        program.run("get", *(str(number) for number in range(10)))
        found = program.json("stats")
        assert found["stats"]["curr_items"] == 8
        assert (found["stats"]["get_hits"], found["stats"]["get_misses"]) == (8, 2)
        assert found["stats"]["hit_ratio"] == 0.8
        shown = program("stats")
        assert f"127.0.0.1:{server.port}" in shown
        assert "80.0%" in shown
        assert "hits lately  no reads while this was looked at" in shown
        assert program("stats", "--once").splitlines()[1:] == shown.splitlines()[1:]
        raw = program.json("stats", "--section", "settings")["servers"][0]["raw"]
        assert "maxbytes" in raw
        assert "has no section 'nope'" in program.fails(
            "stats", "--section", "nope", "--json", code=2
        )
    assert "--section goes with --json" in program.fails("stats", "--section", "items", code=2)


def test_a_service_in_front_of_an_api_has_its_hit_ratio(program: Program) -> None:
    made = ("--type", "rws", "--set", "base_url=http://127.0.0.1:9")
    program("services", "create", "shop", *made)
    # No service has run here yet.
    assert program.json("stats", "-s", "shop")["stats"]["hit_ratio"] is None
    samples = SampleFiles(program.directory / "data" / "samples")
    samples.directory.mkdir()
    samples.add("shop", Sample(time.time() - 60, Figures(get_hits=1, get_misses=1)))
    samples.add("shop", Sample(time.time() - 30, Figures(get_hits=3, get_misses=1)))
    found = program.json("stats", "-s", "shop")
    assert (found["name"], found["type"], found["servers"]) == ("shop", "rws", [])
    assert (found["stats"]["hit_ratio"], found["stats"]["get_hits"]) == (0.75, 3)
    lines = program("stats", "--once", "-s", "shop").splitlines()
    assert lines[0].startswith("shop (rws)")
    assert lines[2].split()[:4] == ["answers", "-", "75.0%", "4"]
    assert "100.0%" in lines[3]
    refused = program.fails("stats", "-s", "shop", "--json", "--section", "items", code=2)
    assert "has no sections" in refused


def test_a_pool_has_its_sum(program: Program, memcached_pool: list[Memcached]) -> None:
    program.settings |= on_memcached(*memcached_pool)
    lines = program("stats").splitlines()
    assert [line.split()[0] for line in lines[2:6]] == [
        *sorted(f"127.0.0.1:{server.port}" for server in memcached_pool),
        "all",
    ]


def test_servers_that_do_not_answer(program: Program, memcached_server: Memcached) -> None:
    gone = free_port()
    program.settings |= {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{gone}"}
    said = program("stats", code=3)
    assert ("cannot be reached" in said, "hits lately" in said) == (True, False)
    assert program.json("stats", code=3)["servers"][0]["stats"] is None
    program.settings["MEMCACHED_HOST"] += f",127.0.0.1:{memcached_server.port}"
    said = program("stats")
    assert ("cannot be reached" in said, "hits lately" in said) == (True, True)


def test_what_is_wrong_with_a_server_stands_below_the_table(program: Program) -> None:
    port = free_port()
    program.settings |= {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": "127.0.0.1"}
    program.settings["MEMCACHED_PORT"] = str(port)
    shown = program("stats", "--once", code=3)
    (row,) = (line for line in shown.splitlines() if line.strip().startswith(f"127.0.0.1:{port} "))
    assert "refused" not in row
    assert f"127.0.0.1:{port}: " in shown.replace(row, "")


def test_redis_and_the_file_have_figures_too(program: Program, redis_one: Redis) -> None:
    assert "cache file" in program("stats")
    program.settings |= {"CACHE_DRIVER": "redis", "REDIS_TIMEOUT_MS": "3000", **redis_one.settings}
    assert f"127.0.0.1:{redis_one.port}" in program("stats")
    raw = program.json("stats", "--section", "memory")["servers"][0]["raw"]
    assert "used_memory" in raw


def test_the_last_hour_is_plotted(program: Program) -> None:
    program("services")
    files = SampleFiles(program.directory / "data" / "samples")
    files.directory.mkdir()
    now = time.time()
    for index, (hits, misses) in enumerate([(0, 0), (10, 0), (10, 10), (15, 15), (0, 0)]):
        figures = Figures(get_hits=hits, get_misses=misses)
        files.add("cache", Sample(now - 300 + 30 * index, figures))
    files.add("cache", Sample(now - 100, Figures()))
    (line,) = (line for line in program("stats").splitlines() if line.startswith("hits lately"))
    assert line.split()[-1] == "50.0%"


def test_a_plot_is_bars() -> None:
    assert plot([]) == plot([None]) == "no reads while this was looked at"
    drawn = plot([0.0, None, 0.5, 1.0])
    assert drawn == "▁ ▅█ 100.0%"
    for encoding in ("ascii", None):
        assert plot([0.0, None, 0.5, 1.0], encoding=encoding) == "_ =# 100.0%"
    assert len(plot([0.5] * 1000)) < 80


def test_it_refreshes_until_ctrl_c(tmp_path: Path, memcached_server: Memcached) -> None:
    code, shown = on_terminal(
        tmp_path,
        *("stats", "--every", "0.1"),
        until=lambda shown: shown.count("CLIENTS") > 3,
        NO_COLOR="1",
        **on_memcached(memcached_server),
    )
    assert code == 0, shown
    assert "Traceback" not in shown
    # Moved by, and not coloured.
    assert "\x1b[1A" in shown
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)


def test_bars_stay_bars_while_it_refreshes(tmp_path: Path) -> None:
    begin(tmp_path)
    run(tmp_path, "set", "a", "1")
    (samples := SampleFiles(tmp_path / "data" / "samples")).directory.mkdir()
    now = time.time()
    for age, hits in ((60, 0), (30, 10)):
        samples.add("cache", Sample(now - age, Figures(get_hits=hits, get_misses=0)))
    code, shown = on_terminal(
        tmp_path,
        *("stats", "--every", "0.1"),
        until=lambda shown: shown.count("hits lately") > 3,
        press=b"q",
        NO_COLOR="1",
    )
    assert code == 0, shown
    drawn = re.findall(r"hits lately  (.*?) +[0-9.]+%", shown)
    assert len(drawn) > 3
    assert {*"".join(drawn)} <= {*"▁▂▃▄▅▆▇█ "}, drawn
    assert all("█" in each for each in drawn)


def test_one_look_elsewhere_says_nothing_of_reads_lately(tmp_path: Path) -> None:
    with service(tmp_path / "there", WEB_CONCURRENCY="1") as running:
        ended = CliRunner(env={}).invoke(
            cacheapi, ["--url", running.url, "--key", running.api_key, "stats"]
        )
    assert ended.exit_code == 0, ended.output
    assert "cache file" in ended.stdout
    assert "lately" not in ended.stdout
    # In UTC, and says so.
    assert re.search(r"  \d\d:\d\d:\d\dZ\n", ended.stdout)


@pytest.mark.parametrize("key", [b"q", b"Q"])
def test_it_fits_a_small_terminal_and_q_ends_it(tmp_path: Path, key: bytes) -> None:
    begin(tmp_path)
    run(tmp_path, "set", "a", "1")
    run(tmp_path, "get", "a", "b")
    code, shown = on_terminal(
        tmp_path,
        *("stats", "--every", "0.1"),
        until=lambda shown: shown.count("hits lately") > 3,
        press=key,
        width=60,
        NO_COLOR="1",
    )
    assert code == 0, shown
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in shown.splitlines()]
    assert max(map(len, lines)) <= 60
    # Each figure with its name, whole.
    assert any(re.fullmatch(r"HITS +50\.0%\s*", line) for line in lines)
    assert any(re.fullmatch(r"MEMORY +[0-9.]+/256 MiB\s*", line) for line in lines)


def test_a_table_that_a_small_terminal_has_no_room_for_is_a_block_a_row(tmp_path: Path) -> None:
    begin(tmp_path)
    run(tmp_path, "set", "a", "1")
    code, shown = on_terminal(
        tmp_path,
        *("services", "types"),
        until=lambda shown: False,
        width=60,
        NO_COLOR="1",
    )
    assert code == 0, shown
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in shown.splitlines()]
    assert [line.split() for line in lines[:4]] == [
        *(["cache_local"], ["FIELD", "max_mb"], ["VALUE", "integer", "(MiB)"], ["DEFAULT", "256"]),
    ]
    # It goes on below, between words; nothing is put into a column of five letters.
    assert lines[4].startswith("  MEANING  The embedded cache file takes so many MiB; the")
    assert re.match(r" {11}\w", lines[5])


def test_a_doctor_is_in_colour_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=x\n")
    code, shown = on_terminal(tmp_path, "doctor", until=lambda shown: False)
    assert code == 3
    assert re.search(r"\x1b\[[0-9;]*3[0-9]mFAILURE", shown)


@pytest.mark.timeout(180)
def test_a_long_import_shows_how_far_it_is(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"key": str(n), "value": n}) + "\n" for n in range(50_000))
    (tmp_path / "x.ndjson").write_text(lines)
    begin(tmp_path)
    code, shown = on_terminal(
        tmp_path,
        "import",
        "x.ndjson",
        until=lambda shown: bool(re.search(r"[1-9]00 entries", shown)),
    )
    assert "Importing" in shown
    # It may have been done before the key was pressed.
    assert code in (0, 130)
    assert "Traceback" not in shown
