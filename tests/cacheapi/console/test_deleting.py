"""Keys that are selected on a page, and deleted once their number is typed."""

from __future__ import annotations

import html
import json
import logging
import re
from pathlib import Path

import pytest

from backends.errors import Unavailable
from cacheapi.web.blueprints import EXTENSION
from tests.cacheapi.console.conftest import Person, make_app, text_of

CACHE = "/service/cache"
SELECTED = f"{CACHE}/delete-selected"
TAGGED = {"a": ["one"], "b": ["two"], "c": ["two", "three"], "d": []}


def boxes(page: str) -> dict[str, str]:
    """Return what the boxes of a page send, by key."""
    found = re.findall(r'<input type="checkbox" name="selected"[^>]*value="([^"]*)"', page)
    return {json.loads(html.unescape(text)): html.unescape(text) for text in found}


def left(person: Person) -> list[str]:
    return sorted(each["key"] for each in person.call("GET", "/cache").json["resource"])


def test_selected_keys_are_deleted_once_their_number_is_typed(person: Person) -> None:
    # Line ends that a form would change, signs of HTML, and a key that is a prefix of another.
    keys = ["a", "a\nb", 'q"<&', "other", "zé"]
    pairs = [{"key": key, "value": 1} for key in keys]
    person.call("POST", "/cache", {"resource": pairs})
    shown = boxes(person.page(CACHE, prefix=""))
    assert sorted(shown) == sorted(keys)
    chosen = [shown["a\nb"], shown['q"<&']]
    for typed in ("", "1", "3", "two"):
        answer = person.post(SELECTED, selected=chosen, confirm=typed)
        assert answer.status_code == 400
        assert "Type 2: 2 keys are selected." in text_of(answer.text)
        # What was selected still is.
        assert len(re.findall(r'name="selected"[^>]* checked', answer.text)) == 2
    assert len(left(person)) == 5
    page = text_of(person.done(SELECTED, selected=chosen, confirm=" 2 "))
    assert "2 keys were deleted." in page
    assert left(person) == ["a", "other", "zé"]
    page = text_of(
        person.done(SELECTED, query={"prefix": "oth"}, selected=[shown["other"]], confirm="1")
    )
    assert "1 key was deleted." in page
    assert "No keys start with" in page
    assert left(person) == ["a", "zé"]


@pytest.mark.parametrize("selected", ["x", "1", '["a"]', "\ud800".encode(errors="replace")])
def test_what_no_page_has_shown_is_refused(person: Person, selected: str) -> None:
    person.call("POST", "/cache", {"key": "a", "value": 1})
    assert person.post(SELECTED, selected=[selected], confirm="1").status_code == 400
    many = [json.dumps(str(number)) for number in range(51)]
    assert person.post(SELECTED, selected=many, confirm="51").status_code == 400
    assert left(person) == ["a"]


def test_nothing_selected_is_told(person: Person) -> None:
    person.call("POST", "/cache", {"key": "a", "value": 1})
    answer = person.post(SELECTED, confirm="0")
    assert answer.status_code == 400
    assert "Select keys first" in text_of(answer.text)
    assert left(person) == ["a"]


def test_what_has_a_tag_is_deleted_once_the_tags_are_typed_again(
    person: Person, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    pairs = [{"key": key, "value": 1, "tags": tags} for key, tags in TAGGED.items()]
    person.call("POST", "/cache", {"resource": pairs})
    # A tag of an entry leads to the form that has it already.
    (link,) = re.findall(r'<a class="tag" href="([^"]+)"', person.page(CACHE, key="a"))
    page = person.browser.get(html.unescape(link)).text
    assert re.search(r'<input id="tags" [^>]*value="one"', page)
    path = f"{CACHE}/delete-tagged"
    for typed in ("", "cache", "one", "one, two, three"):
        answer = person.post(path, tags="one, two", confirm=typed)
        assert answer.status_code == 400
        assert "Type one, two to delete every entry that has one of them." in text_of(answer.text)
    answer = person.post(path, tags=" ,", confirm="")
    assert answer.status_code == 400
    assert "No tag is named" in text_of(answer.text)
    assert len(left(person)) == 4
    page = text_of(person.done(path, tags="one", confirm=" one "))
    assert "Every entry that had the tag one is deleted." in page
    assert left(person) == ["b", "c", "d"]
    page = text_of(person.done(path, tags="two,three", confirm="three, two"))
    assert "Every entry that had one of the tags two, three is deleted." in page
    assert left(person) == ["d"]
    last = caplog.records[-1].getMessage()
    assert last.endswith('"CACHEAPI_API_KEY" purged service "cache" (2 tags)')

    def fails(*_: object) -> None:
        raise Unavailable("Timed out.")

    cache = person.app.extensions[EXTENSION].find("cache")
    monkeypatch.setattr(cache, "purge", fails)
    answer = person.post(path, tags="one", confirm="one")
    assert answer.status_code == 400
    assert "Timed out." in text_of(answer.text)
    assert "<bdi>d</bdi>" in answer.text
    # Also where there are no keys to show with it.
    monkeypatch.setattr(cache, "list_keys", fails)
    answer = person.post(path, tags="one", confirm="two")
    assert answer.status_code == 400
    assert "Type one to delete every entry that has it." in text_of(answer.text)
    assert "The keys cannot be listed" in text_of(answer.text)


def test_the_audit_log_names_what_was_deleted_by_where_logs_may_have_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    person = Person(make_app(tmp_path, CACHEAPI_LOG_KEYS="plain"))
    person.sign_in()
    tags = ",".join(f"t{number}" for number in range(7))
    for query in ("prefix=user:", 'prefix=a"%0Ab', "tag=one", f"tag={tags}"):
        assert person.call("DELETE", f"/cache?{query}").status_code == 200
    details = [record.getMessage().partition(' "cache" ')[2] for record in caplog.records]
    assert details == [
        '(0 keys: "user:")',
        r'(0 keys: "a\"\nb")',
        '(1 tag: "one")',
        '(7 tags: "t0", "t1", "t2", "t3", "t4", \u2026)',
    ]
    assert '1 tag: "one"' in text_of(person.page("/audit"))
    person.app.extensions[EXTENSION].close()
