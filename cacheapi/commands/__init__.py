"""The program ``cacheapi``: to serve, to look into caches, and to find out what is wrong.

It reads the settings that the service reads and works on the same caches, services and
API keys, whether a service runs or not.
"""
