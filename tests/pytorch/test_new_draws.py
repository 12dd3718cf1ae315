"""A message's process is a fork: of what it was forked from it keeps no random numbers."""

import random

import numpy as np
import torch

from flame_flwr.node.message_process import _draw_new_numbers


def drawn():
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_every_library_draws_anew():
    found = []
    for _ in range(3):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        _draw_new_numbers()
        found.append(drawn())
    assert [len(set(each)) for each in zip(*found, strict=True)] == [3, 3, 3]
