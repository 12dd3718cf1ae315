"""What stands in Flower's log of an error: of ours the message, of the app's the traceback."""

import io
import logging
import re

import pytest

from flame_flwr.errors import ConfigError
from flame_flwr.failure.brief_errors import show_errors_briefly


@pytest.fixture
def flowers_log(monkeypatch):
    """What Flower's logger says from now on."""
    logger, text = logging.getLogger("flwr"), io.StringIO()
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(text)])
    monkeypatch.setattr(logger, "filters", [])
    show_errors_briefly()
    show_errors_briefly()
    assert len(logger.filters) == 1
    return text.getvalue


def fail(error):
    try:
        try:
            raise FileNotFoundError("/proc/x")
        except FileNotFoundError as cause:
            error.add_note("name another folder")
            raise error from cause
    except Exception as caught:
        logging.getLogger("flwr").error("%s raised an exception", "ServerApp", exc_info=caught)


def test_our_errors_are_message_and_place(flowers_log):
    fail(ConfigError("`results` cannot be written to"))
    lines = flowers_log().splitlines()
    assert lines[:3] == [
        "ServerApp raised an exception",
        "flame_flwr.errors.ConfigError: `results` cannot be written to",
        "name another folder",
    ]
    assert [re.sub(r":\d+", "", line) for line in lines[3:]] == ["at test_brief_errors.py in fail"]


def test_an_apps_own_error_keeps_its_traceback(flowers_log):
    fail(ValueError("no such column"))
    assert flowers_log().count("Traceback") == 2
    assert "ValueError: no such column" in flowers_log()
