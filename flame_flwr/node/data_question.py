"""What the process of a message may ask its node for data, checked whole before anything is done.

The process has run foreign code. A question names a data source by its number in the node's own
config, so that no place can be asked for that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from flame_flwr.data.source import DataKind
from flame_flwr.node.wire import FrameRefusedError

__all__ = ["KINDS", "NOT_HAD", "DataQuestion"]

NOT_HAD = "it asked its node for data that it may not have"
"""What is told of a question that the node's own config does not answer."""

KINDS = get_args(DataKind)
_MOST_KEYS, _MOST_TEXT = 100_000, 100_000


@dataclass(frozen=True)
class DataQuestion:
    """A question, checked. Which keys, searches and addresses may be, the source says.

    Parameters
    ----------
    what : {'sources', 'check', 'read', 'get'}
        What is asked: which sources there are, whether one can be read, to read it, or a request to
        a FHIR server.
    opened : {'s3', 'fhir', 'sql'}
        The type of analysis that the node opens its sources for.
    source : int
        Which of these, from 1.
    kind, keys
        As a source's ``check`` and ``read`` take them.
    url, headers
        Of a request.
    """

    what: str
    opened: DataKind
    source: int = 0
    kind: DataKind = "s3"
    keys: tuple[str, ...] = ()
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, question: Mapping[str, Any]) -> DataQuestion:
        """Read a question.

        Raises
        ------
        FrameRefusedError
            It is none.
        """
        what = question.get("ask")
        fields = _FIELDS.get(what) if isinstance(what, str) else None
        if fields is None or question.keys() != {"ask", *fields}:
            raise FrameRefusedError(NOT_HAD, "a question that the node does not know")
        if not all(_CHECKS[name](question[name]) for name in fields):
            raise FrameRefusedError(
                NOT_HAD, f"a question for {what!r} with something that cannot be"
            )
        values = {name: question[name] for name in fields}
        for name in values.keys() & {"keys", "headers"}:
            values[name] = tuple(map(_frozen, values[name]))
        return cls(str(what), **values)


def _is_kind(value: object) -> bool:
    return value in KINDS


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_KEYS and all(map(_is_text, value))


def _is_pairs(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_KEYS
        and all(_is_texts(pair) and len(pair) == 2 for pair in value)
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_FIELDS = {
    "sources": ("opened",),
    "check": ("opened", "source", "kind", "keys"),
    "read": ("opened", "source", "kind", "keys"),
    "get": ("opened", "source", "url", "headers"),
}

_CHECKS = {
    "opened": _is_kind,
    "kind": _is_kind,
    "source": lambda value: type(value) is int and 0 < value < 2**31,  # True would be the first
    "keys": _is_texts,
    "url": _is_text,
    "headers": _is_pairs,
}
