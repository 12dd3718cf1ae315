"""One thing about a node's data that is not as an analysis expects."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as expected.

    Parameters
    ----------
    text : str
        What it is: free of the node's data.
    stops : bool
        Whether the node cannot take part because of it.
    """

    text: str
    stops: bool = True
