"""What the doctor looks at: the settings, the machine, each service, each of its servers.

Every look has an end: a server that hangs costs its time limit, and all are asked at once.
"""
