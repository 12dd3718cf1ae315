"""Checks of user code before it runs: whether a file is a user's, whether a call fits."""

__all__: list[str] = []
