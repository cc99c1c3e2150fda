"""Cache backends: bytes under keys, and nothing of HTTP or JSON."""
