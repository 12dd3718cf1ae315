"""Every example is an app that Flower finds, and takes the run config that its README gives it.

Its numbers are in its own tests. That an app has the same ones in a simulation and on a deployment
is in ``tests/integration``.
"""

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from snippets import texts

from flame_flwr.app_folder import App

APPS = sorted(path.parent for path in Path(__file__).parent.glob("*/pyproject.toml"))
STARTS = re.compile(r"^(?:flwr run|flame-flwr submit) \.[^#\n]*--run-config[^#\n]*", re.M)


@pytest.mark.parametrize("folder", APPS, ids=lambda folder: folder.name)
def test_flower_finds_both_components(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    about = tomllib.loads((folder / "pyproject.toml").read_text())
    named = about["tool"]["flwr"]["app"]["components"]
    for key, kind in (("serverapp", ServerApp), ("clientapp", ClientApp)):
        module, _, name = named[key].partition(":")
        assert isinstance(getattr(importlib.import_module(module), name), kind)


def commands(folder):
    for text in texts(folder / "README.md", "bash"):
        for command in STARTS.findall(re.sub(r"\\\n *", "", text)):
            words = shlex.split(command)
            yield [words[k + 1] for k, word in enumerate(words) if word == "--run-config"]


@pytest.mark.parametrize("folder", APPS, ids=lambda folder: folder.name)
def test_its_readmes_run_config_is_taken(folder):
    given = list(commands(folder))
    assert given
    for texts_given in given:
        assert App.read(folder).overrides(texts_given)
