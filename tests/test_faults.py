"""The page of faults is the table of the tests, and each test is there."""

from __future__ import annotations

from tests.support import faults
from tests.support.processes import REPOSITORY


def test_the_page_of_faults_is_made_from_the_table() -> None:
    assert (REPOSITORY / "docs" / "faults.md").read_text() == faults.page()


def test_every_fault_has_tests_that_there_are_or_a_reason() -> None:
    assert faults.missing() == []
    assert [fault.name for fault in faults.FAULTS if not (fault.tests or fault.why)] == []
