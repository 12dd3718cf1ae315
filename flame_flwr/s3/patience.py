"""How long to wait for an S3-compatible store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

__all__ = ["BRIEF", "LONG", "Patience"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a store.

    Parameters
    ----------
    connect : float
        Seconds for a connection.
    request : float
        Seconds for one request; a file goes in requests of 5 MB.
    retry : float
        Seconds after which a request is not tried again.
    retries : int
        How often a request is tried again.
    stalled : float
        Seconds without a byte after which a request has failed; 0 leaves it to `request`.
    """

    connect: float
    request: float
    retry: float
    retries: int
    stalled: float = 0

    def options(self) -> ClientConfig:
        """Return obstore's ``client_options``."""
        options: ClientConfig = {
            "connect_timeout": timedelta(seconds=self.connect),
            "timeout": timedelta(seconds=self.request),
        }
        if self.stalled:
            options["read_timeout"] = timedelta(seconds=self.stalled)
        return options

    def retry_config(self) -> RetryConfig:
        """Return obstore's ``retry_config``."""
        return {
            "max_retries": self.retries,
            "retry_timeout": timedelta(seconds=self.retry),
            "backoff": {
                "init_backoff": timedelta(seconds=0.2),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        }


BRIEF = Patience(connect=5, request=20, retry=15, retries=3)
"""Where somebody waits for the answer: at the start of a run, after its failure, in a terminal."""

LONG = Patience(connect=10, request=120, retry=120, retries=1000)
"""Where a result would be lost: a store may restart within the two minutes."""
