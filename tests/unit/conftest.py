"""What the unit tests share: Flower contexts, node plans, a write limit the system enforces."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

import pytest
from flwr.app import Context, RecordDict

_RUN_IDS = count(10**9)


@pytest.fixture
def context() -> Callable[..., Context]:
    """Make a node's Flower ``Context``, of a run of its own unless told which."""

    def make(
        node_config: dict[str, Any] | None = None,
        run_config: dict[str, Any] | None = None,
        run_id: int | None = None,
        node_id: int = 7,
    ) -> Context:
        return Context(
            run_id=next(_RUN_IDS) if run_id is None else run_id,
            node_id=node_id,
            node_config=node_config or {},
            state=RecordDict(),
            run_config=run_config or {},
        )

    return make


@pytest.fixture
def disk_full_after() -> Callable[[int], AbstractContextManager[None]]:
    """Let the system refuse to write any file beyond so many bytes, as a full disk does."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture(autouse=True)
def nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs write a report and events where they are asked to, and not of themselves."""
    monkeypatch.setattr("flame_flwr.results.extras.by_default", lambda extra: False)
