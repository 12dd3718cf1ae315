"""Fixtures of the tests of data sources."""

import logging

import pytest


@pytest.fixture
def write_registry(tmp_path):
    """Write a registry of this text; return its path."""

    def write(text):
        path = tmp_path / "datasets.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def warnings(caplog):
    """Return what has been warned of."""
    caplog.set_level(logging.WARNING, logger="flame_flwr")
    return lambda: [record.getMessage() for record in caplog.records]
