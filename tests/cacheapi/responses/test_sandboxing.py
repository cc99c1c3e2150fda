"""Which answers a browser may make a page of."""

from __future__ import annotations

import pytest

from backends.base import Backend
from cacheapi.responses.sandboxing import is_inert
from tests.cacheapi.responses.running import get, run, running
from tests.support.origin import Origin, reply


@pytest.mark.parametrize(
    ("types", "inert"),
    [
        (["text/plain"], True),
        (["Text/Plain; charset=utf-8"], True),
        (["application/json"], True),
        (["application/problem+json ;charset=utf-8"], True),
        (["application/vnd.api+json"], True),
        ([], False),
        ([""], False),
        (["text/html"], False),
        (["image/svg+xml"], False),
        (["application/xhtml+xml"], False),
        (["text/plain, text/html"], False),
        (["text/plain;a=b, text/html"], False),
        (["text/plain", "text/html"], False),
        (["text/plainer"], False),
        (["multipart/x-mixed-replace; boundary=application/json"], False),
    ],
)
def test_text_and_json_are_no_page(types: list[str], inert: bool) -> None:
    assert is_inert(tuple(("content-type", one) for one in types)) is inert


def test_a_page_is_sandboxed_beside_the_policy_that_it_has(cache: Backend, origin: Origin) -> None:
    own = "default-src 'self'"
    for path, content_type, policies in (
        ("/page", "text/html", [own, "sandbox"]),
        ("/text", "text/plain", [own]),
    ):
        fields = {"Content-Type": content_type, "Content-Security-Policy": own}
        fields |= {"Cache-Control": "max-age=60", "ETag": '"a"'}
        origin.on(path, reply(200, fields, "a"))

        async def ask(path: str = path) -> list[tuple[int, list[str]]]:
            async with running(cache, origin.url) as engine:
                outs = [await get(engine, path) for _ in range(2)]
                # A browser that has the page takes the policy of a 304 for the page's.
                outs.append(await get(engine, path, if_none_match='"a"'))
            return [(out.status, out.all("content-security-policy")) for out in outs]

        assert run(ask()) == [(200, policies), (200, policies), (304, policies)]
