"""Clients of Python's: python.py CLIENT PORT put|get, prints JSON; run with what it imports."""

import json
import sys

_, client, port, verb = sys.argv
address = ("127.0.0.1", int(port))
SAMPLES = {
    "'hello'": "hello",
    "'42'": "42",
    "b'x'": b"x",
    "42": 42,
    "1.5": 1.5,
    "True": True,
    "None": None,
    "{'a': 1}": {"a": 1},
    "3000 x": "x" * 3000,
}
if client.startswith("pymemcache"):
    from pymemcache import serde
    from pymemcache.client.base import Client

    kinds = {"pymemcache": None, "pymemcache pickle": serde.pickle_serde}
    kinds["pymemcache compressed"] = serde.compressed_serde
    cache = Client(address, serde=kinds[client])
elif client == "pylibmc":
    import pylibmc

    cache = pylibmc.Client([f"127.0.0.1:{port}"])
elif client.startswith("django"):
    from django.conf import settings

    kinds = {
        "django redis": ("redis.RedisCache", f"redis://127.0.0.1:{port}"),
        "django pymemcache": ("memcached.PyMemcacheCache", f"127.0.0.1:{port}"),
        "django pylibmc": ("memcached.PyLibMCCache", f"127.0.0.1:{port}"),
    }
    backend, place = kinds[client]
    own = {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": place}
    # By default the key k is :1:k.
    own["KEY_FUNCTION"] = lambda key, prefix, version: key
    settings.configure(CACHES={"default": own})
    from django.core.cache import cache
elif client.startswith("flask-caching"):
    from flask import Flask
    from flask_caching import Cache

    kinds = {
        "flask-caching redis": {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_PORT": int(port)},
        "flask-caching memcached": {
            "CACHE_TYPE": "MemcachedCache",
            "CACHE_MEMCACHED_SERVERS": [f"127.0.0.1:{port}"],
        },
    }
    app = Flask("interop")
    cache = Cache(app, config={**kinds[client], "CACHE_KEY_PREFIX": ""})
    app.app_context().push()
elif client.startswith("dogpile"):
    from dogpile.cache import make_region

    if client == "dogpile redis":
        cache = make_region().configure("dogpile.cache.redis", arguments={"port": int(port)})
    else:
        place = {"url": f"127.0.0.1:{port}"}
        cache = make_region().configure("dogpile.cache.pymemcache", arguments=place)
elif client.startswith("aiocache"):
    import asyncio

    from aiocache import Cache as AioCache
    from aiocache.serializers import JsonSerializer

    loop = asyncio.new_event_loop()
    kind = AioCache.REDIS if client == "aiocache redis" else AioCache.MEMCACHED
    own = AioCache(kind, endpoint="127.0.0.1", port=int(port), serializer=JsonSerializer())

    class cache:  # noqa: N801
        get = staticmethod(lambda key: loop.run_until_complete(own.get(key)))
        set = staticmethod(lambda key, value: loop.run_until_complete(own.set(key, value)))

else:
    import libmc

    threshold = 100 if client.endswith("compressed") else 0
    cache = libmc.Client([f"127.0.0.1:{port}"], comp_threshold=threshold)
found = {}
if verb == "put":
    for number, (label, value) in enumerate(SAMPLES.items()):
        try:
            cache.set(f"c{number}", value)
        except Exception as error:
            found[label] = f"{type(error).__name__}: not stored"
            continue
        found[label] = f"c{number}"
else:
    for name in json.loads(sys.stdin.read()):
        try:
            found[name] = repr(cache.get(name))[:40]
        except Exception as error:
            found[name] = f"exception {type(error).__name__}"
print(json.dumps(found))
