"""Who looks on sees that a node's SuperNode has gone, and the run itself takes no harm of that."""

from types import SimpleNamespace

import pytest

from flame_flwr.config import RunSettings
from flame_flwr.flower import OnlineNode
from flame_flwr.results.run_stage import RunStage
from flame_flwr.transport import grid, presence
from flame_flwr.transport.presence import Presence


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def look(monkeypatch, request):
    """Return what looks after so many seconds, and with which nodes online."""
    monkeypatch.setattr(presence, "is_remote", lambda grid: True)
    stage, clock, asked = RunStage(), Clock(), []
    lost = []
    idle = getattr(request, "param", False)
    made = Presence(None, {"a": 1, "b": 2}, stage, lambda: lost, ["a"], clock, idle=idle)

    def looking(seconds, online, without=()):
        lost[:] = without

        def nodes(grid):
            asked.append(clock.now)
            if online is None:
                raise ConnectionError("the SuperLink starts again")
            until = online if isinstance(online, dict) else dict.fromkeys(online, 60.0)
            return {address: OnlineNode("", "", until[address]) for address in until}

        monkeypatch.setattr(presence, "online_nodes", nodes)
        clock.now += seconds
        made.look()
        return stage.gone, len(asked)

    looking.stage, looking.clock = stage, clock
    return looking


def test_going_and_coming_back_are_seen(look):
    assert look(2, [1, 2]) == ({}, 1)
    assert look(2, [2, 7])[0].keys() == {"a"}
    assert look(2, [1, 2]) == ({}, 3)


def test_a_node_of_an_ended_process_is_gone(look):
    gone, _ = look(2, [1], without=["a"])
    assert gone == {"a": "its process has ended", "b": "its SuperNode is not online"}
    assert look(2, [1, 2]) == ({}, 2)


def test_the_superlink_is_not_asked_all_the_time(look):
    assert [look(0.15, [1])[1] for _ in range(9)] == [0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_of_many_nodes_it_is_asked_less_often(monkeypatch):
    monkeypatch.setattr(presence, "is_remote", lambda grid: True)
    asked, clock = [], Clock()
    monkeypatch.setattr(presence, "online_nodes", lambda grid: asked.append(clock.now) or {})
    made = Presence(None, {str(i): i for i in range(450)}, RunStage(), now=clock)
    for clock.now in range(1, 21):
        made.look()
    assert asked == [5, 10, 15, 20]


def silent_from(look, signs):
    """Return when node a is first not heard of, of which there are signs at these seconds."""
    while look.clock.now < 60:
        look(0.75, {1: 60.0 + max((at for at in signs if at <= look.clock.now), default=0.0), 2: 9})
        if look.stage.silent:
            return look.clock.now
    return None


@pytest.mark.parametrize(
    ("signs", "look", "seen"),
    [
        # as long as there are signs, and where each is half a second late
        (range(1, 70), False, None),
        ([i + i % 2 / 2 for i in range(1, 70)], False, None),
        (range(1, 21), False, 20.75 + 2.5),
        ([], False, 0.75 + 0.5 + 2.5),  # it has never begun
        ([], True, 0.75 + 3.0 + 2.5),  # it may have been idle, and asked for work every 3 s
    ],
    indirect=["look"],
)
def test_a_node_without_signs_is_not_heard_of(look, signs, seen):
    found = silent_from(look, signs)
    assert found == pytest.approx(seen, abs=1.0) if seen else found is None
    assert look.stage.silent == (("a",) if seen else ())  # never b, which gives none
    assert look.stage.signs.keys() == ({"a"} if signs else set())


def test_a_later_asked_node_has_its_time(look):
    look.stage.asked = {"1": "b"}
    assert silent_from(look, []) is None
    look.stage.asked["2"] = "a"  # which large messages come to one after the other
    look(0.75, [1, 2])
    assert look.stage.silent == ()
    for _ in range(5):
        look(0.75, [1, 2])
    assert look.stage.silent == ("a",)


def test_a_node_is_heard_of_again(look):
    assert silent_from(look, [1, 2]) < 60
    look(0.75, {1: 99.0, 2: 9})
    assert look.stage.silent == ()


def test_a_superlink_that_does_not_answer_ends_nothing(look):
    look(2, [1])
    assert look(2, None)[0].keys() == {"b"}


def test_elsewhere_nobody_is_asked():
    Presence(None, {"a": 1}, RunStage(), now=Clock()).look()


def test_long_asked_nodes_may_be_idle(monkeypatch):
    clock, made = Clock(), []
    clock.now = 1000.0
    monkeypatch.setattr(grid, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(grid, "push", lambda *_: ({}, []))
    monkeypatch.setattr(grid, "pull", lambda *_, **__: iter(()))
    monkeypatch.setattr(
        grid, "Presence", lambda *_, idle: made.append(idle) or SimpleNamespace(look=0)
    )
    transport = grid.GridTransport(None, RunSettings(), "session")
    for pause in (0, 5, 560, 590, 5):
        clock.now += pause
        list(transport.exchange([], "round 1"))
    assert made == [True, False, False, True, False]
