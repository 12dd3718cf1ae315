"""An analysis: its declaration, as a ``StarModel`` or a ``StarModelTester``, and its run here."""

__all__: list[str] = []
