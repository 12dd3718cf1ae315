"""The study a second time: pandas, plain loops and plain PyTorch, without the framework."""

from __future__ import annotations

import io
import math
from collections import Counter
from datetime import date

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

START, DAYS, BINS, K, LEAST = date(2006, 1, 1), 360, 21, 30, 5


def tables(files):
    patients = pd.read_csv(io.BytesIO(files["patients.csv"]))
    events = pd.read_csv(io.BytesIO(files["observations.csv"]))
    return patients, events


def bin_of(day):
    return (date.fromisoformat(day[:10]) - START).days // DAYS


def vocabulary(centres):
    total = Counter()
    for _, events in centres:
        events = events[[0 <= bin_of(day) < BINS for day in events["DATE"]]]
        had = events.groupby("CODE")["PATIENT"].nunique()
        frequent = set(had[had >= LEAST].index)
        total.update(code for code in events["CODE"] if code in frequent)
    return [code for code, _ in sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))][:K]


def tensor(patients, events, codes):
    """One event after another."""
    rows = {name: i for i, name in enumerate(patients["Id"])}
    columns = {code: i for i, code in enumerate(codes)}
    cube = np.zeros((len(rows), BINS, len(codes)), np.float32)
    for patient, day, code in zip(events["PATIENT"], events["DATE"], events["CODE"], strict=True):
        if code in columns:
            place = bin_of(day)
            if 0 <= place < BINS:
                cube[rows[patient], place, columns[code]] = 1
    return cube


def kept(target):
    """Return the patients that are tested with: a quarter of each sex."""
    rng = np.random.default_rng(42)
    chosen = np.zeros(len(target), bool)
    for sex in (0, 1):
        rows = rng.permutation(np.flatnonzero(target == sex))
        chosen[rows[: len(rows) // 4]] = True
    return chosen


def network(inputs):
    return nn.Sequential(
        nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid(), nn.Flatten(0)
    )


def averaged(states, weights):
    """Return the mean of each number, as exact as a float64 can be, in float32."""
    total = sum(weights)
    mean = {}
    for name, first in states[0].items():
        flat = [state[name].numpy().astype(np.float64).ravel() for state in states]
        sums = [
            math.fsum(w * x for w, x in zip(weights, xs, strict=True))
            for xs in zip(*flat, strict=True)
        ]
        values = (np.array(sums) / total).astype(np.float32)
        mean[name] = torch.tensor(values.reshape(tuple(first.shape)))
    return mean


def reference(files, rounds, epochs=5, batch=16, rate=1e-3):
    """Return the codes, and per round the averaged weights, the losses and the accuracies."""
    torch.set_num_threads(1)
    centres = [tables(each) for each in files]
    codes = vocabulary(centres)
    nodes = []
    for patients, events in centres:
        target = (patients["GENDER"] == "M").to_numpy().astype(np.float32)
        x = tensor(patients, events, codes).mean(axis=1)
        test = kept(target)
        nodes.append((torch.tensor(x[~test]), torch.tensor(target[~test])))
    torch.manual_seed(0)
    common = network(len(codes)).state_dict()
    path = []
    for number in range(1, rounds + 1):
        states, losses, right = [], [], []
        for x, y in nodes:
            model = network(len(codes))
            model.load_state_dict(common)
            chance = torch.Generator().manual_seed(number + 1)  # the first round agrees on codes
            loader = DataLoader(TensorDataset(x, y), batch, shuffle=True, generator=chance)
            optimizer = torch.optim.Adam(model.parameters(), lr=rate)
            for _ in range(epochs):
                total = 0.0
                for features, sexes in loader:
                    optimizer.zero_grad()
                    loss = nn.functional.binary_cross_entropy(model(features), sexes)
                    loss.backward()
                    optimizer.step()
                    total += loss.item() * len(sexes)
            losses.append(total / len(y))
            right.append(float(((model(x) >= 0.5) == y).double().mean()))
            states.append(model.state_dict())
        common = averaged(states, [len(y) for _, y in nodes])
        path.append({"model": common, "loss": losses, "accuracy": right})
    return codes, path
