"""No part of a request chooses host, port or scheme, and no path leaves the base."""

from __future__ import annotations

import pytest

from cacheapi.responses.addresses import BadAddress, kept_query, parse_base

MOUNT = "/api/v2/shop"


@pytest.mark.parametrize(
    ("text", "authority", "path"),
    [
        ("http://shop.example", "shop.example", ""),
        ("http://shop.example:80/", "shop.example", ""),
        ("https://shop.example:8443/v1/", "shop.example:8443", "/v1"),
        ("http://[::1]:9000/a%2fb", "[::1]:9000", "/a%2Fb"),
    ],
)
def test_a_base_is_read_from_a_url(text: str, authority: str, path: str) -> None:
    base = parse_base(text)
    assert (base.authority, base.path) == (authority, path)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "shop.example",
            "ftp://shop.example",
            "http://",
            "http:///path",
            "file:///etc/passwd",
        ),
        *("http://user:word@shop.example", "http://shop.example?a=1", "http://shop.example#a"),
        *("http://shop.example:99999", "http://shop.example:0", "http://shop exa", "http://[::1"),
        *("http://shop.example/a/../b", "http://shop.example/%2e%2e"),
    ],
)
def test_a_base_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_base(text)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"", "/v1"),
        (b"/", "/v1/"),
        (b"/items/1", "/v1/items/1"),
        (b"/%41%7e%2f%3a", "/v1/A~%2F%3A"),
        ("/grün".encode(), "/v1/gr%C3%BCn"),
        (b"/a//b/", "/v1/a//b/"),
        (b"/a%2Fb", "/v1/a%2Fb"),
        (b"/...", "/v1/..."),
        (b"/a..b", "/v1/a..b"),
        (b"/a b", "/v1/a%20b"),
    ],
)
def test_a_path_is_written_in_one_way(path: bytes, target: str) -> None:
    assert parse_base("http://shop.example/v1").target(path, b"") == target


@pytest.mark.parametrize(
    "path",
    [
        *(b"/..", b"/../admin", b"/a/../../admin", b"/./a", b"/a/.", b"/%2e%2e/admin"),
        *(b"/.%2e/admin", b"/%2E./admin", b"/%252e%252e/admin", b"/%25252e%25252e/x"),
        *(b"/..%2fadmin", b"/..%5cadmin", b"/..\\admin", b"/%2e%2e%2fadmin", b"/a%2f..%2f..%2fx"),
        *(b"/..;/admin", b"/..;a=b/admin", b"/%2e%2e%3b/admin", b"/a%00", b"/a%0d%0aX:1"),
        *(b"/a%250d%250a", b"/%", b"/%4", b"/%zz", b"//evil.example/", b"/%2525252525252e"),
    ],
)
def test_a_path_that_leaves_the_base_is_refused(path: bytes) -> None:
    for base in ("http://shop.example/v1", "http://shop.example"):
        with pytest.raises(BadAddress):
            parse_base(base).target(path, b"")


def test_a_query_is_written_in_one_way() -> None:
    base = parse_base("http://shop.example/v1")
    assert base.target(b"/a", b"q=%41+b&r=http://x/../y") == "/v1/a?q=A+b&r=http://x/../y"
    with pytest.raises(BadAddress):
        base.target(b"/a", b"q=%4")
    with pytest.raises(BadAddress):
        base.target(b"/a", b"q" * 20_000)


@pytest.mark.parametrize(
    ("location", "mounted"),
    [
        ("http://shop.example/v1/b?c=1#d", f"{MOUNT}/b?c=1#d"),
        ("HTTP://SHOP.example:80/v1/b", f"{MOUNT}/b"),
        ("//shop.example/v1/b", f"{MOUNT}/b"),
        ("/v1", MOUNT),
        ("/v1/b", f"{MOUNT}/b"),
        ("b", f"{MOUNT}/items/b"),
        ("?page=2", f"{MOUNT}/items/1?page=2"),
        ("/v10/b", "http://shop.example/v10/b"),
        ("/login", "http://shop.example/login"),
        ("../../login", "http://shop.example/login"),
        ("https://shop.example/v1/b", "https://shop.example/v1/b"),
        ("http://shop.example:81/v1/b", "http://shop.example:81/v1/b"),
        ("http://other.example/v1/b", "http://other.example/v1/b"),
        ("http://[oops", "http://[oops"),
    ],
)
def test_a_redirect_into_the_base_points_to_the_service(location: str, mounted: str) -> None:
    base = parse_base("http://shop.example/v1")
    assert base.mounted(location, "/v1/items/1", MOUNT) == mounted


def test_parameters_that_do_not_count_are_not_sent() -> None:
    query = b"b=2&utm_source=x&a=1&UTM=1&b=1&utm%5Fmedium=y&api_key=k"
    kept = kept_query(query, without=["utm_*", "api_key"], is_sorted=False)
    assert kept == b"b=2&a=1&UTM=1&b=1"
    assert kept_query(kept, without=[], is_sorted=True) == b"UTM=1&a=1&b=2&b=1"
    assert kept_query(query, without=[], is_sorted=False) == query
