"""``flame-flwr provision``: what every party of a federation needs, written into folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.deploy import Federation

__all__ = ["provision"]

File = Annotated[Path | None, typer.Argument(help="a TOML file that says who takes part")]
To = Annotated[
    Path | None, typer.Option(help="the folder; beside the file and called as it otherwise")
]
Add = Annotated[str | None, typer.Option(help="add one hospital to the folder")]
Renew = Annotated[bool, typer.Option("--renew", help="make the server a new certificate")]
Rotate = Annotated[
    str | None, typer.Option(help="make one hospital a new key beside the one it has")
]
Proxy = Annotated[
    str | None,
    typer.Option(
        help="put the server behind a reverse proxy, which closes what Flower leaves open: nginx"
    ),
]
Identities = Annotated[
    Path | None,
    typer.Option(
        help="a folder with NAME.pub of every hospital, as `node identity` writes it: collect "
        "them into each one's peers.toml, for secure sums"
    ),
]
Wheel = Annotated[
    Path | None,
    typer.Option(help="the wheel of flame-flwr for all; of what is installed here otherwise"),
]
Example = Annotated[bool, typer.Option("--example", help="print an example file")]


def provision(
    federation: File = None,
    to: To = None,
    add: Add = None,
    renew: Renew = False,
    rotate: Rotate = None,
    proxy: Proxy = None,
    identities: Identities = None,
    wheel: Wheel = None,
    example: Example = False,
) -> None:
    """Write keys, certificates, start scripts and instructions, a folder for every party."""
    from flame_flwr import deploy

    if example:
        typer.echo(deploy.EXAMPLE, nl=False)
        return
    if federation is None or sum(map(bool, (add, renew, rotate, proxy, identities))) > 1:
        raise typer.BadParameter(
            "name a federation's file, with one of --add, --rotate, --renew, --proxy and "
            "--identities at most"
        )
    parties = deploy.read_federation(federation)
    if proxy:
        parties = deploy.with_proxy(parties, proxy)
    # A folder that is there already has its wheel.
    if wheel or not (add or renew or rotate or identities):
        parties = deploy.with_wheel(parties, wheel)
    folder = to or federation.absolute().with_suffix("")
    for line in _written(parties, folder, add, rotate, identities, renew=renew):
        typer.echo(line)


def _written(
    parties: Federation,
    folder: Path,
    add: str | None,
    rotate: str | None,
    identities: Path | None,
    *,
    renew: bool,
) -> Iterator[str]:
    """Write what was asked for, and yield what there is to say of it."""
    from flame_flwr import deploy

    if add:
        deploy.add_hospital(parties, folder, add)
        yield f"{folder / add} is written, and its key is in {folder / 'server' / 'keys'}"
    elif rotate:
        made, public = deploy.rotate(parties, folder, rotate)
        yield f"{made} is written, for the hospital, and {public}, for the server:"
        yield f"{folder / 'README.md'} says in which order they are used"
    elif identities:
        for path in deploy.collect_identities(parties, folder, identities):
            yield f"{path} is written"
        yield "each hospital says `flame-flwr node peers`, and compares by telephone"
    elif renew:
        yield f"{deploy.renew(parties, folder)} is written"
    else:
        deploy.provision(parties, folder)
        yield f"{folder} is written; {folder / 'README.md'} says who gets what"
