"""Running FLAME scripts as they are."""

__all__: list[str] = []
