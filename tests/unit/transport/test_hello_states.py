"""Before an analysis goes on, hello names the nodes that cannot go on."""

import pytest

from flame_flwr.errors import NodeFailedError
from flame_flwr.transport.greeting import Greeting
from flame_flwr.transport.ready_check import check_states


def test_a_node_that_lost_its_analyzer_is_named():
    greetings = [
        Greeting(1, "a", keeps_state=True, states=(3, 4)),
        Greeting(2, "b", keeps_state=True, states=(6, 7)),
        Greeting(3, "c", keeps_state=True),
        Greeting(4, "d"),
    ]
    with pytest.raises(NodeFailedError) as raised:
        check_states(greetings, {"a": 4, "b": 5, "c": 5, "d": 5}, resumable=True)
    text = str(raised.value)
    assert "3 nodes lost their part of it" in text
    assert (
        "b: no analyzer of round 5; it has that of round 6 and 7: the checkpoint is older" in text
    )
    assert "c: no analyzer of round 5; its `state-dir` was cleaned" in text
    assert "d: no analyzer of round 5; it has no `state-dir`" in text


def test_who_keeps_nothing_for_a_resume_is_named(caplog):
    greetings = [Greeting(1, "a", keeps_state=True), Greeting(2, "b"), Greeting(3, "c")]
    check_states(greetings, {}, resumable=True)
    assert caplog.messages[-1].endswith("could not be resumed after a round: b, c")
    caplog.clear()
    check_states(greetings, {}, resumable=False)
    assert caplog.messages == []
