"""``python -m cacheapi``: the commands, where the program ``cacheapi`` is not installed."""

from cacheapi.commands.main import cacheapi

if __name__ == "__main__":
    cacheapi(prog_name="cacheapi")
