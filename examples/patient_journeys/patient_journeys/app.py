"""The study as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flame_flwr.data.expect import Mismatch, Table
from flame_flwr.errors import DataError
from flame_flwr.star import StarModel
from patient_journeys.analysis import JourneyAnalyzer, JourneyStrategy, both_sexes
from patient_journeys.events import OBSERVATIONS, PATIENTS, read_journeys

__all__ = ["EXPECTED", "CentreTables", "client_app", "model", "server_app"]


class CentreTables(Table):
    """What a centre's two files must be, looked at together before round 1.

    Each finding says what to do, and a centre whose files do not belong together is told, too.
    """

    def look(self, data: Any) -> Iterator[Mismatch]:
        """Yield the first thing that is not as expected of a node's files."""
        try:
            both_sexes(read_journeys(data).male)
        except DataError as error:
            yield Mismatch(error.message)


EXPECTED = [CentreTables((PATIENTS, OBSERVATIONS))]
"""What every centre's files must be, before the first round."""

model = StarModel(
    JourneyAnalyzer,
    JourneyStrategy,
    data_type="s3",
    query=[PATIENTS, OBSERVATIONS],
    expects=EXPECTED,
)
client_app = model.client_app
server_app = model.server_app
