"""Every example in a docstring runs, and gives what it shows."""

import doctest
import importlib
from pathlib import Path

import pytest

import flame_flwr

HERE = Path(flame_flwr.__file__).parent
SPAWNING = {"flame_flwr.testing.kit"}
"""Makes processes: ``tests/integration/check`` runs it with the other checks."""


def modules():
    """Name every module of ours with an example; an app-template is no module of ours."""
    folders = (HERE, HERE / "clients", HERE / "strategies")  # links in a checkout
    for file in {file for folder in folders for file in folder.rglob("*.py")}:
        path = file.relative_to(HERE)
        if "app-templates" not in path.parts and ">>> " in file.read_text(encoding="utf-8"):
            yield ".".join(["flame_flwr", *path.with_suffix("").parts]).removesuffix(".__init__")


@pytest.mark.parametrize("name", sorted(set(modules()) - SPAWNING))
def test_its_examples_give_what_they_show(name):
    if name.startswith("flame_flwr.torch."):
        pytest.importorskip("safetensors")
    module = importlib.import_module(name)
    if ">>> import torch" in Path(str(module.__file__)).read_text(encoding="utf-8"):
        pytest.importorskip("torch")
    found = doctest.testmod(module)
    assert found.attempted
    assert found.failed == 0
