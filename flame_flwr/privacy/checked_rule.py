"""``CheckedRule``: a disclosure rule whose fields say what they may be."""

from __future__ import annotations

from typing import Self

from flame_flwr.parameters import check_parameters, stricter_of
from flame_flwr.privacy.disclosure_rule import DisclosureRule

__all__ = ["CheckedRule"]


class CheckedRule(DisclosureRule):
    """A rule whose fields say what they may be, and which of two is the stricter."""

    def __post_init__(self) -> None:
        """Check before anything runs."""
        check_parameters(self)

    def stricter(self, other: Self) -> Self:
        """Return the one with the stricter of each parameter."""
        return stricter_of(self, other)
