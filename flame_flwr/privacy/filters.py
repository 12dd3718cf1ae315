"""Filters on model updates: what a node does to its result before any of it leaves.

A filter sees the change of the model, that is the result's float arrays minus the same arrays of
the aggregate that the node was sent, and gives back another. For disclosure rules on counts and
tables, and for noise on the final result, see the other modules of this package.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from flame_flwr.buffers import is_buffer, names_in
from flame_flwr.errors import ModelError
from flame_flwr.log import logger
from flame_flwr.privacy.float_arrays import Path, array_at, chosen, dotted, float_arrays, replaced
from flame_flwr.privacy.noise import Noise

if TYPE_CHECKING:
    from flame_flwr.privacy.budget import Mechanism

__all__ = ["FilterChain", "UpdateFilter", "check_filters", "with_seed"]

Owner = Literal["analysis", "node"]


@dataclass(frozen=True)
class UpdateFilter(ABC):
    """Base of all filters. A subclass is a frozen dataclass with a method :meth:`change`.

    Parameters
    ----------
    keys : str or sequence of str, optional
        Which arrays of the result: the keys that lead there with dots between, such as ``coef``,
        ``model.coef`` or, in a list or tuple, ``0``. A key also names everything within. Without
        keys all float arrays of the result.
    missing : {'error', 'skip'}
        What to do in a round whose result has no float array at a key: fail, or let the round's
        result leave without this filter, as an analysis of several phases needs it.

    Raises
    ------
    ModelError
        One of them is something else.

    Notes
    -----
    Only NumPy arrays of floats in dicts, lists and tuples are filtered. Every other part of the
    result, such as a Python number, a DataFrame or a fitted estimator, leaves as it is, and so do
    the numbers of ``evaluation_method``.

    A model's buffers, such as BatchNorm's running variance, are those that the result names under
    ``buffers``, as :class:`~flame_flwr.torch.TorchAnalyzer` does, and those that are called as in
    PyTorch's BatchNorm. A filter acts on them unless its class says otherwise with
    ``on_buffers``: ``"leave"`` lets them leave as they are, ``"refuse"`` lets nothing leave. An
    array that ``keys`` name in full is filtered in any case.
    """

    on_buffers: ClassVar[Literal["filter", "leave", "refuse"]] = "filter"

    _: KW_ONLY
    keys: str | Sequence[str] | None = None
    missing: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        """Check before anything runs; a subclass that has checks of its own calls this, too."""
        keys = (self.keys,) if isinstance(self.keys, str) else self.keys
        if keys is not None:
            known = isinstance(keys, Sequence) and all(isinstance(key, str) for key in keys)
            if not known or not keys or not all(keys):
                raise ModelError(f"{self.name}: keys are names of arrays, not {self.keys!r}")
            object.__setattr__(self, "keys", tuple(keys))
        if self.missing not in ("error", "skip"):
            raise ModelError(f"{self.name}: missing is 'error' or 'skip', not {self.missing!r}")

    @abstractmethod
    def change(self, update: np.ndarray, noise: Noise) -> np.ndarray:
        """Return the change that may leave.

        Parameters
        ----------
        update : ndarray of float64, shape (n,)
            The change of all chosen arrays, one behind the other; finite. It is the filter's own.
        noise : Noise
            Random numbers, of this filter and round.

        Returns
        -------
        ndarray of float64, shape (n,)
        """

    @property
    def name(self) -> str:
        """What it is called in logs and records."""
        return type(self).__name__

    def mechanism(self) -> Mechanism | None:
        """Return what one round costs of the privacy budget; ``None``: it is not private."""
        return None

    def about(self) -> dict[str, Any]:
        """Return what records say of it: its name and its parameters that are not defaults."""
        given = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default and field.name != "seed"
        }
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in given.items()}
        return {"filter": self.name, **plain}


@dataclass(slots=True)
class FilterChain:
    """The filters of one node, the analysis's first and the node's own last.

    Parameters
    ----------
    filters : list of (owner, UpdateFilter)
        In their order.
    node : str
        The node's id.

    Attributes
    ----------
    applied : list of bool
        Which of them have acted in the last round.
    """

    filters: list[tuple[Owner, UpdateFilter]]
    node: str
    applied: list[bool] = dataclasses.field(default_factory=list)

    @classmethod
    def of(
        cls, analysis: Iterable[UpdateFilter], own: Iterable[UpdateFilter], node: str
    ) -> FilterChain | None:
        """Return the chain of a node; ``None`` where there is no filter."""
        chain: list[tuple[Owner, UpdateFilter]] = [("analysis", each) for each in analysis]
        chain += [("node", each) for each in own]
        return cls(chain, node) if chain else None

    def apply(self, result: Any, aggregate: Any, number: int) -> Any:
        """Return what may leave of a result; the result itself is not changed.

        Parameters
        ----------
        result : Any
            What the analyzer returned.
        aggregate : Any
            What the node was sent; ``None`` in a first round. Where it has no array of the same
            key, the change is counted from zero.
        number : int
            The round, from 1.

        Raises
        ------
        ModelError
            There is nothing to filter, it is not finite, or the aggregate's array has another
            shape. Nothing leaves then.
        """
        changes = _Changes(result, aggregate, number)
        self.applied = [
            changes.filter(each, Noise(_seed(each), f"{self.node}|{number}|{position}"))
            for position, (_, each) in enumerate(self.filters)
        ]
        return replaced(result, changes.arrays())

    def report(self) -> list[dict[str, Any]]:
        """Return, for the run's record, each filter, whose it is, and whether it has acted."""
        report = []
        for (owner, each), applied in zip(self.filters, self.applied, strict=True):
            mechanism = each.mechanism()
            cost = None if mechanism is None else mechanism.to_json()
            seeded = {"seeded": True} if _seed(each) is not None else {}
            report.append(
                {**each.about(), **seeded, "by": owner, "applied": applied, "mechanism": cost}
            )
        return report


def check_filters(filters: object) -> tuple[UpdateFilter, ...]:
    """Check what a model declares as its filters.

    Raises
    ------
    ModelError
        It is no list of filters.
    """
    if filters is None:
        return ()
    if not isinstance(filters, list | tuple):
        raise ModelError("filters must be a list, such as filters=[Clip(1.0)]")
    for each in filters:
        if not isinstance(each, UpdateFilter):
            called = f"the class {each.__name__}" if isinstance(each, type) else repr(each)
            raise ModelError(
                "filters must hold filters of flame_flwr.privacy, such as Clip(1.0), or your own "
                f"subclasses of UpdateFilter, not {called}"
            )
    return tuple(filters)


def with_seed(filters: Iterable[UpdateFilter], seed: int) -> tuple[UpdateFilter, ...]:
    """Return the same filters, with a seed where they draw noise without one."""
    given: list[Any] = list(filters)
    return tuple(
        dataclasses.replace(each, seed=seed) if getattr(each, "seed", seed) is None else each
        for each in given
    )


class _Changes:
    """The change of every array of a result that a filter has asked for, as flat float64."""

    def __init__(self, result: Any, aggregate: Any, number: int) -> None:
        self._found = dict(float_arrays(result))
        names = names_in(result)
        self._buffers = {place for place in self._found if _names_buffer(place, names)}
        self._aggregate = aggregate
        self._number = number
        self._before: dict[Path, np.ndarray] = {}
        self._first: dict[Path, np.ndarray] = {}
        self._now: dict[Path, np.ndarray] = {}
        self._noised: set[Path] = set()

    def filter(self, each: UpdateFilter, noise: Noise) -> bool:
        """Let a filter act on its arrays; return whether it has."""
        places = self._places(each)
        if not places:
            return False
        update = np.concatenate([self._change(place, each) for place in places])
        changed = np.asarray(each.change(update, noise), dtype=np.float64)
        if changed.shape != update.shape or not np.isfinite(changed).all():
            raise ModelError(
                f"{each.name}.change must return an array of the same shape, of finite numbers"
            )
        if noise.drawn:
            self._noised.update(places)
        ends = np.cumsum([self._now[place].size for place in places])
        for place, part in zip(places, np.split(changed, ends[:-1]), strict=True):
            self._now[place] = part
        return True

    def arrays(self) -> dict[Path, np.ndarray]:
        """Return the filtered arrays, with shape and type as they were."""
        return {place: self._filtered(place, now) for place, now in self._now.items()}

    def _filtered(self, place: Path, now: np.ndarray) -> np.ndarray:
        array, before = self._found[place], self._before[place]
        with np.errstate(over="ignore"):
            new = (before + now).astype(array.dtype)
        if place not in self._noised:
            # Exactly the node's number where no filter has acted, not one that was rounded twice.
            new = np.where(now == self._first[place], array.ravel(), new)
        filtered: np.ndarray = new.astype(array.dtype, copy=False).reshape(array.shape)
        if not np.isfinite(filtered).all():
            raise ModelError(f"after the filters a number does not fit into {array.dtype}")
        return filtered

    def _places(self, each: UpdateFilter) -> list[Path]:
        named = {place: chosen(place, each.keys) for place in self._found}
        if each.on_buffers != "filter":
            buffers = {
                place for place in self._buffers if named[place] not in (None, dotted(place))
            }
            if buffers and each.on_buffers == "refuse":
                raise _on_buffers(each, buffers)
            named = {place: key for place, key in named.items() if place not in buffers}
        places = [place for place, key in named.items() if key is not None]
        if each.missing == "error":
            for key in [""] if each.keys is None else each.keys:
                if key not in named.values():
                    at = f"at its key `{key}`" if key else "anywhere"
                    raise ModelError(
                        f"{each.name}: the result has no NumPy array of floats {at}. Return one, "
                        "or say missing='skip' for rounds without"
                    )
        return places

    def _change(self, place: Path, each: UpdateFilter) -> np.ndarray:
        """Return an array's change as the filters before have left it."""
        if place not in self._now:
            array = self._found[place]
            self._before[place] = self._reference(place, array, each)
            self._now[place] = array.ravel().astype(np.float64) - self._before[place]
            self._first[place] = self._now[place]
            if not np.isfinite(self._now[place]).all():
                raise ModelError(
                    f"{each.name}: a filter takes finite numbers, and an array of the result or "
                    "of the aggregate holds NaN or infinity, or its change is too large",
                    detail=str(place),
                )
        return self._now[place]

    def _reference(self, place: Path, array: np.ndarray, each: UpdateFilter) -> np.ndarray:
        before = array_at(self._aggregate, place)
        if before is None:
            if self._number > 1:
                logger.warning(
                    "filters: the aggregate has no array in the place of one of the result's, so "
                    "its change is counted from zero"
                )
            return np.zeros(array.size)
        if before.shape != array.shape:
            raise ModelError(
                f"{each.name}: an array of the result has the shape {array.shape}, and the "
                f"aggregate's in the same place {before.shape}: there is no change to filter",
                detail=str(place),
            )
        return before.ravel().astype(np.float64)


def _names_buffer(place: Path, names: Sequence[str]) -> bool:
    """Tell whether an array is a buffer; names count from the model, which is under one key."""
    return is_buffer(dotted(place[1:]), names) or is_buffer(dotted(place), names)


def _on_buffers(each: UpdateFilter, buffers: Iterable[Path]) -> ModelError:
    return ModelError(
        f"{each.name}: the model has buffers, such as BatchNorm's running variance. With noise on "
        "them it is of no use (a variance can get below zero), and without they would say exact "
        "figures of this node's patients. Use layers without buffers, such as GroupNorm or "
        "LayerNorm; or name with `keys` the arrays that noise is added to, and what else is in the "
        "result leaves as it is",
        detail=", ".join(sorted(map(dotted, buffers))),
    )


def _seed(each: UpdateFilter) -> int | None:
    seed: int | None = getattr(each, "seed", None)
    return seed
