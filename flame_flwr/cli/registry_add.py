"""``flame-flwr data add``: one more dataset in a node's registry, without an editor."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, Any

import typer

from flame_flwr.cli.say import say
from flame_flwr.errors import ConfigError
from flame_flwr.files import reason_of, write_whole
from flame_flwr.text.shown_text import shown_text

__all__ = ["add"]


def add(
    name: Annotated[str, typer.Option(help="what the hospital calls the dataset")],
    path: Annotated[
        str,
        typer.Option(
            help="where it is: a folder, s3://bucket/prefix, fhir+https://server/base or a "
            "database's URL, without a password in it"
        ),
    ],
    tags: Annotated[list[str], typer.Option(help="what analyses find it by; repeatable, or a,b")],
    project: Annotated[
        list[str], typer.Option(help="who may use it, by project-id; repeatable; '*' is everybody")
    ],
    registry: Annotated[
        Path | None, typer.Argument(help="`datasets` of the node's config: a datasets.toml")
    ] = None,
    data_type: Annotated[
        str, typer.Option("--data-type", help="files: s3; searches: fhir; tables: sql")
    ] = "s3",
    node: Annotated[
        Path | None, typer.Option("--node", help="a node's folder, in place of the registry")
    ] = None,
    disclosure: Annotated[str, typer.Option(help="rules for what leaves: MinCount(5)")] = "",
    subject: Annotated[str, typer.Option(help="the column that says whom a row is about")] = "",
    freeze: Annotated[bool, typer.Option("--freeze", help="read once for a study")] = False,
    credential: Annotated[
        list[str] | None,
        typer.Option(help="such as token=env:NAME or secret=file:/path; repeatable"),
    ] = None,
) -> None:
    """Add a dataset to a node's registry, and try whether it answers."""
    from flame_flwr.cli.registry_table import try_datasets
    from flame_flwr.data.registry import read_registry, with_dataset

    if (registry is None) == (node is None):
        raise typer.BadParameter("name a registry, or say --node FOLDER")
    file = registry if registry is not None else _registry_of(node or Path())
    entry: dict[str, Any] = {
        "name": name,
        "tags": [tag.strip() for each in tags for tag in each.split(",")],
        "type": data_type,
        "url": path if "://" in path else os.path.abspath(Path(path).expanduser()),
        "projects": project,
        **({"disclosure": disclosure} if disclosure else {}),
        **({"subject": subject} if subject else {}),
        **({"freeze": True} if freeze else {}),
        **dict(map(_credential, credential or [])),
    }
    text = with_dataset(file, entry)
    # The file keeps its mode: a node of another user may read it by its group.
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o640
    try:
        write_whole(file, [text], mode)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {reason_of(error)}") from error
    say(f"added to {shown_text(str(file), 500)}: {shown_text(name, 200)}")
    if not try_datasets([read_registry(file)[-1]]):
        say("it is in the registry, and does not answer yet: mend it, then `flame-flwr data check`")
        raise typer.Exit(1)


def _registry_of(node: Path) -> Path:
    from flame_flwr.node.node_folder import node_settings

    named = node_settings(node).datasets
    if not named:
        raise ConfigError(
            "this node's config has no `datasets`: give it the path of a registry, such as "
            "datasets.toml in its folder, in place of `data`"
        )
    return Path(named)


def _credential(text: str) -> tuple[str, dict[str, str]]:
    """Take apart ``token=env:NAME``."""
    key, _, reference = text.partition("=")
    kind, colon, where = reference.partition(":")
    if not (key and colon and where) or kind not in ("env", "file"):
        raise ConfigError(
            "--credential says where a credential is, such as token=env:FHIR_TOKEN or "
            "secret=file:/etc/flame-flwr/store.secret, and never the credential itself"
        )
    return key, {kind: where}
