"""Differential privacy of a final numeric result: the Laplace mechanism, from OpenDP.

It protects the final result only. What nodes send to the aggregator is not noised.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from flame_flwr.errors import ModelError, ResultError
from flame_flwr.parameters import ABOVE_ZERO

__all__ = ["Laplace"]


@dataclass(frozen=True, slots=True)
class Laplace:
    """Adds Laplace noise of scale ``sensitivity / epsilon`` to a result.

    Dwork, McSherry, Nissim and Smith, "Calibrating Noise to Sensitivity in Private Data
    Analysis" (TCC 2006), Proposition 1. The release is ``epsilon``-differentially private if
    adding or removing a patient changes the result by at most ``sensitivity`` in the L1 norm,
    all numbers of it together.

    Parameters
    ----------
    epsilon : float
        The budget, above 0.
    sensitivity : float
        The L1 sensitivity of the whole result, above 0, in the result's unit.

    Raises
    ------
    ModelError
        One of them is not a positive number, or OpenDP is not installed.

    Examples
    --------
    >>> mechanism = Laplace(epsilon=0.5, sensitivity=2.0)
    >>> mechanism.about()["epsilon"]
    0.5
    >>> list(mechanism.release({"mean age": 61.3}))
    ['mean age']
    """

    epsilon: float
    sensitivity: float

    def __post_init__(self) -> None:
        """Check before anything runs."""
        for name in ("epsilon", "sensitivity"):
            value = getattr(self, name)
            if not ABOVE_ZERO.holds(value):
                raise ModelError(f"{name} {ABOVE_ZERO.words}, not {value!r}")
        if not 0 < float(self.sensitivity) / float(self.epsilon) < math.inf:
            raise ModelError("sensitivity / epsilon, the scale of the noise, is no float above 0")
        if find_spec("opendp") is None:
            raise ModelError("differential privacy needs OpenDP: pip install 'flame-flwr[dp]'")

    @classmethod
    def declare(cls, epsilon: float | None, sensitivity: float | None) -> Laplace | None:
        """Return the mechanism that a model declares; ``None`` where it declares neither number.

        Raises
        ------
        ModelError
            Only one of the two numbers is given.
        """
        if epsilon is None and sensitivity is None:
            return None
        if epsilon is None or sensitivity is None:
            missing = "epsilon" if epsilon is None else "sensitivity"
            raise ModelError(f"differential privacy needs epsilon and sensitivity: give {missing}")
        return cls(epsilon, sensitivity)

    def release(self, result: Any) -> Any:
        """Return the result with noise.

        Parameters
        ----------
        result : int, float, NumPy number, or flat list, tuple, dict or array of them
            The exact result.

        Returns
        -------
        float, or the same kind of container with floats
            Arrays become float64.

        Raises
        ------
        ResultError
            Anything else, a bool, NaN or infinity: nothing is released.
        """
        if isinstance(result, np.ndarray) and result.ndim == 1:
            return np.array(self._noised(list(result)), dtype=np.float64)
        if isinstance(result, Mapping):
            return dict(zip(result, self._noised(list(result.values())), strict=True))
        if isinstance(result, list | tuple):
            values = self._noised(list(result))
            return values if isinstance(result, list) else tuple(values)
        return self._noised([result])[0]

    def about(self) -> dict[str, float | str]:
        """Return what a run's record says of it."""
        return {
            "mechanism": "Laplace (OpenDP), on the final result",
            "epsilon": float(self.epsilon),
            "sensitivity": float(self.sensitivity),
        }

    def _noised(self, values: list[Any]) -> list[float]:
        for value in values:
            # a bool is a Real, and with noise no bool any more
            real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
            if not real:
                raise ResultError(
                    "differential privacy works on a number or a flat container of numbers; "
                    f"the result holds a {type(value).__name__}. Nothing was released"
                )
            if not _finite(value):
                raise ResultError(
                    "differential privacy works on finite numbers; the result holds NaN, infinity "
                    "or a number too large for a float. Nothing was released"
                )
        if not values:
            raise ResultError("differential privacy: the result is empty. Nothing was released")
        # What opendp.prelude has of these, it imports with scikit-learn, pandas and polars.
        from opendp.domains import atom_domain, vector_domain
        from opendp.measurements import make_laplace
        from opendp.metrics import l1_distance
        from opendp.mod import enable_features

        enable_features("contrib")  # OpenDP has all of its mechanisms behind this word
        mechanism = make_laplace(
            vector_domain(atom_domain(T=float, nan=False)),
            l1_distance(T=float),
            scale=float(self.sensitivity) / float(self.epsilon),
        )
        return [float(value) for value in mechanism([float(value) for value in values])]


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int too large for a float
        return False
