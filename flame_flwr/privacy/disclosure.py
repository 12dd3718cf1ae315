"""Disclosure rules: what of a node's statistics may leave it, decided on the node.

They act on the values of :mod:`flame_flwr.statistics` in a result, and may look at all of it, after
the analyzer has returned it and before anything is sent. They are the node's, in its config, and
the analyst's, declared on the model: of two rules of a kind the stricter holds. They stop
accidents; an analyzer that means harm can put a patient's value into any number.
``docs/disclosure.md`` says what each does not stop.
"""

from __future__ import annotations

import copy
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, Literal

from flame_flwr.errors import ConfigError, PayloadError
from flame_flwr.payload import encode
from flame_flwr.privacy.disclosure_rule import DisclosureRule
from flame_flwr.privacy.figure_account import FigureAccount
from flame_flwr.privacy.value_places import WHOLE, Found, Place
from flame_flwr.statistics.base import Statistic, is_of_the_framework
from flame_flwr.statistics.cleared_statistics import only_cleared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flame_flwr.payload import Payload
    from flame_flwr.privacy.rule_tally import RuleTally

__all__ = [
    "Disclosure",
    "apply_rules",
    "apply_to_own_statistics",
    "check_numbers_of",
    "encode_allowed",
    "joint_rules",
    "sizes_of_own_statistics",
    "statistics_in",
]

_MOST_LEVELS = 200
_CONTAINERS = (dict, list, tuple)


def apply_rules(
    rules: Sequence[DisclosureRule],
    result: Any,
    account: FigureAccount | None = None,
    withheld: RuleTally | None = None,
) -> Any:
    """Return a decoded result with its statistics as they may leave, in new containers.

    Parameters
    ----------
    rules : sequence of DisclosureRule
        In the order in which they act, see :func:`joint_rules`.
    result : Any
        It is not changed.
    account : FigureAccount, optional
        What has left earlier in the run; by default nothing.
    withheld : RuleTally, optional
        Counts what the rules keep back.

    Raises
    ------
    PayloadError
        A rule refuses it.
    """
    # All may refuse the result as it is before any of them changes it: `MaxBins` must count the
    # bins that there were, and a regression without a small level would be another one.
    for rule in rules:
        rule.look(_walk(result))
    statistics = statistics_in(result)
    for rule in rules:
        rule.screen(result)
    account = FigureAccount() if account is None else account
    for rule in rules:
        before, statistics = statistics, rule.protect(statistics)
        if withheld is not None:
            withheld.note(rule, before, statistics)
    # Last, and of what is left: what is withheld anyway has not left, and takes up no account.
    for rule in rules:
        before, statistics = statistics, rule.within(account, statistics)
        if withheld is not None:
            withheld.note(rule, before, statistics)
    return _rebuilt(result, iter(statistics))


def apply_to_own_statistics(rules: Sequence[DisclosureRule], result: Any) -> Any:
    """Return a result with the statistics of a user's own classes as they may leave.

    A node's gate cannot look into these, so the rules act on them where the analysis runs; on all
    others they act at the gate.

    Parameters
    ----------
    rules : sequence of DisclosureRule
        As for :func:`apply_rules`.
    result : Any
        It is not changed.

    Raises
    ------
    PayloadError
        A rule refuses one of them.
    """
    statistics = statistics_in(result)
    places = [place for place, each in enumerate(statistics) if not is_of_the_framework(each)]
    if not places:
        return result
    for rule in rules:
        rule.look(
            found
            for found in _walk(result)
            if isinstance(found.value, Statistic) and not is_of_the_framework(found.value)
        )
    own = [statistics[place] for place in places]
    for rule in rules:
        own = rule.protect(own)
    for place, each in zip(places, own, strict=True):
        statistics[place] = each
    return _rebuilt(result, iter(statistics))


def sizes_of_own_statistics(result: Any) -> tuple[int, ...]:
    """Return how many people each statistic of a user's own classes in a result is about."""
    own = (each for each in statistics_in(result) if not is_of_the_framework(each))
    return tuple(max(0, int(each.size)) for each in own)


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
    with only_cleared(statistics_in(allowed)):
        return encode(allowed, allow_pickle=allow_pickle)


def check_numbers_of(source: str, rules: Iterable[DisclosureRule]) -> None:
    """Refuse plain numbers beside a result, which no rule can look at, where the node is strict.

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
    from flame_flwr.privacy.rules import is_strict

    if is_strict(rules):
        raise ConfigError(
            "this node lets only statistics leave (its disclosure rule Strict), and the plain "
            f"numbers of {source} are none: return them as statistics from analysis_method instead"
        )


class Disclosure:
    """The rules that hold at a node.

    Parameters
    ----------
    rules : iterable of DisclosureRule
        At most one of each kind; :meth:`of` joins several of a kind into one. `MaxBins` and
        `MinCount` act last, on what the others left.

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


def statistics_in(result: Any) -> list[Statistic]:
    """Return every statistic in dicts, lists and tuples, in order."""
    found: list[Statistic] = []

    def collect(value: Any, level: int) -> None:
        if isinstance(value, _CONTAINERS):
            _check_level(level)
            entries = value.values() if isinstance(value, dict) else value
            # by types first: a list of a million floats is of one
            if any(map(_is_looked_into, set(map(type, entries)))):
                for entry in entries:
                    collect(entry, level + 1)
        elif isinstance(value, Statistic):
            found.append(value)

    collect(result, 0)
    return found


def _walk(result: Any) -> Iterator[Found]:
    """Yield every statistic in dicts, lists and tuples, in order, and what else there is.

    Of all other values, and of keys that are not strings, one per type and container is listed.
    """
    # No recursion: each value would go up through all levels. An app chooses how many those are.
    levels = [iter([(result, WHOLE)])]
    while levels:
        for value, place in levels[-1]:
            if isinstance(value, _CONTAINERS):
                _check_level(len(levels) - 1)
                levels.append(_inside(value, place))
                break
            yield Found(value, place)
        else:
            levels.pop()


def _inside(container: Any, above: Place) -> Iterator[tuple[Any, Place]]:
    """Yield what is in a container: all that is looked into, and one of each other type."""
    if isinstance(container, dict):
        for key in _odd_keys(container):
            yield key, (above, None, "keys")
        yield from _of_each_kind(container.items(), above, "key")
    else:
        yield from _of_each_kind(enumerate(container), above, "number")


def _of_each_kind(
    entries: Iterable[tuple[Any, Any]], above: Place, how: Literal["key", "number"]
) -> Iterator[tuple[Any, Place]]:
    seen: set[type[Any]] = set()
    for step, entry in entries:
        kind = type(entry)
        if kind not in seen:
            # of plain values one of a type is enough to refuse them; of statistics each counts
            if not _is_looked_into(kind):  # type: ignore[arg-type]
                seen.add(kind)
            yield entry, (above, step, how)


def _check_level(level: int) -> None:
    if level > _MOST_LEVELS:
        raise PayloadError(f"the result is nested deeper than {_MOST_LEVELS} levels, or in itself")


def _odd_keys(value: dict[Any, Any]) -> list[Any]:
    """Return a key of each type but strings; statistics as keys do not travel under rules."""
    kinds = {type(key): key for key in value if not isinstance(key, str | Statistic)}
    return list(kinds.values())


@lru_cache(maxsize=1000)  # asking an abstract class takes longer than all the rest
def _is_looked_into(kind: Any) -> bool:
    return issubclass(kind, (*_CONTAINERS, Statistic))


def _rebuilt(value: Any, statistics: Iterator[Statistic]) -> Any:
    if isinstance(value, dict):
        new = copy.copy(value)
        for key, item in value.items():
            if _is_looked_into(type(item)):  # type: ignore[arg-type]
                new[key] = _rebuilt(item, statistics)
        return new
    if isinstance(value, list | tuple):
        if not any(map(_is_looked_into, set(map(type, value)))):
            return value
        items = [_rebuilt(item, statistics) for item in value]
        if type(value) is list:
            return items
        # a NamedTuple's class takes its parts one by one
        return value._make(items) if hasattr(value, "_make") else type(value)(items)
    return next(statistics) if isinstance(value, Statistic) else value
