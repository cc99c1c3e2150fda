"""What is said of a page of a list, in responses."""

from __future__ import annotations

from marshmallow import Schema, fields


class PageSchema(Schema):
    """Which page comes next, and of how much."""

    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The `cursor` of the next page; `null`: this is the last one."},
    )
    count = fields.Integer(
        required=True, metadata={"description": "How many there are on all pages."}
    )
