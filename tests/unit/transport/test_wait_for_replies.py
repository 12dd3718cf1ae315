"""Sending and taking replies: late, in any order, a few at a time where they are large."""

import os
import time
from types import SimpleNamespace

import pytest
from echo import Analyzer
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.superlink.grid import InMemoryGrid

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import NodesMissingError
from flame_flwr.flower import HELLO, messages_at_once
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy
from flame_flwr.transport import grid as transport_grid
from flame_flwr.transport.arrivals import Arrivals, Sizes
from flame_flwr.transport.wait_for_replies import NO_ANSWER, pull, push


class HesitantGrid(LocalGrid):
    """Holds back the replies of some nodes for so many polls, and notes what it is asked for."""

    def __init__(self, nodes, hold=None):
        super().__init__(NodePlan(Analyzer, data_type="none"), [None] * nodes)
        self.hold = dict(hold or {})
        self.asked = []

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        self.asked.append(len(ids))
        ready = []
        for key in ids:
            node = self.messages[key].metadata.dst_node_id if key in self.messages else None
            if self.hold.get(node, 0) > 0:
                self.hold[node] -= 1
            else:
                ready.append(key)
        return super().pull_messages(ready)


def hellos(grid):
    content = {"getpropertiesins.config": ConfigRecord({})}
    return [Message(RecordDict(content), address, HELLO) for address in grid.get_node_ids()]


def said(reply):
    return reply.content["getpropertiesres.properties"]["name"]


def names(replies):
    return [said(reply) for reply in replies]


def exchange(grid, timeout=5.0, largest=1):
    sent, _ = push(grid, hellos(grid), "hello")
    return pull(
        grid, sent, timeout=timeout, arrivals=Arrivals(grid, 2**30, Sizes(largest)), what="x"
    )


@pytest.mark.parametrize(
    ("nodes", "hold", "largest", "expected", "asked"),
    [
        (0, {}, 1, [], []),
        (3, {}, 1, [0, 1, 2], [3]),
        (3, {1: 4, 2: 2}, 1, [2, 1, 0], [3, 2, 2, 1, 1]),
        (4, {4: 2}, 1, [0, 1, 2, 3], [4, 1, 1]),
        (7, {}, 30 * 2**20, [0, 1, 2, 3, 4, 5, 6], [2, 2, 2, 1]),
        (3, {2: 1}, 2**40, [0, 2, 1], [1, 1, 1, 1]),
    ],
)
def test_replies_are_yielded_as_they_come(nodes, hold, largest, expected, asked):
    """What is still missing is asked for again, and large replies a few at a time."""
    with HesitantGrid(nodes, hold) as grid:
        assert names(exchange(grid, largest=largest)) == [f"node-{i}" for i in expected]
    assert grid.asked == asked


def test_replies_know_which_message_they_answer():
    with HesitantGrid(3, hold={1: 1}) as grid:
        sent, _ = push(grid, hellos(grid), "hello")
        replies = list(pull(grid, sent, timeout=5.0, arrivals=Arrivals(grid), what="x"))
        assert len(replies) == 3
        for reply in replies:
            asked = sent[reply.metadata.reply_to_message_id].metadata.dst_node_id
            assert said(reply) == f"node-{asked - 1}"


def test_a_silent_node_has_an_error_reply():
    with HesitantGrid(2, hold={2: 10**9}) as grid:
        started = time.monotonic()
        first, second = exchange(grid, timeout=0.1)
        took = time.monotonic() - started
    assert said(first) == "node-0"
    assert second.has_error()
    assert second.error.code == NO_ANSWER
    assert second.error.reason == "no answer within 0 s"
    assert second.metadata.reply_to_message_id == "message-2"
    assert 0.1 <= took < 30


def test_a_slow_caller_loses_no_reply():
    with HesitantGrid(3) as grid:
        replies = []
        for reply in exchange(grid, timeout=0.05):
            time.sleep(0.04)
            replies.append(reply)
    assert names(replies) == ["node-0", "node-1", "node-2"]


def test_a_reply_at_the_limit_is_taken():
    with HesitantGrid(1, hold={1: 1}) as grid:
        [reply] = exchange(grid, timeout=0.02)
    assert not reply.has_error()


class LargeGrid(HesitantGrid):
    """Its nodes answer with so many bytes each."""

    def __init__(self, sizes, hold=None):
        super().__init__(len(sizes), hold)
        self.sizes = dict(enumerate(sizes, start=1))

    def answer(self, message):
        reply = super().answer(message)
        data = bytes(self.sizes[message.metadata.dst_node_id])
        array = Array("uint8", (len(data),), "numpy.ndarray", data)
        reply.content["arrays"] = ArrayRecord({"0": array})
        return reply


def test_the_largest_reply_so_far_counts(monkeypatch):
    monkeypatch.setattr("flame_flwr.transport.arrivals._PULLED_AT_ONCE", 100)
    with LargeGrid([10, 60, 10, 10], hold={3: 1, 4: 1}) as grid:
        assert len(list(exchange(grid, largest=0))) == 4
    assert grid.asked == [1, 3, 1, 1]


def test_small_replies_are_pulled_together(monkeypatch):
    monkeypatch.setattr("flame_flwr.transport.arrivals._PULLED_AT_ONCE", 100)
    with LargeGrid([10, 10, 10, 10, 10]) as grid:
        assert len(list(exchange(grid, largest=0))) == 5
    assert grid.asked == [1, 4]


def test_a_reply_that_comes_twice_is_taken_once():
    class Twice(HesitantGrid):
        def pull_messages(self, message_ids):
            replies = super().pull_messages(message_ids)
            return [*replies, *replies]

    with Twice(2) as grid:
        assert names(exchange(grid)) == ["node-0", "node-1"]


class RefusingGrid(HesitantGrid):
    """Takes no message for its second node, as a SuperLink does for one that has gone."""

    def push_messages(self, messages):
        ids = super().push_messages(messages)
        return [ids[0], None, *ids[2:]]


def test_refused_messages_are_told_from_sent_ones():
    with RefusingGrid(3) as grid:
        messages = hellos(grid)
        sent, refused = push(grid, messages, "round 4")
    assert list(sent.values()) == [messages[0], messages[2]]
    assert refused == [messages[1]]


class CrowdedGrid(HesitantGrid):
    """Notes how many messages are under way when one more is pushed."""

    def push_messages(self, messages):
        ids = super().push_messages(messages)
        self.asked.append(len(self.messages))
        return ids


def after_the_first(grid, at_once, timeout=5.0):
    """Exchange hellos of which so many are under way at once."""
    messages = hellos(grid)
    sent, _ = push(grid, messages[:at_once], "hello")
    known = {key: f"node-{message.metadata.dst_node_id - 1}" for key, message in sent.items()}
    later = {f"node-{each.metadata.dst_node_id - 1}": each for each in messages[at_once:]}
    arrivals = Arrivals(grid)
    replies = pull(
        grid, sent, timeout=timeout, arrivals=arrivals, what="x", names=known, later=later
    )
    return known, list(replies)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_few_messages_are_under_way_at_once(at_once):
    with CrowdedGrid(5, hold={2: 3}) as grid:
        known, replies = after_the_first(grid, at_once)
        assert sorted(names(replies)) == [f"node-{number}" for number in range(5)]
        assert max(grid.asked) == at_once
    for reply in replies:
        assert known[reply.metadata.reply_to_message_id] == said(reply)


def test_nodes_never_asked_are_named_at_the_limit():
    with CrowdedGrid(3, hold={1: 10**9}) as grid:
        known, replies = after_the_first(grid, at_once=1, timeout=0.05)
    assert [reply.error.code for reply in replies] == [NO_ANSWER] * 3
    who = [known[reply.metadata.reply_to_message_id] for reply in replies]
    assert who == ["node-0", "node-1", "node-2"]


def test_a_node_gone_before_its_turn_is_named():
    class Going(CrowdedGrid):
        def push_messages(self, messages):
            ids = super().push_messages(messages)
            return [
                None if each.metadata.dst_node_id == 3 else key
                for key, each in zip(ids, messages, strict=True)
            ]

    with Going(3) as grid:
        known, replies = after_the_first(grid, at_once=1)
    assert names(replies[:2]) == ["node-0", "node-1"]
    assert replies[2].error.reason == "its SuperNode is gone"
    assert known[replies[2].metadata.reply_to_message_id] == "node-2"


def test_only_simulations_are_asked_in_parts():
    simulated = InMemoryGrid(SimpleNamespace(state=dict))
    assert messages_at_once(simulated) >= (os.cpu_count() or 1)
    with HesitantGrid(3) as grid:
        assert messages_at_once(grid) is None


def test_a_round_asked_by_twos_has_all_answers(monkeypatch):
    monkeypatch.setattr(transport_grid, "messages_at_once", lambda grid: 2)

    class Numbers(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return data

    class Total(StarAggregator):
        def aggregation_method(self, analysis_results):
            return sum(analysis_results)

        def has_converged(self, result, last_result):
            return True

    with LocalGrid(NodePlan(Numbers, data_type="s3"), [1, 20, 300, 4000, 50000]) as grid:
        result = StarStrategy(Total).start(grid)
    assert result.record.result == 54321
    assert list(result.record.history[0].node_seconds) == [f"node-{i}" for i in range(5)]


def test_too_large_messages_are_an_error(monkeypatch):
    with HesitantGrid(3) as grid:
        monkeypatch.setattr(grid, "push_messages", lambda messages: [])
        with pytest.raises(NodesMissingError) as raised:
            push(grid, hellos(grid), "round 4")
    text = "round 4: the SuperLink took none of 3 messages: they are too large"
    assert str(raised.value) == text


def test_after_a_reply_waits_are_short_again(monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with HesitantGrid(3, hold={1: 6, 2: 3}) as grid:
        assert names(exchange(grid)) == ["node-2", "node-1", "node-0"]
    first = waited[0]
    expected = [first, first * 1.4, first * 1.4**2] * 2
    assert waited == pytest.approx(expected)


def test_many_nodes_are_polled_less_often(monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr("flame_flwr.transport.wait_for_replies._WAIT_PER_NODE", 1.0)
    with HesitantGrid(3, hold={1: 1, 2: 2}) as grid:
        assert len(list(exchange(grid))) == 3
    assert waited == [2.0, 1.0]
