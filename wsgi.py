"""The WSGI application, for ``gunicorn wsgi:app``."""

from cacheapi import create_app

app = create_app()
