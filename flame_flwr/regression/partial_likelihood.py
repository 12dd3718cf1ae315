"""Cox's partial likelihood of one hospital's rows: its sums for a step.

Each hospital is a stratum, so score and information of the hospitals add up to those of the
stratified model. Ties as Breslow (1974) and Efron (1977) treat them: with Efron's, of d deaths at
one time the l-th, from 0, is compared with the people at risk less l/d of those who die.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.regression.exact_products import linear, products

if TYPE_CHECKING:
    from flame_flwr.statistics.values import Numbers

__all__ = ["SurvivalRows", "hazards_at", "partial_sums"]


@dataclass(frozen=True)
class SurvivalRows:
    """What a step needs of a node's rows.

    Parameters
    ----------
    table : ndarray, shape (n, p)
        The design.
    entry, time : ndarray, shape (n,)
        A row is at risk after its entry, until its time.
    event : ndarray of bool, shape (n,)
        Whether its time ends with an event.
    strata : ndarray of int, shape (n,)
        Which stratum it is in.
    """

    table: Numbers
    entry: Numbers
    time: Numbers
    event: Any
    strata: Any


def partial_sums(
    rows: SurvivalRows, coefficients: Numbers, ties: str
) -> tuple[list[Fraction], list[Fraction], float]:
    """Return score, information (its upper triangle) and the logarithm of the likelihood.

    Parameters
    ----------
    rows : SurvivalRows
        Of any number.
    coefficients : ndarray, shape (p,)
        Of the columns.
    ties : {'efron', 'breslow'}
        How ties are treated.
    """
    p = rows.table.shape[1]
    rows = _centred(rows)
    predictors = linear(rows.table, coefficients)
    hazards = np.zeros(len(predictors))
    shares = np.zeros(len(predictors))
    means, logarithms = [np.zeros((0, p))], [0.0]
    for stratum in np.unique(rows.strata):
        places = np.flatnonzero(rows.strata == stratum)
        own = predictors[places]
        highest = own.max()  # relative to it no exponential overflows; it cancels in every ratio
        hazards[places] = np.exp(own - highest)
        share, mean, denominators = _risk_sets(rows, places, hazards[places], ties)
        shares[places] = share
        means.append(mean)
        events = rows.event[places]
        logarithms += [float(value - highest) for value in own[events]]
        logarithms += (-np.log(denominators)).tolist()
    weights = hazards * shares
    # exactly, as of two large sums the score is what is left at the maximum
    score = [
        Fraction(math.fsum((column * (rows.event - weights)).tolist())) for column in rows.table.T
    ]
    # sums of squares at risk, less the squares of the means at risk
    whole = products(rows.table * np.sqrt(weights)[:, None])
    less = products(np.vstack(means))
    information = [
        above - below
        for row, others in zip(whole, less, strict=True)
        for above, below in zip(row, others, strict=True)
    ]
    return score, information, math.fsum(logarithms)


def _centred(rows: SurvivalRows) -> SurvivalRows:
    """Return rows less the mean of their stratum, of which the likelihood does not depend.

    A column that is the same in a whole stratum is then exactly 0 there, and not rounding.
    """
    table = rows.table.copy()
    for stratum in np.unique(rows.strata):
        places = rows.strata == stratum
        # first less one row: a mean of equal large values need not be that value
        moved = table[places] - table[places][0]
        table[places] = moved - moved.mean(axis=0)
    return replace(rows, table=table)


def _risk_sets(
    rows: SurvivalRows, places: Any, hazards: Numbers, ties: str
) -> tuple[Numbers, Numbers, Numbers]:
    """Return how much each row is at risk, and of each event the mean and the sum at risk.

    Parameters
    ----------
    rows : SurvivalRows
        All rows.
    places : ndarray of int, shape (m,)
        Those of the stratum.
    hazards : ndarray, shape (m,)
        Of these, relative to the highest.
    ties : str
        How ties are treated.

    Returns
    -------
    shares : ndarray, shape (m,)
        Of each row the sum of 1 by the sum at risk, over the events at which it is at risk.
    means : ndarray, shape (events, p)
    sums : ndarray, shape (events,)
    """
    table, event = rows.table[places], rows.event[places]
    entry, time = rows.entry[places], rows.time[places]
    moments = np.unique(time[event])
    if not len(moments):
        return np.zeros(len(places)), np.zeros((0, table.shape[1])), np.zeros(0)
    weighted = np.column_stack([hazards, table * hazards[:, None]])
    # who has not come yet is taken from those whose time is not over
    at_risk = _from_each(weighted, time, moments) - _from_each(weighted, entry, moments)
    which = np.searchsorted(moments, time[event])
    dying = np.zeros_like(at_risk)
    np.add.at(dying, which, weighted[event])
    deaths = np.bincount(which, minlength=len(moments))
    moment_of = np.repeat(np.arange(len(moments)), deaths)
    # Efron: the l-th of d deaths at one time is compared without l/d of those who die then
    rank = np.arange(len(moment_of)) - np.repeat(np.cumsum(deaths) - deaths, deaths)
    left_out = rank / deaths[moment_of] if ties == "efron" else np.zeros(len(rank))
    sums = at_risk[moment_of] - left_out[:, None] * dying[moment_of]
    inverse = 1 / sums[:, 0]
    at_each = np.bincount(moment_of, weights=inverse)
    until = np.concatenate([[0.0], np.cumsum(at_each)])
    # at risk at the events after the entry, and up to the time
    shares = until[np.searchsorted(moments, time, side="right")]
    shares = shares - until[np.searchsorted(moments, entry, side="right")]
    # who dies is among those that are left out of the sums at this time
    shares[event] -= np.bincount(moment_of, weights=left_out * inverse)[which]
    return shares, sums[:, 1:] * inverse[:, None], sums[:, 0]


def hazards_at(
    rows: SurvivalRows, places: Any, predictors: Numbers, times: Numbers
) -> tuple[Numbers, Any]:
    """Return Breslow's cumulative hazard at times, and the events up to these.

    Parameters
    ----------
    rows : SurvivalRows
        All rows.
    places : ndarray of int, shape (m,)
        Those of the stratum.
    predictors : ndarray, shape (m,)
        Of these.
    times : ndarray, shape (t,)
        Rising.

    Returns
    -------
    hazards : ndarray, shape (t,)
    events : ndarray of int, shape (t,)
    """
    event, highest = rows.event[places], predictors.max()
    entry, time = rows.entry[places], rows.time[places]
    moments, deaths = np.unique(time[event], return_counts=True)
    weights = np.exp(predictors - highest)[:, None]
    at_risk = _from_each(weights, time, moments) - _from_each(weights, entry, moments)
    steps = deaths / at_risk[:, 0] * np.exp(-highest)  # of a row of zeros, as it is defined
    until = np.searchsorted(moments, times, side="right")
    return (
        np.concatenate([[0.0], np.cumsum(steps)])[until],
        np.concatenate([[0], np.cumsum(deaths)])[until],
    )


def _from_each(values: Numbers, times: Numbers, moments: Numbers) -> Numbers:
    """Return the sums of the values whose time is a moment, or after it."""
    # from the last time back, one sum for all moments
    order = np.argsort(times, kind="stable")[::-1]
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values[order], axis=0)])
    return sums[len(times) - np.searchsorted(times[order[::-1]], moments, side="left")]
