"""The description of the API, ``openapi.json``, made from its views and schemas."""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api

from cacheapi.web.auth import HEADER, PARAMETER
from cacheapi.web.examples import OurOperations
from cacheapi.web.schemas.errors import ErrorSchema


class _Api(Api):  # type: ignore[misc]
    """flask-smorest with the one shape of an error."""

    ERROR_SCHEMA = ErrorSchema


def describe(app: Flask, version: str, base: str = "") -> Api:
    """Begin the description of an application of a version; blueprints are registered with it.

    :param base: the path that it is mounted under.
    """
    app.config.update(
        API_TITLE="cacheapi",
        API_VERSION=version,
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/api/v2/docs",
        OPENAPI_JSON_PATH="openapi.json",
    )
    schemes = {
        "apiKey": {"type": "apiKey", "in": "header", "name": HEADER},
        "apiKeyParameter": {"type": "apiKey", "in": "query", "name": PARAMETER},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    return _Api(
        app,
        spec_kwargs={
            "extra_plugins": [OurOperations()],
            "info": {"description": "A cache over HTTP: JSON values under keys."},
            "components": {"securitySchemes": schemes},
            "security": [{name: []} for name in schemes],
            **({"servers": [{"url": base}]} if base else {}),
        },
    )
