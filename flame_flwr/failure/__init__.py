"""Failures of nodes and of user code: what is said of them, and what would mend them."""

__all__: list[str] = []
