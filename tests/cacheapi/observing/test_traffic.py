"""What a service in front of an API did, of the numbers of this process."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from backends.statistics import Figures
from cacheapi.observing.metrics.meter import Meter
from cacheapi.observing.traffic import Traffic, reads, traffic

NOTHING = Traffic({}, (), {}, {})


def test_nothing_was_asked() -> None:
    assert NOTHING.hit_ratio is None
    assert NOTHING.within(0.5) is None
    assert (NOTHING.fetches, NOTHING.figures) == (0, Figures(get_hits=0, get_misses=0))


def test_both_lanes_are_added_up_by_service() -> None:
    meter = Meter(CollectorRegistry(), "1")
    for _ in range(6):
        meter.fast.response("shop", "hit")
    meter.fast.response("shop", "purge")
    meter.fast.origin("shop", 0.002)
    meter.fast.purged("shop", "tag")
    meter.fast.answered("cache", "GET", 200, 10)
    with meter.flask() as tally:
        tally.response("shop", "collapsed")
        tally.response("shop", "validated")
        tally.response("shop", "pass")
        tally.response("other", "miss")
        for seconds in (0.02, 0.02, 40.0):
            tally.origin("shop", seconds)
        tally.origin_failed("shop", "timeout")
    found = traffic(meter)
    assert found.keys() == {"shop", "other"}
    shop = found["shop"]
    assert (shop.hits, shop.misses, shop.hit_ratio) == (7, 1, 7 / 8)
    assert (shop.errors, shop.purges, shop.fetches) == ({"timeout": 1}, {"tag": 1}, 4)
    assert [shop.within(share) for share in (0.25, 0.5, 0.75, 1.0)] == [
        (0.001, 0.0025),
        (0.01, 0.025),
        (0.01, 0.025),
        (30.0, float("inf")),
    ]
    assert found["other"].hit_ratio == pytest.approx(0.0)


def test_what_clients_read_is_counted_by_service() -> None:
    meter = Meter(CollectorRegistry(), "1")
    assert reads(meter) == {}
    meter.fast.read("cache", 2, 1)
    meter.fast.response("shop", "hit")
    with meter.flask() as tally:
        tally.read("cache", 3, 1)
        tally.read("other", 0, 1)
    assert reads(meter) == {
        "cache": Figures(get_hits=5, get_misses=2),
        "other": Figures(get_hits=0, get_misses=1),
    }
