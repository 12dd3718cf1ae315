"""Every test of scripts works in an empty folder."""

import logging

import pytest


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch, caplog):
    """Work in an empty folder, with the framework's log at hand."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "flame_flwr")
    return caplog
