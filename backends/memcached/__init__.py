"""memcached: one server or a weighted pool with failover.

What belongs here speaks memcached's protocol or uses pylibmc; nothing else does.
"""
