"""Which device is chosen, and that batches get there. No machine of the tests has a second one."""

from collections import namedtuple

import pytest

torch = pytest.importorskip("torch")

from flame_flwr.errors import ModelError  # noqa: E402
from flame_flwr.torch.devices import device_of, moved  # noqa: E402

from .networks import odd, run  # noqa: E402


class Chosen:
    def __init__(self, device):
        self.device = device


@pytest.mark.parametrize(
    ("device", "has_cuda", "expected"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
        ("cuda:1", True, "cuda:1"),
    ],
)
def test_the_choice(monkeypatch, device, has_cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    assert device_of(Chosen(device)) == torch.device(expected)


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="device is 'cuda:1', and this node has no graphics card"):
        run(odd(device="cuda:1"))
    with pytest.raises(ModelError, match="PyTorch knows no device 'gpu'"):
        run(odd(device="gpu"))
    with pytest.raises(ModelError, match="device must be a text"):
        run(odd(device=0))


def test_tensors_are_moved_at_any_depth():
    pair = namedtuple("Pair", "x y")
    there, here = torch.device("meta"), torch.zeros(2)
    batch = moved({"a": [here, "text"], "b": (here, 3), "c": pair(here, None)}, there)
    assert [each.device.type for each in (batch["a"][0], batch["b"][0], batch["c"].x)] == [
        "meta"
    ] * 3
    assert (batch["a"][1], batch["b"][1], batch["c"].y) == ("text", 3, None)
    assert moved(here, torch.device("cpu")) is here


def test_a_batch_goes_where_the_model_is(monkeypatch):
    """A model on ``meta`` computes shapes only, which tells whether all is in one place."""
    from flame_flwr.torch import rounds, training

    seen = set()

    class There(odd()):
        def loss(self, batch):
            seen.update(each.device.type for each in (*batch, *self.net.parameters()))
            raise KeyError

    for module in (rounds, training):
        monkeypatch.setattr(module, "device_of", lambda analyzer: torch.device("meta"))
    with pytest.raises(KeyError):
        run(There, rounds=1)
    assert seen == {"meta"}
