"""Threads that are waited for, programs that end with this one, and memory given back."""

__all__: list[str] = []
