"""What an analysis hands to a node's gate beside a result: what it declares, as text and numbers.

Its process runs the analyst's code. So what arrives from there is read here, once, as a stranger's:
the built-in rules and filters as the text that a node's config would have, all else as numbers and
short names. The classes of rules and filters that an app brings have acted in that process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.errors import ConfigError, FlameError, PayloadError
from flame_flwr.privacy.budget import Mechanism
from flame_flwr.privacy.config_text import (
    is_built_in,
    read_declared_filters,
    read_declared_rules,
    write_text,
)
from flame_flwr.privacy.evidence import Evidence

if TYPE_CHECKING:
    from flame_flwr.privacy.disclosure_rule import DisclosureRule
    from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["Study", "built_in_rules", "of_strict_node", "own_rules", "split_filters"]

_LONGEST = 16_000_000
_MOST = 100
_LONGEST_TEXT = 200
_MOST_STRICT, _LONGEST_STRICT = 10, 300


@dataclass(frozen=True, slots=True)
class Study:
    """What an analysis declares, and what of it has been done before a result came to the gate.

    Parameters
    ----------
    rules : tuple of DisclosureRule
        Built-in ones, which the gate applies with the node's.
    filters : tuple of UpdateFilter
        Built-in ones, which the gate applies before the node's.
    acted : tuple of dict
        Of the filters that have acted before these: what each says of itself, as
        :meth:`flame_flwr.privacy.filter_chain.FilterChain.report` gives it.
    own_rules : tuple of str
        The names of the app's own rules, which have acted.
    allow_pickle : bool
        Whether a pickle may be in a result.
    evidence : Evidence
        How much data there is behind the result.
    secure : bool
        Whether results may leave masked only.
    sums : mapping of str to mapping
        How statistics of the app's own classes add up, as
        :func:`flame_flwr.statistics.additive.own_sums` gives it.

    Examples
    --------
    >>> from flame_flwr.privacy import MinCount
    >>> study = Study(rules=(MinCount(5),))
    >>> Study.from_bytes(study.to_bytes()) == study
    True
    """

    rules: tuple[DisclosureRule, ...] = ()
    filters: tuple[UpdateFilter, ...] = ()
    acted: tuple[Mapping[str, Any], ...] = ()
    own_rules: tuple[str, ...] = ()
    allow_pickle: bool = False
    evidence: Evidence = field(default_factory=Evidence)
    secure: bool = False
    sums: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return it as the bytes that go to the gate."""
        said = {
            "rules": write_text(self.rules),
            "filters": write_text(self.filters),
            "acted": self.acted,
            "own_rules": self.own_rules,
            "allow_pickle": self.allow_pickle,
            "secure": self.secure,
            "sums": self.sums,
            "evidence": self.evidence.to_json(),
        }
        return json.dumps(said).encode()

    @classmethod
    def from_bytes(cls, data: object) -> Self:
        """Read what the process of an analysis has handed over.

        Raises
        ------
        ConfigError, PayloadError
            It is not of this form, or too long.
        """
        if not isinstance(data, bytes) or len(data) > _LONGEST:  # before anything is parsed
            raise PayloadError(_UNREADABLE)
        return cls._read(data)

    @classmethod
    @lru_cache(maxsize=4)  # in most rounds every node of a simulation says the same
    def _read(cls, data: bytes) -> Self:
        try:
            said = json.loads(data)
            return cls(
                rules=read_declared_rules(_text(said["rules"])),
                filters=read_declared_filters(_text(said["filters"])),
                acted=tuple(map(_report, _listed(said["acted"]))),
                own_rules=tuple(map(_name, _listed(said["own_rules"]))),
                allow_pickle=said["allow_pickle"] is True,
                secure=said["secure"] is True,
                sums={str(name): dict(each) for name, each in said["sums"].items()},
                evidence=Evidence.from_json(said["evidence"]),
            )
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, FlameError):
                raise
            raise PayloadError(_UNREADABLE, detail=type(error).__name__) from error

    def of_strict_node(self) -> Self:
        """Return it as a strict node takes it: of the app's own filters with name and budget only.

        An app can write what it likes into names and parameters, and they leave with every answer.

        Raises
        ------
        ConfigError
            It has more rules and filters, or longer names, than may be there.
        """
        names = (*self.own_rules, *(said["filter"] for said in self.acted))
        if (
            len(self.own_rules) > _MOST_STRICT
            or len(self.acted) + len(self.filters) > _MOST_STRICT
            or sum(map(len, names)) > _LONGEST_STRICT
        ):
            raise ConfigError(
                f"this node is strict: an analysis may have {_MOST_STRICT} rules of its own and "
                f"{_MOST_STRICT} filters, and the names of its own classes of these may have "
                f"{_LONGEST_STRICT} letters together"
            )
        return replace(self, acted=tuple(map(of_strict_node, self.acted)))


def of_strict_node(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a filter of an analysis says of itself at a strict node: name and budget.

    Parameters
    ----------
    said : mapping
        As :meth:`flame_flwr.privacy.filter_chain.FilterChain.report` gives it.
    """
    mechanism = Mechanism.from_json(said["mechanism"])
    return {
        "filter": said["filter"],
        "by": said["by"],
        "applied": said["applied"],
        "mechanism": None if mechanism is None else mechanism.rounded().to_json(),
    }


def built_in_rules(declared: Sequence[DisclosureRule]) -> tuple[DisclosureRule, ...]:
    """Return the rules that the gate applies: those that a text can name."""
    return tuple(rule for rule in declared if is_built_in(rule))


def own_rules(declared: Sequence[DisclosureRule]) -> tuple[DisclosureRule, ...]:
    """Return the rules of an app's own classes, which act before the gate."""
    return tuple(rule for rule in declared if not is_built_in(rule))


def split_filters(
    declared: Sequence[UpdateFilter],
) -> tuple[tuple[UpdateFilter, ...], tuple[UpdateFilter, ...]]:
    """Return the filters that act before the gate, and those that the gate applies.

    They act in their order, so everything up to the last of an app's own is before the gate.
    """
    own = [place for place, each in enumerate(declared) if not is_built_in(each)]
    first = own[-1] + 1 if own else 0
    return tuple(declared[:first]), tuple(declared[first:])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise ValueError("no list, or a long one")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.isidentifier() or len(value) > _LONGEST_TEXT:
        raise ValueError("no name")
    return value


def _report(said: Any) -> dict[str, Any]:
    """Read what a filter of the app's own says of itself: its name and its parameters."""
    # What it says of its own cost is believed: approval of its code is what there is against lies.
    mechanism = Mechanism.from_json(said.get("mechanism"))
    known = ("filter", "by", "applied", "mechanism")
    parameters = {_name(key): _parameter(said[key]) for key in said if key not in known}
    if len(parameters) > _MOST:
        raise ValueError("too many parameters")
    return {
        "filter": _name(said["filter"]),
        **parameters,
        "by": "analysis",  # whoever it says it is of
        "applied": said["applied"] is True,
        "mechanism": None if mechanism is None else mechanism.to_json(),
    }


def _parameter(value: Any) -> Any:
    """Return a filter's parameter where it is numbers or short texts; ``None`` of anything else."""
    if isinstance(value, list):
        return [_parameter(item) for item in value[:_MOST]]
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT and value.isprintable() else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int) else None


_UNREADABLE = (
    "what the analysis hands to this node's gate cannot be read: the node answers analyses of its "
    "own version of flame-flwr only"
)
