"""Charts of the last hour: what the samples say, and where they say nothing."""

from __future__ import annotations

import time

import pytest

from backends.statistics import Figures
from cacheapi.console import charts, words
from cacheapi.observing import samples as sampling
from cacheapi.observing.sample_files import Sample
from tests.cacheapi.console.conftest import Person, text_of

NOW = 1_800_000_000.0


def counted(*hits: int | None, step: float = 30) -> list[Sample]:
    """Samples that end now, with these hits, half as many misses, and no word of evictions."""
    first = NOW - step * (len(hits) - 1)
    return [
        Sample(first + index * step, Figures(get_hits=hit, get_misses=hit and hit // 2))
        for index, hit in enumerate(hits)
    ]


def points(samples: list[Sample], line: int = 0) -> list[list[tuple[float, float]]]:
    (chart,) = charts.charts(samples, NOW)
    return [
        [tuple(map(float, point.split(","))) for point in part.split()]
        for part in chart.lines[line].parts
    ]


def test_a_line_is_the_difference_of_samples() -> None:
    (chart,) = charts.charts(counted(100, 160, 460, 760), NOW)
    assert (chart.title, chart.top) == ("Hits and misses", 10.0)
    hits, misses = chart.lines
    assert (hits.name, hits.latest, misses.name, misses.latest) == ("Hits", 10.0, "Misses", 5.0)
    assert points(counted(100, 160, 460, 760)) == [[(590.0, 96.0), (595.0, 0.0), (600.0, 0.0)]]


def test_with_too_few_samples_there_is_no_chart() -> None:
    assert charts.charts([], NOW) == []
    assert charts.charts(counted(5), NOW) == []
    assert charts.charts(counted(None, None, None), NOW) == []


def test_a_server_that_began_anew_or_was_away_leaves_a_gap() -> None:
    assert [len(part) for part in points(counted(0, 30, 60, 5, 35, 65))] == [2, 2]
    # A single point is drawn as one.
    assert [len(part) for part in points(counted(0, 30, None, 60, 90, 120))] == [2, 2]
    assert [len(part) for part in points(counted(0, 30, step=400) + counted(1, 2, 3))] == [2]


def test_the_table_has_the_same_sums() -> None:
    rows = charts.table(counted(0, 10, 20, 30), NOW)
    assert len(rows) == 6
    assert (rows[0].begin, rows[0].end) == ("07:50", "08:00")
    assert (rows[0].hits, rows[0].misses, rows[0].evictions) == (30, 15, None)
    assert rows[1].hits is None


def test_a_page_draws_them(person: Person) -> None:
    page = person.page("/service/cache")
    assert "No samples yet. None are taken: CACHEAPI_SAMPLE_SECONDS is 0." in text_of(page)
    files = person.app.extensions[sampling.EXTENSION]._files
    files.directory.mkdir(exist_ok=True)
    now = time.time()
    for index in range(5):
        figures = Figures(get_hits=index * 300, get_misses=index, evictions=0)
        files.add("cache", Sample(now - 150 + 30 * index, figures))
    page = person.page("/service/cache")
    assert page.count("<polyline") == 3
    assert "Hits 10" in text_of(page)
    assert "up to 10 per second" in page
    assert "<caption" in page


def test_one_sample_and_one_point_say_so(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = person.app.extensions[sampling.EXTENSION]

    def shown(*hits: int) -> str:
        now = time.time()
        found = [Sample(now + sample.time - NOW, sample.figures) for sample in counted(*hits)]
        monkeypatch.setattr(sampler, "history", lambda name: found)
        return text_of(person.page("/service/cache"))

    assert "No samples yet." in shown()
    assert "One sample so far." in shown(1)
    assert "One point so far: a line needs two." in shown(1, 2)
    page = shown(1, 2, 3)
    assert "so far" not in page
    assert "The same as a table" in page


@pytest.mark.parametrize(
    ("hits", "misses", "told"),
    [
        (None, 1, "\u2013"),
        (0, 0, "\u2013 (0 reads; shown from 100)"),
        (1, 0, "\u2013 (1 read; shown from 100)"),
        (99, 0, "\u2013 (99 reads; shown from 100)"),
        (50, 50, "50.0\u00a0% of 100 reads"),
        (0, 100, "0.0\u00a0% of 100 reads"),
        (1000, 0, "100.0\u00a0% of 1\u202f000 reads"),
    ],
)
def test_a_hit_ratio_has_its_number_of_reads(hits: int | None, misses: int, told: str) -> None:
    assert words.hit_ratio(hits, misses) == told
