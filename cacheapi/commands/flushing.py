"""``cacheapi flush``: every key of a service gone."""

from __future__ import annotations

import click

from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, is_interactive, note
from cacheapi.commands.session import emptied, sharing
from cacheapi.registry import contents


@click.command()
@of_service
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def flush(name: str, yes: bool, as_json: bool) -> None:
    r"""Delete every key of a service, or all that is stored of one in front of an HTTP API.

    Asks first; where nobody can be asked, it needs --yes. Which services share its keys is
    told on stderr before.

    \b
    Examples:
      cacheapi flush
      cacheapi flush --service sessions --yes
    """
    # Imported only here: it brings what serves such a service.
    from cacheapi.commands.answers import Answers

    with emptied(name) as (target, author):
        answers = isinstance(target, Answers)
        what = f"{'all that is stored of the answers' if answers else 'every key'} of {target.name}"
        if not yes and not is_interactive():
            raise Failure("Nobody can be asked here; say --yes to flush.", Exit.USAGE)
        if not isinstance(target, Answers):
            for warning in sharing(target):
                note(f"Service '{target.name}' {warning.removeprefix('It ')}")
        if not yes:
            click.confirm(f"Delete {what} ({target.type})?", abort=True, err=True)
        if isinstance(target, Answers):
            # The API notes the same.
            contents.purge(target, (), author)
        else:
            contents.flush(target, author)
    if as_json:
        emit({"success": True})
    else:
        note(f"Deleted {what}.")
