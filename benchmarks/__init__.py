"""How fast the service is, beside others that do the same, on this machine and in this hour."""
