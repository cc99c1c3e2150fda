"""Charts of the last hour: what the samples say, and where they say nothing."""

from __future__ import annotations

import time

from backends.statistics import Figures
from cacheapi.console import charts
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
