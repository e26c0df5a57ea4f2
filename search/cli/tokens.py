"""The commands of tokens, by which people and programs use the archive over the network."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.options import ArchiveOption, JsonOption, open_archive, print_json

token_app = typer.Typer(help="Tokens for the REST interface: one for each person or program.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(token_app, name="token")


@token_app.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    archive: ArchiveOption = None,
    scope: Annotated[str, typer.Option(help="read, or write: to change the archive, too.")] = "read",
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. It is not kept and cannot be shown again."""
    from filmroom.db.writes import tokens

    if scope not in tuple(tokens.Scope):
        raise BadInput("not a scope", where=scope, fix="Use read or write.")
    made = tokens.add(open_archive(archive).catalog, name, tokens.Scope(scope))
    if as_json:
        print_json({"name": name, "scope": scope, "token": made})
    else:
        typer.echo(made)
        typer.echo(f"Keep it now: it is shown once. Send it as: Authorization: Bearer {made[:12]}...", err=True)


@token_app.command("list")
def token_list(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Who has a token, and what it allows."""
    from filmroom.db.writes import tokens

    found = tokens.listed(open_archive(archive).catalog)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        made = time.strftime("%Y-%m-%d", time.localtime(one.created_at))
        typer.echo(f"{one.name}: {one.scope}, made {made}{', revoked' if one.revoked_at else ''}")
    if not found:
        typer.echo("There is no token.")


@token_app.command("revoke")
def token_revoke(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a token at once."""
    from filmroom.db.writes import tokens

    tokens.revoke(open_archive(archive).catalog, name)
    print_json({"name": name, "revoked": True}) if as_json else typer.echo(f"{name} is revoked.")
