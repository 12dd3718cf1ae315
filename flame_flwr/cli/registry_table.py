"""Prints a registry for ``flame-flwr data list`` and ``flame-flwr data check``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flame_flwr.cli.tables import print_table
from flame_flwr.data.credentials import shown
from flame_flwr.errors import FlameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.data.registry import Dataset

__all__ = ["show_datasets", "try_datasets"]

_CREDENTIALS = ("key-id", "secret", "token", "user", "password")


def show_datasets(datasets: Sequence[Dataset]) -> None:
    """Print a registry as a table; credentials are shown as the references that they are.

    Parameters
    ----------
    datasets : sequence of Dataset
        In this order.
    """
    rows = []
    for dataset in datasets:
        references = (
            f"{key}: {shown(dataset.options[key])}"
            for key in _CREDENTIALS
            if key in dataset.options
        )
        endpoint = dataset.options.get("endpoint")
        cells = [
            dataset.name,
            dataset.type,
            ", ".join(dataset.tags),
            ", ".join(dataset.projects),
            dataset.disclosure,
            f"{dataset.url} on {endpoint}" if endpoint else dataset.url,
            ", ".join(references),
        ]
        rows.append(cells)
    titles = ("name", "type", "tags", "projects", "disclosure", "where", "credentials")
    print_table(titles, rows, is_wide=True)


def try_datasets(datasets: Sequence[Dataset]) -> bool:
    """Try every dataset's source as a run's beginning does, and print what came of it.

    Returns
    -------
    bool
        Whether all of them answered.
    """
    rows = [[dataset.name, *_try(dataset)] for dataset in datasets]
    titles = ("name", "answers", "seconds", "what is wrong")
    print_table(titles, rows, is_wide=True)
    return all(answers == "yes" for _, answers, *_ in rows)


def _try(dataset: Dataset) -> tuple[str, str, str]:
    from flwr.app import Context, RecordDict

    from flame_flwr.data.open_data import check_dataset

    context = Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config={})
    started = time.monotonic()
    try:
        advice = check_dataset(dataset, dataset.name, context)
    except FlameError as error:
        return "no", f"{time.monotonic() - started:.1f}", str(error)
    return "yes", f"{time.monotonic() - started:.1f}", advice
