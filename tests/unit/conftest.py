"""What the unit tests share: runs that write nothing which they are not asked for."""

import pytest


@pytest.fixture(autouse=True)
def nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs write a report and events where they are asked to, and not of themselves."""
    monkeypatch.setattr("flame_flwr.results.extra_files.by_default", lambda extra: False)
