"""Who looks on sees that a node's SuperNode has gone, and the run itself takes no harm of that."""

import pytest

from flame_flwr.flower import OnlineNode
from flame_flwr.results.run_stage import RunStage
from flame_flwr.transport import presence
from flame_flwr.transport.presence import Presence


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def look(monkeypatch):
    """Return what looks after so many seconds, and with which nodes online."""
    monkeypatch.setattr(presence, "is_remote", lambda grid: True)
    stage, clock, asked = RunStage(), Clock(), []
    lost = []
    made = Presence(None, {"a": 1, "b": 2}, stage, lambda: lost, clock)

    def looking(seconds, online, without=()):
        lost[:] = without

        def nodes(grid):
            asked.append(clock.now)
            if online is None:
                raise ConnectionError("the SuperLink starts again")
            return {address: OnlineNode("", "") for address in online}

        monkeypatch.setattr(presence, "online_nodes", nodes)
        clock.now += seconds
        made.look()
        return stage.gone, len(asked)

    return looking


def test_a_node_that_has_gone_is_seen_and_also_when_it_is_back(look):
    assert look(2, [1, 2]) == ({}, 1)
    assert look(2, [2, 7])[0].keys() == {"a"}
    assert look(2, [1, 2]) == ({}, 3)


def test_a_node_whose_process_has_ended_is_gone_too(look):
    gone, _ = look(2, [1], without=["a"])
    assert gone == {"a": "its process has ended", "b": "its SuperNode is not online"}
    assert look(2, [1, 2]) == ({}, 2)


def test_the_superlink_is_not_asked_all_the_time(look):
    assert [look(0.5, [1])[1] for _ in range(9)] == [0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_a_superlink_that_does_not_answer_ends_nothing(look):
    look(2, [1])
    assert look(2, None)[0].keys() == {"b"}


def test_elsewhere_nobody_is_asked():
    Presence(None, {"a": 1}, RunStage(), now=Clock()).look()
