"""Programs that share a cache with this service: real clients, as their users have them."""
