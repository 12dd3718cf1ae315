"""What is installed beside this package: versions, other packages' entry points, our own wheel."""

__all__: list[str] = []
