"""Lists of what administrators make: the page that is asked for, and items that are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cacheapi.registry import listing
from cacheapi.registry.listing import Page, Wanted
from cacheapi.web.errors import ApiError
from cacheapi.web.query import Query


def page_wanted(query: Query) -> Wanted:
    """Return which page of a list is asked for.

    :raises ApiError: 400; there is no such page.
    """
    limit = query.integer("limit", 1, listing.MOST, listing.USUAL)
    return Wanted(limit, query.text("cursor"), query.text("search") or "")


def page_shown(page: Page[Any], shown: Any) -> dict[str, Any]:
    """Return the body of a page of which all items are shown."""
    return {"resource": shown, "meta": {"next": page.following, "count": page.count}}


def body_items(document: Any) -> list[Mapping[str, Any]]:
    """Return the items of a body, ``{"resource": […]}`` or one bare item.

    :raises ApiError: 400; it is neither.
    """
    items = document
    if isinstance(document, dict):
        items = document.get("resource", [document])
        if "resource" in document and len(document) > 1:
            raise ApiError(400, "Beside resource the body may have no other member.")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ApiError(400, 'The body must be {"resource": [{…}, …]}.')
    if not items:
        raise ApiError(400, "resource is empty: there is nothing to make.")
    return items
