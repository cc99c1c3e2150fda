"""Services in the console: made, tried, changed, switched, deleted, and what they hold."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from pathlib import Path

import pytest

from cacheapi.registry.vault import MASK
from cacheapi.web.blueprints import EXTENSION
from tests.cacheapi.console.conftest import Person, make_app, text_of
from tests.support.plugins import Plugin
from tests.support.processes import Memcached, free_port

HUSH = "hush-hush-7"
NASTY = "<script>alert(1)</script>\"'&"


def fields(server: Memcached | None = None, **more: str) -> dict[str, str]:
    given = {"name": "sessions", "label": "Sessions", "is_active": "on"}
    # A time limit that a busy machine does not exceed.
    patient = {} if server is None else {"config.timeout_ms": "3000"}
    port = {} if server is None else {"config.port": str(server.port)}
    return {**given, **patient, **port, **more}


def make(person: Person, kind: str = "cache_memcached", **form: str) -> str:
    path = f"/new-service?type={kind}"
    return person.done(path, path, action="save", **form)


def shown(person: Person, name: str) -> dict:
    return person.call("GET", f"/system/service/{name}").json


def store(person: Person, service: str, key: str, value: object, **more: object) -> None:
    answer = person.call(
        "POST", f"/{service}", {"resource": [{"key": key, "value": value, **more}]}
    )
    assert answer.status_code == 201, answer.text


def faults(page: str) -> dict[str, str]:
    """Return what a form says is wrong, by its fields."""
    found = re.findall(r'<p class="fault" id="e-([^"]+)"[^>]*>([^<]+)</p>', page)
    return {name: text_of(text) for name, text in found}


# The first page


def test_the_system_cache_is_one_card_with_both_names(person: Person) -> None:
    page = text_of(person.page("/"))
    assert page.count("System cache") == 1
    assert "cache (also written local ) · Embedded file" in page
    assert "Make a service" in page


def test_the_first_page_asks_no_server(person: Person) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        make(person, **fields(**{"config.port": str(silent.getsockname()[1])}))
        silent.settimeout(0.2)
        # Saving tried it.
        with contextlib.suppress(TimeoutError):
            while True:
                silent.accept()[0].close()
        person.page("/")
        with pytest.raises(TimeoutError):
            silent.accept()


def test_each_state_says_why(person: Person, memcached_server: Memcached) -> None:
    make(person, **fields(memcached_server))
    make(person, **fields(name="dead", **{"config.port": str(free_port())}))
    make(person, **fields(name="idle", is_active=""))
    up = text_of(person.page("/service/sessions/state"))
    assert re.search(r"\bUp\b.*Keys on the server \d", up)
    down = text_of(person.page("/service/dead/state"))
    assert "Down Connection refused: memcached at" in down
    assert "Test connection there says what is likely wrong." in down
    page = person.page("/")
    assert 'data-state="/console/service/dead/state"' in page
    # Form fields that are not there are off.
    person.done("/service/idle/switch", to="off")
    assert "idle/state" not in person.page("/")
    assert "It answers 404 until it is switched on." in text_of(person.page("/"))
    assert "Off" in text_of(person.page("/service/idle/state"))


# The form


def test_the_form_is_that_of_the_type(person: Person) -> None:
    for described in person.call("GET", "/system/service_type").json["resource"]:
        page = person.page(f"/new-service?type={described['name']}")
        for field in described["config_schema"]:
            assert f'name="config.{field["name"]}"' in page
            assert field["label"] in page
        secret = [field["name"] for field in described["config_schema"] if field["secret"]]
        assert page.count('type="password"') == len(secret)
    page = person.page("/new-service?type=cache_memcached")
    for name, value in (("host", "127.0.0.1"), ("port", "11211"), ("default_ttl", "300")):
        assert f'name="config.{name}" value="{value}"' in page


def test_a_plugin_has_its_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    Plugin().install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lru_backend", raising=False)
    person = Person(make_app(tmp_path))
    person.sign_in()
    assert "Memory of one process" in person.page("/new-service")
    page = make(person, "cache_lru", **fields(**{"config.size": "7"}))
    assert "is saved" in page
    assert shown(person, "sessions")["config"]["size"] == 7
    assert "Up" in text_of(person.page("/service/sessions/state"))
    store(person, "sessions", "k", 1)
    assert "cannot list its keys" in person.page("/service/sessions", key="k")
    person.app.extensions[EXTENSION].close()


def test_a_service_is_made_and_is_a_cache_at_once(
    person: Person, memcached_server: Memcached, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    page = make(person, **fields(memcached_server, description="Who is signed in."))
    assert "The service sessions is saved and answers at /api/v2/sessions." in text_of(page)
    store(person, "sessions", "k", 1)
    made = shown(person, "sessions")
    assert (made["label"], made["description"]) == ("Sessions", "Who is signed in.")
    assert made["config"]["port"] == memcached_server.port
    assert [record.getMessage() for record in caplog.records] == [
        'API key "CACHEAPI_API_KEY" created service 1 "sessions"'
    ]


def test_what_is_wrong_stands_beside_its_field_in_the_words_of_the_api(person: Person) -> None:
    path = "/new-service?type=cache_memcached"
    wrong = fields(name="No Name", **{"config.port": "0", "config.host": "a b"})
    answer = person.post(path, path, action="save", **wrong)
    assert answer.status_code == 400
    told = faults(answer.text)
    assert set(told) == {"f-name", "f-config-port", "f-config-host"}
    body = {
        "name": "No Name",
        "type": "cache_memcached",
        "config": {"port": "0", "host": "a b"},
    }
    errors = person.call("POST", "/system/service", body).json["error"]["context"]["errors"]
    assert {error["message"] for error in errors} == set(told.values())
    # What was typed is still there.
    assert 'value="No Name"' in answer.text
    assert 'value="a b"' in answer.text
    assert answer.text.count('aria-invalid="true"') == 3


def test_fields_that_do_not_go_together_are_told(person: Person) -> None:
    path = "/new-service?type=cache_memcached"
    answer = person.post(path, path, action="save", **fields(**{"config.username": "u"}))
    assert answer.status_code == 400
    assert "set both of them, or neither" in text_of(answer.text)
    taken = person.post(path, path, action="save", **fields(name="cache"))
    assert "There is a service 'cache' already." in text_of(taken.text)


def test_a_trial_shows_each_step_and_saves_nothing(
    person: Person, memcached_server: Memcached
) -> None:
    path = "/new-service?type=cache_memcached"
    works = person.post(path, path, action="test", **fields(memcached_server))
    assert works.status_code == 200
    text = text_of(works.text)
    assert "The connection works" in text
    assert re.search(r"configure .* connect .* write .* read .* delete ", text)
    fails = person.post(path, path, action="test", **fields(**{"config.port": str(free_port())}))
    text = text_of(fails.text)
    assert "The connection does not work" in text
    assert "Likely cause: Nothing takes connections there" in text
    # One need not have a name yet.
    unnamed = person.post(path, path, action="test", **fields(memcached_server, name=""))
    assert "The connection works" in unnamed.text
    assert person.call("GET", "/system/service/sessions").status_code == 404


def test_a_secret_is_kept_and_never_shown(person: Person) -> None:
    secret = {"config.username": "u", "config.password": HUSH}
    path = "/new-service?type=cache_memcached"
    tried = person.post(path, path, action="test", **fields(**secret))
    assert HUSH not in tried.text
    assert HUSH not in make(person, **fields(**secret))
    page = person.page("/service/sessions/edit")
    assert HUSH not in page
    assert f'value="{MASK}"' in page
    kept = {"config.username": "u", "config.password": MASK}
    person.done("/service/sessions/edit", action="save", **fields(label="Other", **kept))
    registry = person.app.extensions[EXTENSION]
    assert registry.snapshot.definitions["sessions"].config["password"] == HUSH
    assert shown(person, "sessions")["label"] == "Other"


def test_a_secret_of_another_service_is_not_lent(person: Person) -> None:
    make(person, **fields(**{"config.username": "u", "config.password": HUSH}))
    path = "/new-service?type=cache_memcached"
    lent = {"config.username": "u", "config.password": MASK}
    answer = person.post(path, path, action="test", **fields(**lent))
    assert answer.status_code == 400
    assert "nothing stored that this mask stands for" in text_of(answer.text)


def test_a_change_of_a_service(person: Person, memcached_server: Memcached) -> None:
    make(person, **fields(**{"config.port": str(free_port())}))
    works = person.post("/service/sessions/edit", action="test", **fields(memcached_server))
    assert "The connection works" in works.text
    assert "Down" in text_of(person.page("/service/sessions/state"))
    person.done("/service/sessions/edit", action="save", **fields(memcached_server, name="users"))
    assert "Up" in text_of(person.page("/service/users/state"))
    assert person.get("/service/sessions").status_code == 404


@pytest.mark.parametrize(
    ("field", "typed", "meant", "unit", "highest", "examples"),
    [
        ("default_ttl", "soon", "soon", "minutes", "0 to 52560000", "15m, 2h, 7d or forever"),
        # It is no whole number of minutes.
        ("default_ttl", "90s", "90s", "minutes", "0 to 52560000", "15m, 2h, 7d or forever"),
        ("timeout_ms", "3h", "10800000", "milliseconds", "1 to 60000", "2s, 30s, 1m"),
    ],
)
def test_a_fault_of_a_time_span_speaks_as_its_field_does(
    person: Person, field: str, typed: str, meant: str, unit: str, highest: str, examples: str
) -> None:
    make(person, **fields())
    told = f"a whole number of {unit} from {highest}, or {examples}."
    assert f"A{told[1:]}" in text_of(person.page("/service/sessions/edit"))
    wrong = fields(**{f"config.{field}": typed})
    for path, name in (
        ("/service/sessions/edit", "sessions"),
        ("/new-service?type=cache_memcached", "other"),
    ):
        for action in ("save", "test"):
            answer = person.post(path, path, action=action, **{**wrong, "name": name})
            found = faults(answer.text)
            assert set(found) == {f"f-config-{field}"}
            assert found.popitem()[1] == f"'{typed}' is not allowed; it must be {told}"
            # What was typed is there to be mended.
            assert f'name="config.{field}" value="{typed}"' in answer.text
    # The API has no units, and says none.
    number = int(meant) if meant.isdigit() else meant
    body = {"config": {field: number}}
    (error,) = person.call("PATCH", "/system/service/sessions", body).json["error"]["context"][
        "errors"
    ]
    assert error["message"] == (
        f"{number!r} is not allowed; it must be a whole number of {unit} from {highest}."
    )


def test_a_time_span_has_a_unit_or_is_in_that_of_its_field(person: Person) -> None:
    typed = {"config.default_ttl": "2h", "config.timeout_ms": "3s"}
    make(person, **fields(**{**typed, "is_active": ""}))
    made = shown(person, "sessions")["config"]
    assert (made["default_ttl"], made["timeout_ms"]) == (120, 3000)
    page = text_of(person.page("/service/sessions/edit"))
    assert "A whole number of milliseconds from 1 to 60000, or 2s, 30s, 1m." in page
    typed = {"config.default_ttl": "forever", "config.timeout_ms": "450"}
    person.done("/service/sessions/edit", action="save", **fields(**typed))
    made = shown(person, "sessions")["config"]
    assert (made["default_ttl"], made["timeout_ms"]) == (0, 450)


def test_a_yes_or_no_is_a_box(person: Person) -> None:
    page = person.page("/new-service?type=cache_redis")
    assert re.search(r'name="config.tls_verify" checked', page)
    assert not re.search(r'name="config.cluster" checked', page)
    make(person, "cache_redis", **fields(**{"config.cluster": "on"}))
    config = shown(person, "sessions")["config"]
    assert (config["cluster"], config["tls_verify"]) == (True, False)


def test_saving_says_what_a_trial_found(person: Person, memcached_server: Memcached) -> None:
    page = make(person, **fields(**{"config.port": str(free_port())}))
    assert 'class="warning" role="status"' in page
    text = text_of(page)
    assert "The service sessions is saved, but does not work: 'connect' failed. Conn" in text
    assert "saved and answers" not in text
    assert "The next two steps" not in text
    assert "is the server running, are host and port right" in text
    page = person.done("/service/sessions/edit", action="save", **fields(memcached_server))
    assert "The service sessions is saved." in text_of(page)
    # A form of which the box is not checked has no such field.
    off = {name: text for name, text in fields(name="idle").items() if name != "is_active"}
    page = make(person, **off)
    assert "The service idle is saved. It is off: it answers 404." in text_of(page)


def test_a_form_shows_what_an_empty_prefix_will_be(
    person: Person, memcached_server: Memcached
) -> None:
    path = "/new-service?type=cache_memcached"
    assert 'placeholder="its name:"' in person.page(path)
    tried = person.post(path, path, action="test", **fields(memcached_server))
    assert 'placeholder="sessions:"' in tried.text
    assert "Left empty, it is the service's name with : behind it." in text_of(tried.text)
    make(person, **fields(memcached_server))
    assert shown(person, "sessions")["config"]["prefix"] == "sessions:"
    # There an empty one is none.
    page = person.page("/service/sessions/edit")
    assert 'value="sessions:"' in page
    assert "placeholder" not in page
    assert "Left empty" not in page


def test_what_takes_a_few_words_is_chosen_from_them(person: Person) -> None:
    page = person.page("/new-service?type=cache_memcached")
    chosen = {
        name: re.findall(r"<option( selected)?>([^<]+)</option>", options)
        for name, options in re.findall(
            r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL
        )
    }
    assert chosen["config.discovery"] == [(" selected", "off"), ("", "dns"), ("", "config")]
    assert [word for _, word in chosen["config.auth"]] == ["sasl", "text"]
    words = [word for _, word in chosen["config.values"]]
    assert words == ["json", "php", "pylibmc", "libmc", "auto"]


def test_who_switches_a_service_off_reads_first_what_clients_get(
    person: Person, memcached_server: Memcached
) -> None:
    make(person, **fields(memcached_server))
    page = person.page("/service/sessions")
    assert "Switch it off" not in page
    assert "/service/sessions?switch=off#switch-off" in page
    make(person, "rws", name="shop", **{"config.base_url": "http://127.0.0.1:9"}, is_active="on")
    text = text_of(person.page("/service/sessions?switch=off"))
    # In the words of the page; the API has its own for it.
    assert "From then on every request for it is answered with a 404, until it is" in text
    assert "not active" not in text
    assert "keeps its answers here" not in text
    # The system cache, which an HTTP API stores in, is not switched.
    assert "Switch it off" not in person.page("/service/cache?switch=off")
    form = {"name": "shop", "is_active": "on", "config.base_url": "http://127.0.0.1:9"}
    person.done("/service/shop/edit", action="save", **form, **{"config.cache": "sessions"})
    text = text_of(person.page("/service/sessions?switch=off"))
    assert "shop keeps its answers here: those requests go to the API" in text
    person.done("/service/sessions/switch", to="off")
    page = person.page("/service/sessions?switch=off")
    assert "Switch it off" not in page
    assert "Switch on" in page


def test_a_service_is_switched_off_and_on(person: Person, memcached_server: Memcached) -> None:
    make(person, **fields(memcached_server))
    page = person.done("/service/sessions/switch", to="off")
    assert "off: it answers 404" in text_of(page)
    assert person.call("GET", "/sessions/k").json["error"]["message"].endswith("is not active.")
    # Nothing can be asked of it.
    assert "Look up a key" not in page
    assert person.get("/service/sessions", key="k").status_code == 200
    assert person.post("/service/sessions/flush", confirm="sessions").status_code == 404
    person.done("/service/sessions/switch", to="on")
    store(person, "sessions", "k", 1)


def test_a_service_is_deleted_by_its_name(person: Person, memcached_server: Memcached) -> None:
    make(person, **fields(memcached_server))
    for typed in ("", "session", "Sessions"):
        answer = person.post("/service/sessions/delete", confirm=typed)
        assert answer.status_code == 400
        assert faults(answer.text) == {"confirm-delete": "Type sessions to delete it."}
    page = person.done("/service/sessions/delete", confirm=" sessions ")
    assert "The service sessions is deleted." in text_of(page)
    assert person.get("/service/sessions").status_code == 404


def test_the_settings_of_the_environment_are_shown_without_secrets(tmp_path: Path) -> None:
    variables = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": "cache.example"}
    variables |= {"MEMCACHED_USERNAME": "u", "MEMCACHED_PASSWORD": HUSH, "CACHE_DEFAULT_TTL": "120"}
    person = Person(make_app(tmp_path, **variables))
    person.sign_in()
    page = person.page("/service/cache")
    text = text_of(page)
    assert "Host cache.example Port 11211" in text
    assert "Default TTL 120 minutes (2 h)" in text
    settings = person.page("/service/cache/edit")
    assert "Host MEMCACHED_HOST cache.example Port MEMCACHED_PORT 11211" in text_of(settings)
    assert "Password MEMCACHED_PASSWORD **********" in text_of(settings)
    assert HUSH not in page + settings


@pytest.mark.parametrize("name", ["cache", "declared"])
def test_what_is_set_up_elsewhere_is_only_shown(tmp_path: Path, name: str) -> None:
    file = tmp_path / "services.toml"
    file.write_text(
        '[[service]]\nname = "declared"\ntype = "cache_memcached"\n'
        f'config = {{ username = "u", password = "{HUSH}" }}\n'
    )
    person = Person(make_app(tmp_path, CACHEAPI_SERVICES_FILE=str(file)))
    person.sign_in()
    page = person.page(f"/service/{name}/edit")
    assert "can only be changed there" in text_of(page)
    # What the environment sets is shown with its variable.
    assert ("<code>CACHE_DEFAULT_TTL</code>" in page) == (name == "cache")
    assert "Default TTL" in text_of(page)
    assert HUSH not in page
    assert "<input" not in page.partition("<main")[2]
    assert "Switch off" not in person.page(f"/service/{name}")
    for path, form in (
        ("edit", {"action": "save", "name": name}),
        ("switch", {"to": "off"}),
        ("delete", {"confirm": name}),
    ):
        answer = person.post(f"/service/{name}/{path}", **form)
        assert answer.status_code == 400
        assert "can only be" in text_of(answer.text)
    person.app.extensions[EXTENSION].close()


def test_a_service_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    person = Person(make_app(tmp_path, CACHEAPI_SECRET_KEY="a" * 32))
    person.sign_in()
    make(person, **fields(**{"config.username": "u", "config.password": HUSH}))
    person.app.extensions[EXTENSION].close()
    other = Person(make_app(tmp_path, CACHEAPI_SECRET_KEY="b" * 32))
    other.sign_in()
    assert "Cannot be used its secrets were stored with another" in text_of(other.page("/"))
    assert other.get("/service/sessions").status_code == 200
    # A new password mends it.
    again = fields(**{"config.username": "u", "config.password": "new"})
    other.done("/service/sessions/edit", action="save", **again)
    assert "Cannot be used" not in text_of(other.page("/"))
    other.app.extensions[EXTENSION].close()


def test_words_of_people_are_words_and_no_markup(person: Person) -> None:
    make(person, **fields(label=NASTY, description=NASTY))
    for path in ("/", "/service/sessions", "/service/sessions/edit", "/service/sessions/state"):
        page = person.page(path)
        assert "<script>alert" not in page
    assert NASTY in text_of(person.page("/"))


def test_after_save_the_next_two_steps(person: Person) -> None:
    page = make(person, "cache_local", name="sessions", is_active="on")
    assert '<details class="panel steps" open>' in page
    assert "The next two steps" in text_of(page)
    assert "curl http://localhost/api/v2/sessions -H" in text_of(page)
    (link,) = re.findall(r'href="/console(/new-key\?service=sessions)"', page)
    form = person.page(link)
    assert "<option selected>sessions</option>" in form
    for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        assert f'value="{verb}" checked' in form
    assert 'value="FLUSH" checked' not in form
    later = person.page("/service/sessions")
    assert '<details class="panel steps">' in later
    assert "How an application uses it" in text_of(later)


def test_a_key_for_no_service_has_the_usual_form(person: Person) -> None:
    assert '<option value="*" selected>' in person.page("/new-key?service=none")
    # A service has one name here.
    assert "<option selected>cache</option>" in person.page("/new-key?service=local")
