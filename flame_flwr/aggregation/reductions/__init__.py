"""Reductions, each of which merges what the nodes return under one key."""

__all__: list[str] = []
