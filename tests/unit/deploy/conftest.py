"""Fixtures of the tests of provisioning."""

import pytest

from .trial import provisioned, read


@pytest.fixture
def federation(tmp_path):
    return read(tmp_path)


@pytest.fixture
def made(tmp_path):
    return provisioned(tmp_path)
