"""What can be had of a table of counts from what a node released: linear programming."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog


def ranges(shape, known_cells, known_rows, known_columns, total, low):
    """Return the smallest and the largest value that each cell of a table can have.

    Parameters
    ----------
    shape : tuple of int
        Of the table.
    known_cells, known_rows, known_columns : dict
        Counts by (i, j), row totals by i, column totals by j.
    total : int or None
        Of all cells, where it is known.
    low : int
        The smallest value of a cell that is not known.

    Returns
    -------
    dict of (i, j) to (float, float)
        Of the cells that are not known.
    """
    unknown = [place for place in np.ndindex(shape) if place not in known_cells]
    groups = [({(i, j) for j in range(shape[1])}, n) for i, n in known_rows.items()]
    groups += [({(i, j) for i in range(shape[0])}, n) for j, n in known_columns.items()]
    if total is not None:
        groups.append((set(np.ndindex(shape)), total))
    matrix = np.array([[place in group for place in unknown] for group, _ in groups], float)
    sums = [
        n - sum(count for place, count in known_cells.items() if place in group)
        for group, n in groups
    ]
    found = {}
    for i, place in enumerate(unknown):
        goal = np.eye(len(unknown))[i]
        ends = []
        for sign in (1, -1):
            solved = linprog(
                sign * goal,
                A_eq=matrix if groups else None,
                b_eq=sums if groups else None,
                bounds=(low, None),
            )
            assert solved.status in (0, 3), solved.message  # 3: no bound
            ends.append(np.inf if solved.status == 3 else sign * solved.fun)
        found[place] = (ends[0], ends[1])
    return found
