"""A check to be done, and how it gets to the processes that do it.

It is written to a file: classes by the names and files they are found under, everything else as
a pickle.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pickle
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle

from flame_flwr.config import RUN_KEYS
from flame_flwr.errors import ModelError, text_of
from flame_flwr.testing.references import Reference, import_from
from flame_flwr.testing.subjects import AppSource, ClassSource, ScriptSource
from flame_flwr.user_code.paths import is_user_code

__all__ = ["BEGUN", "GRACE", "CheckSpec", "Settings"]

GRACE = 15.0
"""Seconds for imports and for the end, beyond what a check has for its runs."""

BEGUN = "begun"
"""The file in a check's folder that is touched when the import has ended, and by each process."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one run is done.

    Attributes
    ----------
    order : tuple of int
        The nodes' order in the analysis: numbers of the splits.
    arrival : tuple of int, optional
        The order in which nodes are called, where it is another one.
    apart : bool
        Whether every message to a node has a process of its own.
    rounds : int or None
        Stop after so many, without evaluation and final method.
    share : float
        Stop likewise when such a share of the check's time has passed, but not before the third
        round has ended.
    twice : bool
        Whether the run is one after another in the same process.
    masked : bool
        Whether secure sums are masked, as they are declared.
    """

    order: tuple[int, ...]
    arrival: tuple[int, ...] | None = None
    apart: bool = False
    rounds: int | None = None
    share: float = math.inf
    twice: bool = False
    masked: bool = False


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check to be done.

    Attributes
    ----------
    source : ClassSource, ScriptSource or AppSource
        What is checked.
    homes : list of str
        The user's folders: the working directory's first.
    max_rounds, seconds, tolerance, skip
        As for :func:`flame_flwr.testing.check_analysis`.
    """

    source: ClassSource | ScriptSource | AppSource
    homes: list[str]
    max_rounds: int
    seconds: float
    tolerance: float
    skip: Collection[str] = field(default_factory=frozenset)

    @property
    def limit(self) -> int:
        """Rounds after which a run on Flower fails, unless it is told otherwise."""
        return max(self.max_rounds, int(RUN_KEYS["max-rounds"].default))

    def write(self, path: Path) -> None:
        """Write the spec for other processes.

        Raises
        ------
        ModelError
            Something in it cannot be handed to another process.
        """
        try:
            source = _referring(self.source)
            spec = cloudpickle.dumps(dataclasses.replace(self, source=source))
            again = "repeats" not in self.skip
            content = pickle.dumps((self.homes, again, _files_of(self.source), spec))
        except Exception as error:
            raise ModelError(
                "data_splits, analyzer_kwargs or aggregator_kwargs cannot be handed to the "
                "processes of the check: give values that can be pickled",
                detail=f"{type(error).__name__}: {text_of(error)}",
            ) from error
        path.write_bytes(content)

    @staticmethod
    def head_of(path: Path) -> tuple[list[Path], bool]:
        """Return the user's folders of a written spec, and whether it wants a second run.

        Nothing of the user's is imported for that.
        """
        homes, again, _, _ = pickle.loads(path.read_bytes())  # noqa: S301  (this check's own file)
        return [Path(home) for home in homes], again

    @classmethod
    def read(cls, path: Path) -> CheckSpec:
        """Read a spec, after the modules of its classes were imported from their files."""
        _, _, files, content = pickle.loads(path.read_bytes())  # noqa: S301
        for name, file in files:
            import_from(name, file)
        spec: CheckSpec = pickle.loads(content)  # noqa: S301
        return spec


def _referring(source: Any) -> Any:
    """Return a source whose classes are named, where a new process can find them by name."""
    if not isinstance(source, ClassSource):
        return source
    to = Reference.to
    arguments = {**source.arguments, "client": to(source.arguments.get("client"))}
    return dataclasses.replace(
        source,
        analyzer=to(source.analyzer),
        aggregator=to(source.aggregator),
        arguments=arguments,
    )


def _files_of(source: Any) -> list[tuple[str, str]]:
    """Return the modules of the classes of a source, with the files to import them from."""
    found: dict[str, str] = {}
    client = getattr(source, "arguments", {}).get("client")
    for part in (getattr(source, "analyzer", None), getattr(source, "aggregator", None), client):
        classes = (
            [part] if isinstance(part, type) else [type(part), getattr(part, "aggregator", None)]
        )
        for base in (base for cls in classes for base in getattr(cls, "__mro__", ())):
            file = getattr(sys.modules.get(base.__module__), "__file__", None) or ""
            if os.path.isfile(file) and is_user_code(os.path.abspath(file)):
                found[base.__module__] = os.path.abspath(file)
    return list(found.items())
