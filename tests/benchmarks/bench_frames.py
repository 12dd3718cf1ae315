"""The way of one value: from the analyzer's `return` to the aggregator's argument, frame by frame.

One node, one round, a value with a text in it that nothing else has. Of every function of the
framework that is left between the analyzer's `return` and the aggregator's call it is asked whether
it has passed the value on, in whatever form it then is: the value, a payload, a record, a message.
A function has done so, and is listed, if it

- was under way when the analyzer returned, above the function that takes the replies: the value
  goes up through it;
- returned or yielded it: what encodes, packs, parses and decodes;
- has stored it in its own object, such as an aggregation's `add`;
- is under way when the aggregator is called, above the function that takes the replies, or is that.

Functions that only look at it (for the record, for tables) are none of these. What `encode` and
`decode` do within themselves depends on the value, so each counts as one. Over messages, Flower's
functions do not count, and neither do those of `LocalGrid`, which stands in their place.

Why none of those over messages is one too many: `analyze`, `aggregate`, `fit` and `add` are what
users call or override, and Flower's client gives arrays (`to_arrays`) that travel as bytes
(`npy_bytes`). The gate trusts no reply: it reads the records, looks at the value, makes the records
anew, and answers with a failure in their place where it must. The server reads a record in two
steps, as the size that it notes is that of the payload between them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import flame_flwr
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

MARK = "the value that is followed"
ROOT = Path(flame_flwr.__file__).resolve().parent
ALSO = [ROOT.parent / "strategies", ROOT.parent / "clients"]
GATE = 5
"""Functions of a node's gate, which takes every reply apart and makes it anew."""
IN_PROCESS, OVER_MESSAGES = 12, 16 + GATE
"""At most so many functions."""

_FLOWERS = ("local_grid.py", "process_grid.py")
"""Where the functions that others call to encode and decode are; what they call does not count."""


class Analyzer(StarAnalyzer):
    """Returns the value."""

    def analysis_method(self, data, aggregator_results):
        return {"text": MARK}


class Aggregator(StarAggregator):
    """Gets the value."""

    def aggregation_method(self, analysis_results):
        assert analysis_results == [{"text": MARK}]

    def has_converged(self, result, last_result):
        return True


def in_process() -> list[str]:
    """Return the functions on the value's way in this process."""
    return followed(lambda: StarModelTester([None], Analyzer, Aggregator, "none", quiet=True))


def over_messages() -> list[str]:
    """Return those on its way over Flower's messages."""
    from flame_flwr.clients import NodePlan
    from flame_flwr.clients.local_grid import LocalGrid
    from flame_flwr.strategies import StarStrategy

    def run() -> None:
        with LocalGrid(NodePlan(Analyzer), [None]) as grid:
            StarStrategy(Aggregator).start(grid)

    return followed(run)


def followed(run: Callable[[], object]) -> list[str]:
    """Run an analysis and return the functions that passed the value on, in order."""
    way = _Way()
    run()  # what is imported and kept for later runs is there by now
    sys.setprofile(way)
    try:
        run()
    finally:
        sys.setprofile(None)
    return way.names()


@dataclass
class _Way:
    """Looks on while an analysis runs, and keeps what has passed the value on."""

    passed: list[FrameType] = field(default_factory=list)
    up: list[FrameType] = field(default_factory=list)
    down: list[FrameType] = field(default_factory=list)
    held: dict[FrameType, bool] = field(default_factory=dict)
    """Whether a method's object has had the value in it when the method was called."""
    state: str = "before"

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """Take a call or a return, as ``sys.setprofile`` gives them."""
        name = frame.f_code.co_name
        if event == "return" and name == "analysis_method":
            self.state, self.up = "on its way", _stack(frame)
        elif event == "call" and name == "aggregation_method" and self.state == "on its way":
            self.state, self.down = "there", _stack(frame)
        elif self.state == "on its way" and _counts(frame):
            mine = frame.f_locals.get("self")
            if event == "call":
                self.held.setdefault(frame, holds(mine))
            elif event == "return" and (
                holds(arg) or (not self.held.get(frame, True) and holds(mine))
            ):
                self.passed.append(frame)

    def names(self) -> list[str]:
        """Return the functions, each once, in the order in which the value reached them."""
        shared = [frame for frame in self.down if frame in self.up]
        turn = shared[0]  # innermost first
        ups = self.up[: self.up.index(turn)]
        downs = self.down[: self.down.index(turn)]
        frames = [
            *(f for f in self.passed if f not in downs and f is not turn),
            turn,
            *reversed(downs),
        ]
        frames += [f for f in ups if f not in frames]
        listed = dict.fromkeys(frames)
        return [_name(frame) for frame in listed if _counts(frame)]


def holds(value: Any, depth: int = 16, seen: set[int] | None = None) -> bool:
    """Tell whether the value is in there, in whatever form."""
    if isinstance(value, str):
        return MARK in value
    if isinstance(value, bytes):
        return MARK.encode() in value
    if isinstance(value, np.ndarray):
        return MARK.encode() in value.tobytes()
    seen = set() if seen is None else seen  # what is reached by many ways is looked at once
    if not depth or isinstance(value, type) or id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, dict):
        return any(holds(part, depth - 1, seen) for part in list(value.values()))
    if isinstance(value, list | tuple | set):
        return any(holds(part, depth - 1, seen) for part in value)
    slots = [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
    parts = [*slots, *getattr(value, "__dict__", {}).values()]
    return any(holds(part, depth - 1, seen) for part in parts)


def _stack(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _counts(frame: FrameType) -> bool:
    """Tell whether a frame is the framework's own and no detail of encoding."""
    place = Path(frame.f_code.co_filename).resolve()
    if not any(place.is_relative_to(root) for root in (ROOT, *ALSO)) or place.name in _FLOWERS:
        return False
    caller = frame.f_back
    inside = caller is not None and "payload" in Path(caller.f_code.co_filename).parts
    return not ("payload" in place.parts and inside)


def _name(frame: FrameType) -> str:
    place = Path(frame.f_code.co_filename).resolve()
    return f"{place.parent.name}/{place.name}: {frame.f_code.co_qualname}"


def main() -> None:
    """Print both ways."""
    for title, way, most in (
        ("in process", in_process(), IN_PROCESS),
        ("over messages", over_messages(), OVER_MESSAGES),
    ):
        print(f"The way of one value {title}: {len(way)} functions (at most {most})")
        for name in way:
            print(f"  {name}")


if __name__ == "__main__":
    main()
