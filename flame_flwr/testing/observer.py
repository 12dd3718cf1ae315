"""Observes user code at work: which method runs, what it does to its data, what it answers.

It lives in a process made for one run and wraps the user's classes there for good. What it sees
goes into findings; it changes no result. Data and working directory are compared before and after
a method.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.testing.compare import difference
from flame_flwr.testing.findings import Finding, Severity
from flame_flwr.testing.row_level_data import RowsAndAxes

if TYPE_CHECKING:
    from flame_flwr.testing.working_folder import WorkingFolder

__all__ = ["At", "Observer"]

_METHODS = (
    "__init__",
    "analysis_method",
    "evaluation_method",
    "aggregation_method",
    "has_converged",
    "final_method",
)

_ROUNDS_COMPARED = 3
"""In how many rounds data and working directory are compared before and after."""

_NO_ROWS = (
    "Return sums, counts, values of flame_flwr.statistics or a model's parameters: nothing per "
    "row. Where it is as long by chance, as one coefficient per feature may be, give splits of "
    "other sizes"
)


class At(NamedTuple):
    """The place of user code: a method of a class, on a participant, in a round."""

    class_name: str
    method: str
    node: str
    round: int

    def __str__(self) -> str:
        """Return the participant and the round."""
        return f"{self.node}, round {self.round}" if self.round else f"{self.node}, at the start"

    @property
    def analyzes(self) -> bool:
        """Whether it runs on a node, and not on the server."""
        return self.node != AGGREGATOR_ID


class Observer:
    """Observes the user code of one process.

    Parameters
    ----------
    notify : callable
        Called with every call of a user's method, so that a run that hangs has said where.
    folder : WorkingFolder, optional
        The working directory, where it is the check's own.
    iterative : bool
        Whether what ``has_converged`` says matters.

    Attributes
    ----------
    last, failed : At or None
        The user's method that was called last, and the first that raised.
    missing : str
        The file below the working directory that this one has not found, where that is why.
    """

    def __init__(
        self,
        notify: Callable[[At], object],
        folder: WorkingFolder | None = None,
        *,
        iterative: bool,
    ) -> None:
        self.findings: list[Finding] = []
        self.last: At | None = None
        self.failed: At | None = None
        self.missing = ""
        self.node, self.round = AGGREGATOR_ID, 0
        self._notify = notify
        self._folder = folder
        self._iterative = iterative
        self._inside: list[At] = []
        self._rows = RowsAndAxes()

    @property
    def inside(self) -> At | None:
        """The user's method under way."""
        return self._inside[-1] if self._inside else None

    def wrap(self, *classes: type[Any] | None) -> None:
        """Wrap the methods of a user's classes."""
        for cls in classes:
            for name in _METHODS:
                if cls is not None and callable(getattr(cls, name, None)):
                    setattr(cls, name, self._wrapped(getattr(cls, name), name))

    def report(
        self, check: str, at: At, seen: str, mend: str, severity: Severity = "error"
    ) -> None:
        """Keep a finding; of one kind and severity in one method, the first."""
        finding = Finding(check, at.class_name, at.method, seen, mend, severity)
        known = {(f.check, f.class_name, f.method, f.severity) for f in self.findings}
        # a loop over rounds and nodes would say the same a hundred times
        if (check, *at[:2], severity) not in known:
            self.findings.append(finding)

    def _wrapped(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(instance: Any, *args: Any, **kwargs: Any) -> Any:
            node = getattr(instance, "id", self.node)
            number = self.round or getattr(instance, "num_iterations", -1) + 1
            at = At(type(instance).__name__, name, node, number)
            with self._within(at), self._same_folder(at):
                if name == "analysis_method" and args:
                    self._rows.note_data(at.node, args[0])
                    with self._same_data(at, args[0]):
                        value = method(instance, *args, **kwargs)
                    self._note_leaving(at, value, getattr(instance, "flame", None))
                    return value
                value = method(instance, *args, **kwargs)
                if name == "evaluation_method":
                    self._note_leaving(at, value)
            return self._answer(at, value) if name == "has_converged" else value

        return call

    def look_for_rows(self) -> None:
        """Report what has left nodes and has an entry per row of their data."""
        for found in self._rows.found():
            self.report("rows", found.at, found.text, _NO_ROWS)

    def _note_leaving(self, at: At, value: Any, flame: Any = None) -> None:
        """Keep the axes of a value that leaves, and of the metrics reported beside it."""
        self._rows.note_value(at, value)
        metrics = getattr(flame, "_metrics", None)
        if metrics:
            self._rows.note_value(at._replace(method="report_metrics"), metrics)

    @contextmanager
    def _within(self, at: At) -> Iterator[None]:
        self.last = at
        self._notify(at)
        self._inside.append(at)
        try:
            yield
        except BaseException as error:
            if self.failed is None:
                self.failed = at
                self.missing = self._folder.missing_file(error) if self._folder else ""
            raise
        finally:
            self._inside.pop()

    @contextmanager
    def _same_folder(self, at: At) -> Iterator[None]:
        """Compare the working directory, and what is in it, before and after a method."""
        folder = self._folder
        # scores are asked for once, whatever the round
        if folder is None or (at.round > _ROUNDS_COMPARED and at.method != "evaluation_method"):
            yield
            return
        here, before = os.getcwd(), folder.entries()
        yield
        written = folder.written_since(before) if at.analyzes else []
        if written:
            self.report(
                "folder",
                at,
                f"it writes {written[0]!r} relative to the working directory ({at}). On Flower "
                "this file is gone when the round ends",
                "Keep the content as an attribute of self, or return it",
                "warning",
            )
        self._check_move(at, here, folder)

    def _check_move(self, at: At, before: str, folder: WorkingFolder) -> None:
        now = os.getcwd()
        if now == before:
            return
        away = folder.is_users(now)
        known = ", a folder of this machine" if away else ""
        self.report(
            "folder",
            at,
            f"it changes the working directory to {now}{known} ({at}). Whatever runs after it in "
            "this process is there too",
            "Leave it as it is, and make paths absolute: Path(__file__).parent / ...",
            "error" if away else "warning",
        )

    @contextmanager
    def _same_data(self, at: At, data: Any) -> Iterator[None]:
        """Compare an analyzer's data before and after, where it can be copied."""
        before: Any = None
        watched = at.round <= _ROUNDS_COMPARED and data is not None
        if watched:
            try:
                before = copy.deepcopy(data)
            except Exception:  # what cannot be copied cannot be compared
                watched = False
        yield
        found = difference(before, data, 0.0, path="data") if watched else ""
        if found:
            self.report(
                "data",
                at,
                f"it changes its data, before and after: {found} ({at}). In one process the next "
                "round sees the change, on Flower it may not",
                "Work on a copy, or keep what you make as an attribute of self",
                "warning",
            )

    def _answer(self, at: At, value: Any) -> Any:
        """Look at what ``has_converged`` returned; return what the loop goes on with."""
        if isinstance(value, bool | np.bool_) or not self._iterative:
            return value
        if value is None:
            self.report(
                "converges", at, f"it returned None ({at})", "Return True or False in every case"
            )
        elif hasattr(value, "__array__"):
            shape = tuple(getattr(value, "shape", ()))
            self.report(
                "converges",
                at,
                f"it returned an array ({type(value).__name__} of shape {shape}; {at}), which is "
                "neither true nor false",
                "Make one answer of it: `bool((change < tolerance).all())`, or compare a norm",
            )
            return bool(np.all(np.asarray(value)))
        return value
