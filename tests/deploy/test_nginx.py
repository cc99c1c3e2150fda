"""The nginx site: a real nginx with TLS in front of a live service."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from cacheapi.serving.head import MAX_TARGET
from cacheapi.settings import CORE
from tests.deploy.site import SITE, Nginx
from tests.http.client import Answer
from tests.http.live.test_load import Load
from tests.support.certificates import Certificates
from tests.support.live import CACHE
from tests.support.processes import REPOSITORY, Service, eventually, service
from tests.support.tools import run, tool

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service"), WEB_CONCURRENCY="1") as started:
        yield started


@contextlib.contextmanager
def site(
    directory: Path, certificates: Certificates, upstream: int, **changes: str
) -> Iterator[Nginx]:
    started = Nginx(directory, certificates, upstream, **changes)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def nginx(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, live: Service
) -> Iterator[Nginx]:
    with site(tmp_path_factory.mktemp("nginx"), certificates, live.port) as started:
        yield started


class Client:
    """A client that trusts the authority of the tests and keeps its connection."""

    def __init__(self, port: int, certificates: Certificates) -> None:
        context = ssl.create_default_context(cafile=str(certificates.authority))
        self.http = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)

    def call(self, method: str, target: str, body: Any = None, **fields: str) -> Answer:
        headers = {"X-DreamFactory-API-Key": Service.api_key}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        data = body
        if body is not None and not isinstance(body, bytes):
            data, headers["Content-Type"] = json.dumps(body), "application/json"
        # What is refused need not be read to its end.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.http.request(method, target, data, headers)
        answer = self.http.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


@pytest.fixture
def client(nginx: Nginx, certificates: Certificates) -> Iterator[Client]:
    made = Client(nginx.port, certificates)
    with contextlib.closing(made.http):
        yield made


def test_nginx_finds_no_fault_with_it(nginx: Nginx) -> None:
    checked = nginx.check()
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr


def test_its_limit_of_bodies_is_the_default_of_the_service() -> None:
    (megabytes,) = [option.default for option in CORE if option.variable == "CACHEAPI_MAX_BODY_MB"]
    assert f"client_max_body_size {megabytes}m;" in SITE


def test_values_are_stored_read_and_deleted_over_one_connection(client: Client) -> None:
    assert client.call("POST", CACHE, {"key": "k", "value": {"n": 1}}).status == 201
    opened = client.http.sock
    read = client.call("GET", f"{CACHE}/k")
    assert read.json == {"key": "k", "value": {"n": 1}}
    assert (
        client.call("PUT", f"{CACHE}/k", {"value": 2}, If_Match=read.headers["ETag"]).status == 200
    )
    assert (
        client.call("PUT", f"{CACHE}/k", {"value": 3}, If_Match=read.headers["ETag"]).status == 412
    )
    tag = client.call("GET", f"{CACHE}/k", Accept_Encoding="gzip").headers["ETag"]
    assert not tag.startswith("W/")
    assert client.call("GET", f"{CACHE}/k", If_None_Match=tag).status == 304
    assert client.call("DELETE", f"{CACHE}/k").status == 200
    assert client.call("GET", f"{CACHE}/k").message == "Key 'k' does not exist."
    assert client.http.sock is opened


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("a%2Fb", "a/b"),
        ("a/b", "a/b"),
        ("a//b", "a//b"),
        ("a/./b", "a/./b"),
        ("a/../b", "a/../b"),
        ("..", ".."),
        ("%2e%2E", ".."),
        ("a%252Fb", "a%2Fb"),
        ("%20%25%3F%23+", " %?#+"),
        (quote("größe"), "größe"),
        ("k" * 1024, "k" * 1024),
        ("%6b" * 1024, "k" * 1024),
    ],
)
def test_a_key_arrives_as_it_was_sent(client: Client, target: str, key: str) -> None:
    stored = client.call("POST", f"{CACHE}/{target}", {"value": key})
    assert (stored.status, stored.json["key"]) == (201, key)
    assert client.call("GET", f"{CACHE}/{target}").json == {"key": key, "value": key}
    assert client.call("GET", f"{CACHE}?key={quote(key, safe='')}").json["meta"]["missing"] == []
    assert client.call("DELETE", f"{CACHE}/{target}").status == 200


def test_a_target_that_climbs_over_the_root_is_refused_and_has_another_way(client: Client) -> None:
    climbs = "../" * 9
    assert client.call("GET", f"{CACHE}/{climbs}").message == "The request is not valid."
    assert client.call("GET", f"{CACHE}?key={climbs}").json["meta"]["missing"] == [climbs]


def test_a_value_of_almost_the_largest_body_passes(client: Client) -> None:
    value = "v" * 8_300_000
    assert client.call("POST", CACHE, {"key": "large", "value": value}).status == 201
    assert client.call("GET", f"{CACHE}/large").json["value"] == value


def test_a_body_that_is_announced_too_large_is_413(client: Client) -> None:
    client.http.putrequest("POST", CACHE)
    client.http.putheader("Content-Length", str(8 * 1024 * 1024 + 1))
    client.http.endheaders()
    answer = client.http.getresponse()
    answered = Answer(answer.status, answer.headers, answer.read())
    assert (answered.status, answered.message) == (413, "The body is larger than is allowed.")


@pytest.mark.parametrize("length", [MAX_TARGET + 1, 100_000])
def test_a_target_that_is_too_long_is_414(client: Client, length: int) -> None:
    target = f"{CACHE}/".ljust(length, "k")
    answer = client.call("GET", target)
    assert (answer.status, answer.error["code"]) == (414, 414)
    client.http.close()
    assert client.call("GET", target[: MAX_TARGET - 1]).status == 400


def test_a_head_that_is_too_large_is_431(client: Client) -> None:
    answer = client.call("GET", f"{CACHE}/k", X_Filler="f" * 100_000)
    assert (answer.status, answer.message) == (431, "The request's head is too large.")


def test_without_a_key_it_is_401_and_what_is_no_https_is_refused(
    client: Client, nginx: Nginx
) -> None:
    client.http.request("GET", f"{CACHE}/k")
    answer = client.http.getresponse()
    assert (answer.status, "WWW-Authenticate" in answer.headers) == (401, True)
    answer.read()
    plain = http.client.HTTPConnection("127.0.0.1", nginx.plain_port, timeout=20)
    with contextlib.closing(plain):
        plain.request("GET", f"{CACHE}/k?api_key={Service.api_key}")
        told = plain.getresponse()
        refusal = Answer(told.status, told.headers, told.read())
    assert refusal.status == 403
    assert "https" in refusal.message
    assert "Location" not in refusal.headers


@pytest.mark.parametrize(
    ("version", "taken"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]
)
def test_old_tls_is_refused(nginx: Nginx, version: str, taken: bool) -> None:
    address = f"127.0.0.1:{nginx.port}"
    said = run(
        *(tool("openssl"), "s_client", "-connect", address, version),
        *("-cipher", "ALL:@SECLEVEL=0"),
        input="",
    )
    assert (said.returncode == 0) is taken, said.stderr
    assert ("alert protocol version" in said.stderr) is not taken


class Echo(threading.Thread):
    """An upstream that keeps the head of each request that it is asked."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.heads: list[str] = []
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, connection.makefile("rb") as stream:
                    lines = list(iter(stream.readline, b"\r\n"))
                    self.heads.append(b"".join(lines).decode())
                    connection.sendall(b"HTTP/1.1 204 Here\r\nConnection: close\r\n\r\n")


FORGED = {
    "X_Forwarded_For": "198.51.100.7",
    "X_Real_IP": "198.51.100.7",
    "X_Forwarded_Proto": "gopher",
    "X_Forwarded_Host": "evil.example",
    "X_Forwarded_Prefix": "/evil",
    "Forwarded": "for=198.51.100.7;host=evil.example",
    "X_Script_Name": "/evil",
}


def test_a_client_cannot_say_what_only_a_proxy_may(
    tmp_path: Path, certificates: Certificates, client: Client
) -> None:
    echo = Echo()
    with contextlib.closing(echo.listener), site(tmp_path, certificates, echo.port) as nginx:
        asking = Client(nginx.port, certificates)
        with contextlib.closing(asking.http):
            answer = asking.call("GET", f"{CACHE}/a%2Fb//c/../d?x=%20", **FORGED, Script_Name="/x")
            assert answer.status == 204
    (head,) = echo.heads
    line, *fields = head.splitlines()
    assert line == f"GET {CACHE}/a%2Fb//c/../d?x=%20 HTTP/1.1"
    said = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    assert said["x-forwarded-for"] == said["x-real-ip"] == "127.0.0.1"
    assert said["x-forwarded-proto"] == "https"
    assert said["host"] == f"127.0.0.1:{nginx.port}"
    assert not {"forwarded", "x-forwarded-host", "connection"} & set(said)
    # And what nginx lets through, the service believes no more.
    page = client.call("GET", "/api/v2/", **FORGED)
    assert (page.status, "evil" in page.body.decode()) == (200, False)


def test_the_console_is_signed_into_with_a_cookie_for_https_alone(client: Client) -> None:
    page = client.call("GET", "/console/sign-in")
    assert page.status == 200
    (token,) = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page.body.decode())
    cookie = page.headers["Set-Cookie"]
    assert "; Secure" in cookie
    # A browser's form says where it comes from.
    form = urlencode({"csrf_token": token, "key": Service.api_key}).encode()
    signed_in = client.call(
        *("POST", "/console/sign-in", form),
        Cookie=cookie.partition(";")[0],
        Content_Type="application/x-www-form-urlencoded",
        Referer=f"https://127.0.0.1:{client.http.port}/console/sign-in",
        Origin=f"https://127.0.0.1:{client.http.port}",
    )
    assert signed_in.status in (302, 303), signed_in
    assert signed_in.headers["Location"].startswith("/console")
    assert "; Secure" in signed_in.headers["Set-Cookie"]


LIMIT = {"rate=1000r/s": "rate=1r/m", "burst=2000": "burst=3"}


def statuses(certificates: Certificates, port: int, addresses: list[str]) -> list[int]:
    client = Client(port, certificates)
    with contextlib.closing(client.http):
        return [
            client.call("GET", f"{CACHE}/k", X_Forwarded_For=address).status
            for address in addresses
        ]


def test_the_rate_of_an_address_is_limited_and_no_header_evades_it(
    tmp_path: Path, certificates: Certificates, live: Service
) -> None:
    with site(tmp_path, certificates, live.port, **LIMIT) as nginx:
        addresses = [f"198.51.100.{number}" for number in range(8)]
        assert statuses(certificates, nginx.port, addresses) == [404] * 4 + [429] * 4
        client = Client(nginx.port, certificates)
        with contextlib.closing(client.http):
            answer = client.call("GET", f"{CACHE}/k?api_key={Service.api_key}")
        assert answer.message == "Too many requests."
        assert answer.headers["Retry-After"] == "1"
        assert Service.api_key not in nginx.logs()


def test_behind_a_balancer_each_client_has_its_own_rate(
    tmp_path: Path, certificates: Certificates, live: Service
) -> None:
    trusting = {
        "# set_real_ip_from 10.0.0.0/8;": "set_real_ip_from 127.0.0.0/8;",
        "# real_ip_header": "real_ip_header",
        "# real_ip_recursive": "real_ip_recursive",
    }
    with site(tmp_path, certificates, live.port, **LIMIT, **trusting) as nginx:
        one, other = "198.51.100.1", "198.51.100.2"
        assert statuses(certificates, nginx.port, [one] * 5) == [404] * 4 + [429]
        # What the client itself says stands before what the balancer adds.
        evading = [f"203.0.113.{number}, {other}" for number in range(5)]
        assert statuses(certificates, nginx.port, evading) == [404] * 4 + [429]


def test_a_service_that_is_not_there_is_a_502_in_the_one_shape(
    tmp_path: Path, certificates: Certificates
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()[1]
    with site(tmp_path, certificates, nobody) as nginx:
        client = Client(nginx.port, certificates)
        with contextlib.closing(client.http):
            answer = client.call("GET", f"{CACHE}/k?api_key={Service.api_key}")
        assert (answer.status, answer.message) == (502, "The service is not running.")
        assert answer.headers["Retry-After"] == "5"
        eventually(lambda: f"GET {CACHE} 502" in nginx.logs(), 30)
        assert Service.api_key not in nginx.logs()


def test_reloads_of_the_service_under_load_fail_no_request(
    tmp_path: Path, certificates: Certificates
) -> None:
    # Without TLS, and with more than the load sends.
    open_site = {" ssl;": ";", "rate=1000r/s": "rate=100000r/s"}
    with (
        service(tmp_path / "service", WEB_CONCURRENCY="2") as live,
        site(tmp_path / "nginx", certificates, live.port, **open_site) as nginx,
    ):
        load = Load(nginx.port)
        with load.running():
            for _ in range(3):
                before = set(live.workers())
                os.kill(live.process.pid, signal.SIGHUP)
                eventually(
                    lambda old=before: len(now := set(live.workers())) == 2 and not now & old, 60
                )
                eventually(load.grows(100), 60)
        assert load.failures == []
        load.assert_nothing_was_lost(nginx.port)


def test_its_log_has_no_key_of_the_cache_or_of_the_api(client: Client, nginx: Nginx) -> None:
    client.call("GET", f"{CACHE}/planted-key?api_key={Service.api_key}")
    client.call("GET", f"{CACHE}?keys=planted-key")
    client.call("GET", f"/planted%0akey/{Service.api_key}")
    eventually(lambda: nginx.logs().count(f"GET {CACHE} 404") >= 1, 30)
    assert not re.search(rf"planted-key|{Service.api_key}", nginx.logs())


def test_connections_to_the_service_are_kept_and_left_before_it_ends_them(
    tmp_path: Path, certificates: Certificates
) -> None:
    """One connection serves requests of many clients, and nginx closes it first."""
    served: list[int] = []
    ended: list[int] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                served.append(0)
                with connection, connection.makefile("rb") as stream:
                    for line in stream:
                        if line == b"\r\n":
                            served[-1] += 1
                            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    ended.append(served[-1])

    quick = {"keepalive_timeout 10s;": "keepalive_timeout 2s;"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        with site(tmp_path, certificates, port, **quick) as nginx:
            client = Client(nginx.port, certificates)
            with contextlib.closing(client.http):
                for _ in range(20):
                    assert client.call("GET", f"{CACHE}/k").status == 200
            eventually(lambda: len(ended) == len(served), 60)
    # One, unless the machine was so busy that it was idle for two seconds in between.
    assert sum(served) == 20
    assert len(served) < 5


def test_nginx_leaves_idle_connections_before_the_service_does(live: Service) -> None:
    (kept,) = re.findall(r"keepalive_timeout (\d+)s;", SITE)
    configuration = (REPOSITORY / "cacheapi" / "serving" / "gunicorn_conf.py").read_text()
    (service_keeps,) = re.findall(r"^keepalive = (\d+)$", configuration, re.MULTILINE)
    assert int(kept) < int(service_keeps)
