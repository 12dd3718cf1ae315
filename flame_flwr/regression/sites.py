"""Intercepts: one for all hospitals, or one for each of them among the columns of all."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["INTERCEPT", "NO_CLUSTERS", "NO_SITE_EFFECTS", "common_columns", "embedded"]
__all__ += ["intercepts", "site_column", "site_of"]

INTERCEPT = "Intercept"

NO_CLUSTERS = (
    "hospitals are no clusters: at the maximum their scores sum to zero, so the matrix of the "
    "scores' products has a rank of at most hospitals - 1"
)
NO_SITE_EFFECTS = "Leave the hospital out, or do without site_effects"


def site_column(node: str) -> str:
    """Return the name of a hospital's own intercept."""
    return f"site[{node}]"


def site_of(column: str) -> str:
    """Return the hospital whose intercept a column is; ``""`` for any other column."""
    return column[5:-1] if column.startswith("site[") and column.endswith("]") else ""


def intercepts(columns: Sequence[str]) -> list[int]:
    """Return which columns are intercepts: one of all rows, or one of each hospital's."""
    return [j for j, name in enumerate(columns) if name == INTERCEPT or site_of(name)]


def common_columns(columns: Sequence[str], asked: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Return the columns of all hospitals, and which of them each of a node's own is.

    Parameters
    ----------
    columns : sequence of str
        The design's.
    asked : mapping
        Where each hospital has an intercept: ``site``, this node, and ``sites``, all of them.
    """
    if "sites" not in asked:
        return list(columns), list(range(len(columns)))
    sites = [site_column(node) for node in asked["sites"]]
    names = [*sites, *(name for name in columns if name != INTERCEPT)]
    own = [site_column(asked["site"]) if name == INTERCEPT else name for name in columns]
    return names, [names.index(name) for name in own]


def embedded(
    score: Sequence[Fraction], information: Sequence[Fraction], places: Sequence[int], size: int
) -> tuple[list[Fraction], list[Fraction]]:
    """Return score and information (its upper triangle) among the columns of all hospitals.

    Parameters
    ----------
    score, information : sequence of Fraction
        Of this node's columns.
    places : sequence of int
        Where each of them is.
    size : int
        How many columns there are.
    """
    if list(places) == list(range(size)):
        return list(score), list(information)
    # an upper triangle is row by row, and columns may change sides of the diagonal in the new order
    p = len(places)
    pairs = itertools.combinations_with_replacement(range(p), 2)
    found = {
        (min(places[i], places[j]), max(places[i], places[j])): value
        for (i, j), value in zip(pairs, information, strict=True)
    }
    at = dict(zip(places, score, strict=True))
    every = itertools.combinations_with_replacement(range(size), 2)
    nothing = Fraction(0)
    return [at.get(i, nothing) for i in range(size)], [found.get(pair, nothing) for pair in every]
