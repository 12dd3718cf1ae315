"""Disclosure rules: what of a node's statistics may leave it, decided on the node.

They act on the values of :mod:`flame_flwr.statistics` in a result, and may look at all of it, after
the analyzer has returned it and before anything is sent. They are the node's, in its config, and
the analyst's, declared on the model: of two rules of a kind the stricter holds. They stop
accidents; an analyzer that means harm can put a patient's value into any number.
``docs/disclosure.md`` says what each does not stop.
"""

from __future__ import annotations

import copy
from functools import reduce
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError, PayloadError
from flame_flwr.payload import encode
from flame_flwr.privacy.disclosure_rule import DisclosureRule, Found
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.clearance import only_cleared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flame_flwr.payload import Payload

__all__ = [
    "Disclosure",
    "apply_rules",
    "check_numbers_of",
    "encode_allowed",
    "joint_rules",
]

_MOST_LEVELS = 200


def apply_rules(rules: Sequence[DisclosureRule], result: Any) -> Any:
    """Return a decoded result with its statistics as they may leave, in new containers.

    Parameters
    ----------
    rules : sequence of DisclosureRule
        In the order in which they act, see :func:`joint_rules`.
    result : Any
        It is not changed.

    Raises
    ------
    PayloadError
        A rule refuses it.
    """
    # All may refuse the result as it is before any of them changes it.
    for rule in rules:
        rule.look(_walk(result))
    statistics = _statistics(result)
    for rule in rules:
        rule.screen(result)
    for rule in rules:
        statistics = rule.protect(statistics)
    return _rebuilt(result, iter(statistics))


def joint_rules(*declared: Sequence[DisclosureRule]) -> tuple[DisclosureRule, ...]:
    """Return what several parties declare together, the node first: the stricter holds.

    Kinds that only the others declare act first, so the node has the last word; `MaxBins` and
    `MinCount` act on what the others left. Noise of the others acts last where the node has a
    `MinCount` and no noise: it lets no extreme leave.
    """
    from flame_flwr.privacy.rules import MinCount, NoisyMinMax

    kinds: dict[type[DisclosureRule], list[DisclosureRule]] = {}
    for rule in (rule for rules in declared for rule in rules):
        kinds.setdefault(type(rule), []).append(rule)
    joint = [reduce(lambda one, two: one.stricter(two), alike) for alike in kinds.values()]
    own = declared[0] if declared else ()
    late = any(isinstance(rule, MinCount) for rule in own) and not any(
        isinstance(rule, NoisyMinMax) for rule in own
    )
    noise = [rule for rule in joint if late and isinstance(rule, NoisyMinMax)]
    return (*_in_order(rule for rule in reversed(joint) if rule not in noise), *noise)


def encode_allowed(allowed: Any, *, allow_pickle: bool) -> Payload:
    """Return what :func:`apply_rules` gave, ready to travel.

    Raises
    ------
    PayloadError
        A statistic is where no rule sees it, such as in a set.
    """
    with only_cleared(_statistics(allowed)):
        return encode(allowed, allow_pickle=allow_pickle)


def check_numbers_of(source: str, rules: Iterable[DisclosureRule]) -> None:
    """Refuse plain numbers beside a result, at which no rule could look.

    Parameters
    ----------
    source : str
        What gives them, such as ``"evaluation_method"``.
    rules : iterable of DisclosureRule
        That hold at the node.

    Raises
    ------
    ConfigError
        The node is strict.
    """
    from flame_flwr.privacy.rules import Strict

    if any(isinstance(rule, Strict) for rule in rules):
        raise ConfigError(
            "this node lets only statistics leave (its disclosure rule Strict), and the plain "
            f"numbers of {source} are none: return them as statistics from analysis_method instead"
        )


class Disclosure:
    """The rules that hold at a node.

    Parameters
    ----------
    rules : iterable of DisclosureRule
        One of a kind; :meth:`of` makes one of several. `MaxBins` and `MinCount` act last, on
        what the others left.

    Examples
    --------
    >>> from flame_flwr.privacy import Disclosure, MaxBins, MinCount
    >>> from flame_flwr.statistics import RowCount
    >>> node, analysis = [MinCount(5)], [MinCount(10), MaxBins(50)]
    >>> joint = Disclosure.of(node, analysis)
    >>> joint.names, joint.apply(RowCount(7)).size, joint.apply(RowCount(31)).size
    (['MaxBins', 'MinCount'], 0, 31)
    """

    def __init__(self, rules: Iterable[DisclosureRule]) -> None:
        self.rules = _in_order(rules)

    @classmethod
    def of(cls, *declared: Sequence[DisclosureRule]) -> Disclosure:
        """Return what several parties declare together, see :func:`joint_rules`."""
        made = cls(())
        made.rules = joint_rules(*declared)
        return made

    @property
    def names(self) -> list[str]:
        """The kinds of the rules, in the order in which they act; nothing of how they are set."""
        return [type(rule).__name__ for rule in self.rules]

    def check_evaluation(self, evaluates: bool) -> None:
        """Refuse an analyzer with an ``evaluation_method`` where the node is strict."""
        if evaluates:
            check_numbers_of("evaluation_method", self.rules)

    def check_metrics(self, metrics: Mapping[str, float]) -> None:
        """Refuse reported metrics, if there are some, where the node is strict."""
        if metrics:
            check_numbers_of("flame.report_metrics", self.rules)

    def apply(self, result: Any) -> Any:
        """Return a result as it may leave, see :func:`apply_rules`."""
        return apply_rules(self.rules, result)

    def pack(self, allowed: Any, *, allow_pickle: bool) -> Payload:
        """Return what `apply` gave, ready to travel, see :func:`encode_allowed`."""
        return encode_allowed(allowed, allow_pickle=allow_pickle)


def _in_order(rules: Iterable[DisclosureRule]) -> tuple[DisclosureRule, ...]:
    return tuple(sorted(rules, key=_turn))


def _turn(rule: DisclosureRule) -> int:
    """Return when a rule acts: `MinCount` must see what has been moved, and nothing after it."""
    from flame_flwr.privacy.rules import MaxBins, MinCount

    return 2 if isinstance(rule, MinCount) else int(isinstance(rule, MaxBins))


def _statistics(value: Any) -> list[Statistic]:
    return [found.value for found in _walk(value) if isinstance(found.value, Statistic)]


def _walk(value: Any, path: str = "$", masked: str = "$", level: int = 0) -> Iterator[Found]:
    """Yield every statistic in dicts, lists and tuples, in order, and what else there is.

    Of other values, and of keys that are no strings, one of each type in each container.
    """
    if not isinstance(value, dict | list | tuple):
        yield Found(value, path, masked)
        return
    if level > _MOST_LEVELS:
        raise PayloadError(f"the result is nested deeper than {_MOST_LEVELS} levels, or in itself")
    if isinstance(value, dict):
        for key in _odd_keys(value):
            yield Found(key, f"{path}.keys()", f"{masked}.keys()")
    seen: set[type[Any]] = set()
    for place, item in value.items() if isinstance(value, dict) else enumerate(value):
        if type(item) not in seen:
            if not isinstance(item, _LOOKED_INTO):
                seen.add(type(item))
            step = ".*" if isinstance(value, dict) else f"[{place}]"
            yield from _walk(item, f"{path}[{place!r}]", masked + step, level + 1)


def _odd_keys(value: dict[Any, Any]) -> list[Any]:
    """Return a key of each type but strings; statistics as keys do not travel under rules."""
    kinds = {type(key): key for key in value if not isinstance(key, str | Statistic)}
    return list(kinds.values())


_LOOKED_INTO = (Statistic, dict, list, tuple)


def _rebuilt(value: Any, statistics: Iterator[Statistic]) -> Any:
    if isinstance(value, Statistic):
        return next(statistics)
    if isinstance(value, dict):
        new = copy.copy(value)
        for key, item in value.items():
            new[key] = _rebuilt(item, statistics)
        return new
    if isinstance(value, list | tuple):
        if not any(issubclass(kind, _LOOKED_INTO) for kind in set(map(type, value))):
            return value
        items = [_rebuilt(item, statistics) for item in value]
        if type(value) is list:
            return items
        return value._make(items) if hasattr(value, "_make") else type(value)(items)
    return value
