"""Where services and API keys made over the API are kept: SQLite or PostgreSQL.

:mod:`~cacheapi.registry.database.connecting` connects,
:mod:`~cacheapi.registry.database.migrate` brings the tables up to date,
:mod:`~cacheapi.registry.database.store` reads and writes rows. Nothing here knows what a
service or a key means, and nothing on the way of a cached value comes here.
"""
