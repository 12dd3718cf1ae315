"""A pickle leaves, or arrives, where the study and the node both allow it."""

from __future__ import annotations

import numpy as np
import pytest

from flame_flwr.errors import ConfigError, PayloadError
from flame_flwr.payload import Payload, decode, encode
from flame_flwr.payload.opaque import holds_pickle
from flame_flwr.payload.table import PICKLE
from flame_flwr.privacy import (
    MaxRows,
)
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study


def test_a_node_may_take_and_offer_no_pickles():
    never, payload = Gate("a", pickles=False), encode(object(), allow_pickle=True)
    with pytest.raises(PayloadError, match="loads and sends no pickles"):
        never.arrives(payload)
    with pytest.raises(ConfigError, match="loads and sends no pickles"):
        never.hello(Study(allow_pickle=True), evaluates=False)


@pytest.mark.parametrize("rules", [(), (MaxRows(100),)])
@pytest.mark.parametrize(("pickles", "declared"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize(
    "header",
    [
        encode({"x": [object()]}, allow_pickle=True).header,
        encode({"x": [object()]}, allow_pickle=True).header.replace(b"\xc7\0", b"\xc8\0\0"),
        encode({"x": [object()]}, allow_pickle=True).header.replace(b"\xc7\0", b"\xc9\0\0\0\0"),
    ],
    ids=["ext8", "ext16", "ext32"],
)
def test_a_pickle_leaves_where_both_allow_it(header, rules, pickles, declared):
    """Whatever else holds, and however its marker is written."""
    allowed = Gate("a", rules, pickles=True).result(Payload(header), Study(allow_pickle=True), 1)
    assert type(decode(allowed.payload, allow_pickle=True)["x"][0]) is object
    with pytest.raises(PayloadError, match="pickle"):
        Gate("a", rules, pickles=pickles).result(Payload(header), Study(allow_pickle=declared), 1)


@pytest.mark.parametrize("pickles", [True, False])
def test_bytes_like_a_pickles_marker_leave(pickles):
    value = {"text": "x", b"\xc7\0" + bytes([PICKLE.code]): (1, "\0"), 1: np.arange(3), (1, 2): 2j}
    assert holds_pickle(encode(value)) is False
    passed = Gate("a", pickles=pickles).result(encode(value), Study(), 1)
    assert repr(decode(passed.payload)) == repr(value)
