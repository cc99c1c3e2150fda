"""How ``gunicorn wsgi:app`` serves a checkout: as ``cacheapi serve`` does.

Each line, with its reason, is in ``cacheapi/serving/gunicorn_conf.py``. It is run, and not
imported: on HUP gunicorn reads this file again, and then the settings are read again too.
"""

import runpy

_served = runpy.run_module("cacheapi.serving.gunicorn_conf")
globals().update({name: _served[name] for name in _served if not name.startswith("__")})
