"""The packages of the extra ``regression``, imported when a study is built or run."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flame_flwr.errors import ModelError

__all__ = ["formulaic", "statsmodels_families"]


def formulaic() -> Any:
    """Return formulaic.

    Raises
    ------
    ModelError
        It is not installed.
    """
    return _package("formulaic")


def statsmodels_families() -> Any:
    """Return statsmodels' families of distributions.

    Raises
    ------
    ModelError
        It is not installed.
    """
    return _package("statsmodels.genmod.families")


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(
            f"a regression needs {name.partition('.')[0]}, which is not installed here: "
            "pip install 'flame-flwr[regression]', on every node and on the server"
        ) from error
