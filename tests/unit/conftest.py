"""What the unit tests share: runs that write nothing which they are not asked for."""

from functools import cache

import pytest
import typer.testing

# Typer makes all commands anew for each that is run, a twentieth of a second.
typer.testing._get_command = cache(typer.testing._get_command)


@pytest.fixture(autouse=True)
def nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs write a report and events where they are asked to, and not of themselves."""
    monkeypatch.setattr("flame_flwr.results.extra_files.by_default", lambda extra: False)
