"""Whom statistics are about, as it comes to the gate: bitmaps that another process has made."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from flame_flwr.errors import PayloadError
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.statistics.people_sets import PeopleSets


def test_sets_travel_to_the_gate_as_bitmaps():
    everyone = np.arange(20_000, dtype=np.uint64)
    parts = [everyone, None, everyone[5:10_000], everyone.copy()]
    sets = PeopleSets.of_parts(parts)
    assert (len(sets.sets), sets.of) == (2, (0, -1, 1, 0))
    read = Study.from_bytes(Study(evidence=Evidence(sets=sets)).to_bytes()).evidence.sets
    for part, given in enumerate(parts):
        assert given is None or np.array_equal(read.ids(part), given)
    assert read.ids(1) is None


@pytest.mark.parametrize(
    "said",
    [
        3,
        {},
        {"people": "AAAA", "sets": [], "of": []},
        {"people": "?", "sets": [], "of": []},
        {"people": "", "sets": ["AAAA"], "of": [0]},
        {"people": "", "sets": [], "of": [0]},
        {"people": "", "sets": [], "of": ["x"]},
        {"people": "", "sets": [""] * 6000, "of": [], "cells": []},
        {"people": "", "sets": [], "of": [], "cells": [[0, 0]]},
        {"people": "", "sets": [], "of": [], "cells": [["x"]]},
        {"people": "", "sets": [], "of": [-1], "cells": [[0, *[-1] * 100_000]]},
    ],
)
def test_sets_of_another_form_are_refused(said):
    with pytest.raises(PayloadError, match="cannot be read"):
        Evidence.from_json({"sets": said})


def test_a_bitmap_bomb_is_refused_unread():
    bomb = base64.b64encode(zlib.compress(bytes(5_000_000), 9)).decode()
    with pytest.raises(PayloadError, match="cannot be read"):
        Evidence.from_json({"sets": {"people": "", "sets": [bomb], "of": [0]}})
