"""S3-compatible stores: their addresses, keys and limits, and the words for their errors.

Used by :mod:`flame_flwr.object_store` for results and by :mod:`flame_flwr.data` for a node's data;
it reads and writes nothing itself.
"""

__all__: list[str] = []
