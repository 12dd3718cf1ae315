"""Text that people read and write: text files, sizes, what a mistyped name may have meant."""

__all__: list[str] = []
