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
