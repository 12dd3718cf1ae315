"""``flame-flwr data freeze``, ``drop`` and what ``list --node`` shows: a node's frozen data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flame_flwr.cli.node_option import NodeFolder, with_path
from flame_flwr.cli.say import say
from flame_flwr.cli.tables import print_table
from flame_flwr.errors import ConfigError
from flame_flwr.text.shown_text import shown_text
from flame_flwr.text.sizes import shown_size

if TYPE_CHECKING:
    from flame_flwr.config import NodeSettings
    from flame_flwr.data.frozen_store import FrozenStore

__all__ = ["register", "show_frozen"]


def register(commands: typer.Typer) -> None:
    """Add the commands to a group."""
    commands.command()(freeze)
    commands.command()(drop)


def freeze(
    dataset: Annotated[str, typer.Argument(help="a dataset's name in the node's registry")],
    query: Annotated[
        list[str] | None, typer.Argument(help="what the analysis asks for; all files without it")
    ] = None,
    project: Annotated[str, typer.Option(help="the project that gets it")] = "",
    name: Annotated[
        str, typer.Option(help="as runs name it with `freeze`; else for those that name none")
    ] = "",
    node: NodeFolder = Path(),
) -> None:
    """Keep what a dataset gives now, for a study that reads it from then on."""
    from flwr.app import Context, RecordDict

    from flame_flwr.data.configured import STUDY
    from flame_flwr.data.frozen_source import FrozenSource
    from flame_flwr.data.open_data import open_dataset
    from flame_flwr.data.registry import read_registry

    if not project:
        raise typer.BadParameter("say --project, as the study's approval names it")
    settings, store = _store(node)
    found = [each for each in read_registry(Path(settings.datasets)) if each.name == dataset]
    if not found or not found[0].allows(project):
        raise ConfigError(f"the node's registry has no dataset {dataset!r} for {project!r}")
    context = Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config={})
    source = open_dataset(found[0], dataset, context)
    kind = found[0].type
    frozen = FrozenSource(
        source, kind, store, project, name or STUDY, dataset, subject=found[0].subject
    )
    say(shown_text(frozen.frozen(kind, query or []).words(), 2000))


def drop(
    digest: Annotated[str, typer.Argument(help="first digits of its HMAC, as the list has them")],
    node: NodeFolder = Path(),
) -> None:
    """Remove frozen data."""
    _, store = _store(node)
    found = [each for each in store.all() if digest and each[1].hmac.startswith(digest.lower())]
    if len(found) != 1:
        raise ConfigError(
            f"{'several' if found else 'none'} of the frozen data has an HMAC that begins so: "
            "`flame-flwr data list --node FOLDER` lists it"
        )
    store.drop(*found[0])
    say(f"removed: {shown_text(found[0][1].words(), 2000)}")


def show_frozen(node: Path) -> None:
    """Print what a node has frozen, the oldest first, within 80 columns."""
    settings, store = _store(node)
    rows = [
        [
            manifest.hmac[:8],
            shown_text(manifest.dataset),
            shown_text(manifest.project),
            shown_text(manifest.name),
            time.strftime("%Y-%m-%d", time.gmtime(manifest.time + settings.freeze_days * 86400)),
            *("" if each is None else f"{each:,}" for each in (manifest.rows, manifest.people)),
            shown_size(manifest.nbytes),
        ]
        for _, manifest in store.all()
    ]
    if not rows:
        say("nothing is frozen")
        return
    titles = ("HMAC", "dataset", "project", "name", "until", "rows", "people", "size")
    numbers, whole = ("rows", "people", "size"), ("HMAC", "until")
    print_table(titles, rows, numbers=numbers, whole=whole)


def _store(node: Path) -> tuple[NodeSettings, FrozenStore]:
    from flame_flwr.data.frozen_store import FROZEN, FrozenStore
    from flame_flwr.node.node_folder import check_user

    settings, state_dir = with_path(node, "state-dir")
    check_user(state_dir / FROZEN)
    return settings, FrozenStore.of(settings)
