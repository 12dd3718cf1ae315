"""What the unit tests share: runs that write nothing which they are not asked for."""

from functools import cache

import pytest
import typer.testing

from flame_flwr import polling

# Typer makes all commands anew for each that is run, a twentieth of a second.
typer.testing._get_command = cache(typer.testing._get_command)

# A server waits for most of the time that the last answer took before it asks again. Here answers
# are there when it asks: a tenth of the time of all runs over messages was that wait.
polling._LONGEST_HEAD_START = 0.0


@pytest.fixture(autouse=True)
def nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs write a report and events where they are asked to, and not of themselves."""
    monkeypatch.setattr("flame_flwr.results.extra_files.by_default", lambda extra: False)
