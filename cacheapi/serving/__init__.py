"""How gunicorn serves the application: HTTP, the fast lane for plain reads, Flask for the rest.

:mod:`~cacheapi.serving.worker` is gunicorn's worker class. Its connections speak HTTP as
:mod:`~cacheapi.serving.connection` says, ask :mod:`~cacheapi.serving.lane` first and hand
what it leaves to :mod:`~cacheapi.serving.wsgi`.
"""
