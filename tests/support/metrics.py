"""Read a service's metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.live import call
from tests.support.processes import Service


class Metrics:
    """What ``/metrics`` said."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum over the samples of a name that have these labels, among others."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> set[str]:
        """Return all values of a label."""
        return {sample.labels[name] for sample in self._samples if name in sample.labels}


def metrics(port: int, key: str = Service.api_key) -> Metrics:
    answer = call(port, "GET", "/metrics", key=key)
    assert answer.status == 200, answer
    return Metrics(answer.body.decode())
