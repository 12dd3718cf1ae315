"""Three nodes that sum, and what their server knows."""

import pytest
from secure_federation import Federation

from .three_nodes import DECLARED


@pytest.fixture
def federation():
    return Federation(DECLARED)
