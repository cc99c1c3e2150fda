"""An independent suite of HTTP caching, run against a live service in front of its own origin."""
