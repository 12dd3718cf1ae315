"""What filters act on: the change of a result's float arrays, flat and as float64.

For the arithmetic alone; which filters there are and in which order they act is ``filter_chain``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from flame_flwr.buffers import is_buffer, names_in
from flame_flwr.errors import ModelError
from flame_flwr.log import logger
from flame_flwr.privacy.float_arrays import Path, array_at, chosen, dotted, float_arrays, replaced
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.update_filter import UpdateFilter, keys_of

__all__ = ["Changes"]


class Changes:
    """The change of every array of a result that a filter has asked for, as flat float64."""

    def __init__(self, result: Any, aggregate: Any, number: int) -> None:
        self._result = result
        self._found = dict(float_arrays(result))
        names = names_in(result)
        self._buffers = {place for place in self._found if _is_buffer(place, names)}
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
            # from here on an equal number is chance, and the node's own may not come back
            self._noised.update(places)
        # the filter saw one vector: give every array its part of it
        ends = np.cumsum([self._now[place].size for place in places])
        for place, part in zip(places, np.split(changed, ends[:-1]), strict=True):
            self._now[place] = part
        return True

    def replaced(self) -> Any:
        """Return the result with the filtered arrays, of shape and type as they were."""
        filtered = {place: self._filtered(place, now) for place, now in self._now.items()}
        return replaced(self._result, filtered)

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
        keys = keys_of(each)
        named = {place: chosen(place, keys) for place in self._found}
        if each.on_buffers != "filter":
            buffers = {
                place for place in self._buffers if named[place] not in (None, dotted(place))
            }
            if buffers and each.on_buffers == "refuse":
                raise _on_buffers(each, buffers)
            named = {place: key for place, key in named.items() if place not in buffers}
        places = [place for place, key in named.items() if key is not None]
        if each.missing == "error":
            for key in [""] if keys is None else keys:
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


def _is_buffer(place: Path, names: Sequence[str]) -> bool:
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
