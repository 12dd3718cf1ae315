"""Pages on this machine that show what runs: for one person's browser, and for nobody else's."""

__all__: list[str] = []
