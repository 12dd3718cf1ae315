"""Which frozen data this process has read for a run: answers name it, and are counted for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flwr.app import Context

__all__ = ["frozen_reads"]

_READ: dict[tuple[int, int], set[str]] = {}


def frozen_reads(context: Context) -> set[str]:
    """Return the digests of the frozen data that was read for a run at a node, to be added to.

    Those of other runs are forgotten: a process that turns to another run reads its data anew.

    Parameters
    ----------
    context : Context
        Of the node and run.
    """
    key = context.run_id, context.node_id
    for other in [other for other in _READ if other[0] != key[0]]:
        del _READ[other]
    return _READ.setdefault(key, set())
