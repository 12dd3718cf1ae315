"""What a case of advice is, and what runs the analyses of them."""

from __future__ import annotations

import linecache
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from flwr.serverapp.strategy import FedAdam

from flame_flwr import aggregation, privacy
from flame_flwr.data.expect import Column
from flame_flwr.star import (
    StarAggregator,
    StarAnalyzer,
    StarModelTester,
)

Attempt = Callable[[str | None], Any]


@dataclass(frozen=True)
class Case:
    """A mistake, where its message gives advice, and what happens when it is followed.

    Parameters
    ----------
    name : str
        Of the case.
    pattern : str
        Finds the advice in the message; its group is the code to run. The same pattern finds it in
        the sources, where what is filled in stands as ``{...}``.
    attempt : callable
        Gets the code, or ``None`` for the mistake itself.
    """

    name: str
    pattern: str
    attempt: Attempt

    def found(self, message: str) -> str | None:
        """Return the code in a message, in one line."""
        match = re.search(self.pattern, " ".join(message.split()))
        return match[1] if match else None


NAMES = {name: getattr(home, name) for home in (aggregation, privacy) for name in home.__all__}
NAMES |= {"numpy": np, "pandas": pd, "zoneinfo": zoneinfo, "FedAdam": FedAdam, "Column": Column}


def arguments(code: str | None) -> dict[str, Any]:
    """Return keyword arguments that are written as in a call."""
    return eval(f"dict({code})", NAMES) if code else {}


def value_of(code: str | None, default: Any, **names: Any) -> Any:
    """Return what code comes to; the default without any."""
    return eval(code, {**NAMES, **names}) if code else default


class Echo(StarAnalyzer):
    """Returns its data."""

    def analysis_method(self, data: Any, aggregator_results: Any) -> Any:
        return data


class First(StarAggregator):
    """Hands on the first result, for so many rounds."""

    def aggregation_method(self, analysis_results: list[Any]) -> Any:
        return analysis_results[0]

    def has_converged(self, result: Any, last_result: Any) -> bool:
        return self.num_iterations >= 2


def run(values: list[Any], server: Any = First, analyzer: Any = Echo, **more: Any) -> Any:
    """Run an analysis on these splits and return its result."""
    more.setdefault("data_type", "s3")
    return StarModelTester(values, analyzer, server, quiet=True, **more).result


def method(name: str, parameters: str, body: str) -> Any:
    """Return a method of this source."""
    made: dict[str, Any] = {}
    source = f"def {name}({parameters}):\n    {body}\n"
    file = f"<method {len(linecache.cache)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), made)
    return made[name]


def with_method(cls: type[Any], name: str, parameters: str, body: str) -> type[Any]:
    return type("Changed", (cls,), {name: method(name, parameters, body)})
