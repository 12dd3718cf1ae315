"""Turns ``--data`` and ``--nodes`` into one data location per node of a script's run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.data.local_paths import is_function, locations_of
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.data.source import SourceData

__all__ = ["PARTITION", "absolute_locations", "node_locations", "open_sources"]

PARTITION = "{partition-id}"
"""What stands for a node's number in a location."""


def node_locations(data_type: str, data: Sequence[str], nodes: int | None) -> list[str]:
    """Return what each node reads, one location per node, with absolute paths.

    Raises
    ------
    ConfigError
        `data` and `nodes` do not fit together, or the model needs what is not there.
    """
    if nodes is not None and nodes < 1:
        raise ConfigError(f"--nodes must be at least 1, not {nodes}")
    if data_type == "none":
        if not (nodes or data):
            raise ConfigError("the model has data_type 'none': say how many nodes with --nodes N")
        if data:
            logger.warning("--data is not read: the model has data_type 'none'")
        return [""] * (nodes or len(data))
    if not data:
        raise ConfigError(
            "StarModel(...) needs data: --data FOLDER once per node, or one --data with "
            f"{PARTITION} in it and --nodes N"
        )
    places = [_absolute(location) for location in data]
    has_function = any(map(is_function, places[0].split(";")))
    # a function is asked for each node's data, with its number
    shared = len(places) == 1 and (PARTITION in places[0] or has_function)
    if nodes is None and len(places) == 1 and PARTITION in places[0]:
        raise ConfigError(f"--data has {PARTITION} in it: say how many nodes with --nodes N")
    if nodes is None or nodes == len(places):
        return places
    if not shared:
        raise ConfigError(
            f"--nodes {nodes} and {len(places)} --data do not fit: give one --data per node, or a "
            f"single one with {PARTITION} in it"
        )
    return places * nodes


def open_sources(locations: Sequence[str]) -> list[SourceData | None]:
    """Return every node's data, after a look that it is there; ``None`` where there is none.

    Raises
    ------
    ConfigError, DataError
        A source is missing, empty or of an unknown kind; a note says which node's.
    """
    from flwr.app import Context, RecordDict

    from flame_flwr.data import open_data

    sources: list[SourceData | None] = []
    for i, location in enumerate(locations):
        # A function of the user's is called as on a node, and may ask which one it is.
        context = Context(
            run_id=0,
            node_id=i + 1,
            node_config={"partition-id": i, "num-partitions": len(locations)},
            state=RecordDict(),
            run_config={},
        )
        try:
            source = open_data(location, context, option="--data") if location else None
            if source is not None:
                source.check()
        except (ConfigError, DataError) as error:
            error.add_note(f"in node-{i}, --data {location.replace(PARTITION, str(i))}")
            raise
        sources.append(source)
    return sources


def absolute_locations(data: str | Sequence[str]) -> list[str]:
    """Return what the nodes read as the user named it, with absolute paths.

    Before any user code runs: a script may leave the working directory.

    Raises
    ------
    ConfigError
        A location is empty.
    """
    return [_absolute(location) for location in ([data] if isinstance(data, str) else data)]


def _absolute(location: str) -> str:
    parts = locations_of(location)
    if not parts:
        raise ConfigError("--data is empty: it takes a folder, or module:function")
    return ";".join(
        part if "://" in part or is_function(part) else os.path.abspath(Path(part).expanduser())
        for part in parts
    )
