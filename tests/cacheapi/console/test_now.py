"""What happens now, and the audit log, as pages."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest

from cacheapi.observing.tail.watch import Tail
from cacheapi.registry import audit
from cacheapi.registry.live import Registry
from cacheapi.registry.rights import Caller
from tests.cacheapi.console.conftest import Person, text_of


def note(tail: Tail, service: str, status: int = 200, seconds: float = 0.001) -> None:
    tail.note("GET", "/api/v2/{service}/{key}", service, "k", status, seconds, 2, "fast")


def other_process(directory: Path) -> Tail:
    """Return what another worker has, without its thread."""
    return Tail(directory / "tail", keys="hash")


def test_requests_are_shown_while_the_page_is_open(person: Person, tmp_path: Path) -> None:
    tail = other_process(tmp_path)
    assert "Nothing yet." in person.page("/now")
    tail.look()
    assert tail.wanted
    note(tail, "cache")
    note(tail, "sessions", 500, 0.25)
    note(tail, "cache", 404)
    tail.look()
    latest = person.page("/now/requests")
    assert 'id="state"' in latest
    rows = re.findall(r"<tr.*?</tr>", latest, re.DOTALL)[1:]
    assert [re.search(r'class="status">(\d+)', row)[1] for row in rows] == ["404", "500", "200"]  # type: ignore[index]
    assert ["failed" in row for row in rows] == [False, True, False]
    assert "8254c329a92850f6" in latest
    only = person.page("/now/requests", errors="yes")
    assert len(re.findall("<tr", only)) == 2
    assert len(re.findall("<tr", person.page("/now/requests", service="cache"))) == 3
    page = person.page("/now", service="cache", errors="yes")
    assert 'data-state="/console/now/requests?service=cache&amp;errors=yes"' in page
    # What was slow is shown, whoever watched.
    assert "250.0" in page
    # Looking on is nothing that happens.
    assert "/console" not in "".join(row for row in rows)


def test_a_service_that_there_is_not_is_told(person: Person) -> None:
    answer = person.get("/now", service="nosuch")
    assert answer.status_code == 404
    assert "There is no service “nosuch”: choose one of the list." in text_of(answer.text)
    # Another name of one is one.
    assert "There is no service" not in person.page("/now", service="local")


def test_what_has_no_route_was_not_refused_unless_it_was(person: Person, tmp_path: Path) -> None:
    tail = other_process(tmp_path)
    person.page("/now")
    tail.look()
    tail.note("GET", "", "", "", 302, 0.001, 2, "flask")
    tail.note("", "", "", "", 431, 0.001, 2, "")
    tail.look()
    rows = re.findall(r"<tr.*?</tr>", person.page("/now/requests"), re.DOTALL)[1:]
    assert ["refused before it was read" in row for row in rows] == [True, False]
    assert "no route of the API" in rows[1]
    assert all('class="only-phone"> UTC<' in row for row in rows)
    assert "By says what answered: the fast lane takes plain requests" in text_of(
        person.page("/now")
    )


def test_how_many_were_left_out(person: Person, tmp_path: Path) -> None:
    tail = other_process(tmp_path)
    person.page("/now")
    tail.look()
    for _ in range(51):
        note(tail, "cache")
    tail.look()
    assert "1 more was answered meanwhile" in text_of(person.page("/now"))


def test_where_nothing_can_be_kept_it_is_said(person: Person, tmp_path: Path) -> None:
    # The application's own thread may have had something slow to tell.
    shutil.rmtree(tmp_path / "tail", ignore_errors=True)
    (tmp_path / "tail").write_text("no directory")
    answer = person.get("/now")
    assert answer.status_code == 200
    assert "Requests cannot be watched: " in answer.text
    assert "Nothing yet." not in answer.text
    assert "The slowest of the last hour" in answer.text
    answer = person.call("GET", "/system/tail")
    assert (answer.status_code, answer.json["error"]["code"]) == (500, 500)
    assert f"{tmp_path / 'tail'}: File exists" in answer.json["error"]["message"]


def test_the_audit_log_page_by_page(person: Person, tmp_path: Path) -> None:
    assert "Nothing has been changed yet." in person.page("/audit")
    boss = Caller(b"d", "<boss>", administrator=True, number=3)
    for number in range(120):
        audit.note(tmp_path, boss, "changed", "service", 7, f"n{number}", "label")
    # What of it stands behind what it was, as in the log.
    assert "changed service n119 id 7 (label)" in text_of(person.page("/audit"))
    assert person.call("DELETE", "/cache").status_code == 200
    first = person.page("/audit")
    assert "flushed" in first
    assert "&lt;boss&gt;" in first
    following = re.search(r"cursor=(\d+)", first)
    assert following is not None
    assert "<b>n0</b>" in person.page("/audit", cursor=following[1])
    found = person.page("/audit", search="N119")
    assert ("<b>n119</b>" in found, "<b>n118</b>" in found) == (True, False)
    assert "Nothing that was done has “nobody” in it." in person.page("/audit", search="nobody")
    assert person.get("/audit", cursor="x").status_code == 400
    assert "share the database" not in first


def test_whose_audit_log_it_is_where_machines_share_a_database(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = person.call("GET", "/system/audit").json
    assert answer["meta"] == {"next": None, "machine": socket.gethostname(), "whole": True}
    monkeypatch.setattr(Registry, "is_shared", True)
    monkeypatch.setattr(socket, "gethostname", lambda: "web-<1>")
    assert "This is <b>web-&lt;1&gt;</b>: machines that share the" in person.page("/audit")
    answer = person.call("GET", "/system/audit").json
    assert answer["meta"] == {"next": None, "machine": "web-<1>", "whole": False}
