"""The one table of the wire format."""

from importlib import import_module
from operator import attrgetter

from flame_flwr.payload.table import BY_CODE, ROWS

from .forging import CODES


def test_a_code_keeps_its_meaning():
    assert sorted(BY_CODE) == sorted(CODES.values())
    assert sum(hasattr(row, "code") for row in ROWS) == len(BY_CODE)


def test_every_type_has_one_row_and_exists():
    types = [each for row in ROWS for each in row.types]
    assert len(types) == len(set(types))
    for name in types:
        if isinstance(name, str):
            module, _, attribute = name.partition(":")
            assert isinstance(attrgetter(attribute)(import_module(module)), type)
