"""Redis and what speaks as it: one server, Sentinel, Cluster.

What belongs here speaks Redis's protocol or uses redis-py; ``scripts`` run in the server.
"""
