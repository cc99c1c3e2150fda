"""The samples of the last hour: who takes them, where they are, what disturbs them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.capabilities import Capability
from backends.file.backend import FileBackend
from backends.statistics import Figures, ServerStatistics
from cacheapi.caching.service import CacheService
from cacheapi.observing.sample_files import KEPT_SECONDS, Sample, SampleFiles
from cacheapi.observing.samples import MOST_SERVICES, Sampler
from tests.backends.conformance.test_conformance import Least
from tests.conftest import connect
from tests.support.processes import Memcached, eventually, memcached

Make = Callable[..., Sampler]


class Silent(Least):
    """A backend without statistics."""

    service_type = "cache_silent"


class Told(Silent):
    """A backend that says what it is told to."""

    capabilities = frozenset({Capability.STATS})

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.error: Exception | None = None

    def stats(self, section: str | None = None) -> list[ServerStatistics]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return [ServerStatistics("one", Figures(curr_items=self.asked), {})]


def serving(**backends: Backend) -> dict[str, CacheService]:
    return {name: CacheService(name, backend, default_ttl=5) for name, backend in backends.items()}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Sampler] = []

    def sampler(services: dict[str, CacheService], seconds: float = 0.05) -> Sampler:
        made.append(Sampler(lambda: services, tmp_path / "samples", seconds))
        return made[-1]

    yield sampler
    for each in made:
        each.close()


def items(sampler: Sampler, name: str) -> list[int | None]:
    return [sample.figures.curr_items for sample in sampler.history(name)]


def test_samples_are_taken_again_and_again(make: Make) -> None:
    sampler = make(serving(cache=Told()))
    started = time.time()
    sampler.watch()
    eventually(lambda: len(items(sampler, "cache")) > 3, 30)
    sampler.close()
    assert items(sampler, "cache") == [*range(1, len(items(sampler, "cache")) + 1)]
    moments = [sample.time for sample in sampler.history("cache")]
    assert moments == sorted(moments)
    assert started <= moments[0] <= moments[-1] <= time.time()


def test_a_backend_of_two_names_is_read_once(make: Make) -> None:
    backend = Told()
    sampler = make(serving(cache=backend, local=backend, other=Silent()))
    sampler.watch()
    eventually(lambda: len(items(sampler, "local")) > 3, 30)
    sampler.close()
    assert items(sampler, "cache") == items(sampler, "local")
    assert len(items(sampler, "cache")) == backend.asked
    assert sampler.history("other") == []


def test_of_two_processes_one_takes_them_and_then_the_other(make: Make) -> None:
    one, two = Told(), Told()
    first, second = make(serving(cache=one)), make(serving(cache=two))
    first.watch()
    eventually(lambda: one.asked > 1, 30)
    second.watch()
    before = one.asked
    eventually(lambda: one.asked > before + 3, 30)
    assert two.asked == 0
    first.close()
    eventually(lambda: two.asked > 1, 30)
    assert first.history("cache") == second.history("cache")


def test_who_follows_goes_on_where_the_one_before_ended(make: Make) -> None:
    told = Told()
    first = make(serving(cache=told), seconds=0.01)
    first.watch()
    eventually(lambda: told.asked, 30)
    first.close()
    kept = len(items(first, "cache"))
    # The last is a moment ago, so the next is not due for an hour.
    slow = make(serving(cache=told), seconds=3600)
    slow.watch()
    eventually(lambda: slow._leads, 30)
    assert len(items(slow, "cache")) == kept
    slow.close()
    # It was half an hour ago: the next is due at once.
    for file in slow._files._files():
        os.utime(file, (time.time() - 1800,) * 2)
    late = make(serving(cache=told), seconds=900)
    late.watch()
    eventually(lambda: len(items(late, "cache")) == kept + 1, 30)


def test_no_samples_are_taken_where_there_shall_be_none(make: Make, tmp_path: Path) -> None:
    sampler = make(serving(cache=Told()), seconds=0)
    sampler.watch()
    sampler.close()
    assert not (tmp_path / "samples").exists()
    assert sampler.history("cache") == []


def test_a_service_that_cannot_be_read_leaves_a_gap(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    broken, well = Told(), Told()
    broken.error = RuntimeError("a bug of the plugin")
    sampler = make(serving(broken=broken, well=well))
    sampler.watch()
    eventually(lambda: len(items(sampler, "well")) > 2 and items(sampler, "broken"), 30)
    sampler.close()
    assert set(items(sampler, "broken")) == {None}
    assert items(sampler, "well")[:2] == [1, 2]
    assert "The statistics of the least backend failed" in caplog.messages


def test_a_server_that_hangs_does_not_stop_the_others(make: Make) -> None:
    with memcached() as server:
        # Patient enough to hang for all of the test.
        hung, well = connect(server, timeout_ms=20_000), Told()
        server.pause()
        sampler = make(serving(hung=hung, well=well))
        sampler.watch()
        eventually(lambda: len(items(sampler, "well")) > 5, 15)
        assert sampler.history("hung") == []
        server.resume()
        eventually(lambda: items(sampler, "hung"), 30)
        assert items(sampler, "hung")[0] == 0
        sampler.close()


def test_the_figures_are_the_servers(
    make: Make, memcached_server: Memcached, tmp_path: Path
) -> None:
    remote, local = connect(memcached_server), FileBackend(data_dir=str(tmp_path / "file"))
    remote.flush()
    for number in range(3):
        remote.set(f"key{number}", b"value", None)
        local.set(f"key{number}", b"value", None)
    sampler = make(serving(remote=remote, local=local))
    sampler.watch()
    eventually(lambda: sampler.history("remote") and sampler.history("local"), 30)
    sampler.close()
    assert items(sampler, "local")[0] == 3
    told = sampler.history("remote")[0].figures
    assert told.curr_items is not None
    assert told.curr_items >= 3
    assert told.limit_bytes == 64 * 2**20
    remote.close()
    local.close()


def test_samples_outlive_a_restart_and_a_damaged_line(make: Make, tmp_path: Path) -> None:
    sampler = make(serving(cache=Told()))
    sampler.watch()
    eventually(lambda: len(items(sampler, "cache")) > 2, 30)
    sampler.close()
    before = sampler.history("cache")
    file = tmp_path / "samples" / "cache.samples"
    width = len(Figures._fields)
    strange = ["[1", "{}", "5", "[]", json.dumps([time.time()] + [None] * (width + 1))]
    strange += [json.dumps([time.time(), "x"]), json.dumps([None] * (width + 1))]
    file.write_text("\n".join([*strange, file.read_text(), '[{"cut']))
    again = make(serving(cache=Told()))
    assert again.history("cache") == before
    again.watch()
    eventually(lambda: len(items(again, "cache")) > len(before), 30)
    again.close()
    assert again.history("cache")[: len(before)] == before
    file.write_bytes(b"\xff\x00")
    assert again.history("cache") == []


def test_an_hour_is_kept_and_no_more(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path)
    now = time.time()
    old = [Sample(now - KEPT_SECONDS - 100 + number, Figures()) for number in range(50)]
    for sample in old:
        files.add("cache", sample)
    assert files.read("cache") == []
    assert files.newest() is not None
    for number in range(200):
        files.add("cache", Sample(now, Figures(curr_items=number)))
    assert [sample.figures.curr_items for sample in files.read("cache")] == [*range(200)]
    # The old ones are gone from the file, too.
    assert len((tmp_path / "cache.samples").read_text().split()) <= 210


def test_the_files_of_services_that_are_gone_go_too(make: Make, tmp_path: Path) -> None:
    files = SampleFiles(tmp_path / "samples")
    files.directory.mkdir()
    for name in ("gone", "cache"):
        files.add(name, Sample(time.time(), Figures()))
    (path,) = files.directory.glob("gone.*")
    os.utime(path, (time.time() - KEPT_SECONDS - 60,) * 2)
    sampler = make(serving(cache=Told()))
    sampler.watch()
    eventually(lambda: not path.exists(), 30)
    eventually(lambda: len(items(sampler, "cache")) > 2, 30)


def test_a_directory_that_cannot_be_written_is_said_once(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "samples").write_text("no directory")
    told = Told()
    sampler = make(serving(cache=told))
    sampler.watch()
    eventually(lambda: caplog.messages, 30)
    time.sleep(0.3)
    said = [text for text in caplog.messages if "cannot be kept" in text]
    assert len(said) == 1
    (tmp_path / "samples").unlink()
    eventually(lambda: items(sampler, "cache"), 30)


def test_a_directory_that_vanishes_is_no_error_in_a_thread(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    sampler = make(serving(cache=Told()))
    sampler.watch()
    eventually(lambda: items(sampler, "cache"), 30)
    for file in (tmp_path / "samples").iterdir():
        file.unlink()
    (tmp_path / "samples").rmdir()
    eventually(lambda: caplog.messages, 30)
    assert "cannot be kept" in caplog.messages[0]


def test_only_so_many_services_are_sampled(make: Make) -> None:
    services = serving(**{f"s{number}": Told() for number in range(MOST_SERVICES + 5)})
    sampler = make(services, seconds=0.2)
    sampler.watch()
    eventually(lambda: sampler.history(f"s{MOST_SERVICES - 1}"), 60)
    sampler.close()
    assert not any(sampler.history(f"s{number}") for number in range(MOST_SERVICES, len(services)))


def test_a_clock_that_was_set_back_stops_no_samples(make: Make) -> None:
    told = Told()
    sampler = make(serving(cache=told))
    sampler.watch()
    eventually(lambda: told.asked > 1, 30)
    sampler._due = time.time() + 10_000
    before = told.asked
    eventually(lambda: told.asked > before + 1, 30)


def test_the_latest_figures_are_read_once_in_some_seconds(make: Make) -> None:
    told = Told()
    (service, nothing) = serving(cache=told, other=Silent()).values()
    sampler = make({}, seconds=0)
    assert sampler.latest(nothing) is None
    assert sampler.latest(service, 3600) == Figures(curr_items=1)
    assert sampler.latest(service, 3600) == Figures(curr_items=1)
    assert told.asked == 1
    other = serving(cache=Told())["cache"]
    assert sampler.latest(other, 0) == Figures(curr_items=1)
    assert sampler.latest(other, 0) == Figures(curr_items=2)


def test_what_the_program_counts_itself_is_sampled_too(tmp_path: Path) -> None:
    counted = {"shop": Figures(get_hits=3, get_misses=1)}
    sampler = Sampler(dict, tmp_path / "samples", 0.05, lambda: counted)
    sampler.watch()
    eventually(lambda: len(sampler.history("shop")) > 1, 30)
    sampler.close()
    assert {sample.figures for sample in sampler.history("shop")} == {counted["shop"]}


def test_of_a_service_whose_servers_count_looks_the_reads_are_the_program_s(tmp_path: Path) -> None:
    counted = {"cache": Figures(get_hits=3, get_misses=1)}
    services = serving(cache=Told(), other=Told())
    sampler = Sampler(lambda: services, tmp_path / "samples", 0.05, lambda: counted)
    sampler.watch()
    for name, reads in (("cache", (3, 1)), ("other", (None, None))):
        eventually(lambda name=name: sampler.history(name), 30)
        figures = sampler.history(name)[0].figures
        assert figures.curr_items is not None
        assert (figures.get_hits, figures.get_misses) == reads
    sampler.close()
