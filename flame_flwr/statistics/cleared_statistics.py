"""Which statistics may be packed: while a node's rules are at work, only those they have seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from flame_flwr.payload.wire_format import RefusedError

__all__ = ["check_cleared", "only_cleared"]


@contextmanager
def only_cleared(cleared: Iterable[object]) -> Iterator[None]:
    """Refuse to pack any statistic but these, which the node's rules have looked at."""
    token = _CLEARED.set(frozenset(map(id, cleared)))
    try:
        yield
    finally:
        _CLEARED.reset(token)


_CLEARED: ContextVar[frozenset[int] | None] = ContextVar("cleared statistics", default=None)


def check_cleared(value: object) -> None:
    """Refuse to pack a statistic that the rules have not looked at."""
    cleared = _CLEARED.get()
    if cleared is not None and id(value) not in cleared:
        raise RefusedError(
            value,
            "The disclosure rules of this node do not see it where it is: return it in a dict, a "
            "list or a tuple",
        )
