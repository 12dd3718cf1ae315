"""The folder on ``sys.path`` where processes that a FLAME script starts find ``flame.star``.

A child of ``multiprocessing``'s spawn method gets the parent's ``sys.path`` and runs the script's
top level again, but has none of the parent's modules.
"""

__all__: list[str] = []
