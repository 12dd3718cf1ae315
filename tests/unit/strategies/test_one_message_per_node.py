"""A strategy of a user's own asks every node once: no answer is lost without a word."""

import pytest
from flwr.app import Message

from flame_flwr.aggregation import MaxRounds, Sum
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ModelError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy, StarStrategy


class One(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data

    def evaluation_method(self, data, result):
        return {"share": data / result}


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


def run(kind, link):
    """Run a strategy in the tester or over a Grid."""
    if link == "tester":
        StarModelTester([1, 2, 4], One, kind(Total), "s3", simple_analysis=False)
        return
    with LocalGrid(NodePlan(One, data_type="s3"), [1, 2, 4]) as grid:
        kind(Total).start(grid, simple_analysis=False)


def failed(kind, link):
    """Return what the run of a strategy ends with."""
    with pytest.raises(ModelError) as caught:
        run(kind, link)
    return str(caught.value)


LINKS = pytest.mark.parametrize("link", ["tester", "grid"])


def again(messages, place):
    """Return the messages and one more for the node of that one."""
    messages = list(messages)
    first = messages[place]
    more = Message(first.content, first.metadata.dst_node_id, first.metadata.message_type)
    return [*messages, more]


@LINKS
def test_two_messages_for_a_node_are_refused(link):
    class Twice(StarStrategy):
        def configure_train(self, server_round, arrays, config, grid):
            messages = super().configure_train(server_round, arrays, config, grid)
            return again(messages, 1) if server_round == 2 else messages

    said = failed(Twice, link)
    assert "Twice.configure_train, round 2: there are two messages for node node-1" in said
    assert "one message per node" in said


@LINKS
def test_the_evaluation_refuses_two_messages_for_a_node(link):
    class Twice(StarStrategy):
        def configure_evaluate(self, server_round, arrays, config, grid):
            return again(super().configure_evaluate(server_round, arrays, config, grid), 2)

    said = failed(Twice, link)
    assert (
        "Twice.configure_evaluate, the evaluation: there are two messages for node node-2" in said
    )


@LINKS
@pytest.mark.parametrize("method", ["configure_train", "configure_evaluate"])
def test_a_message_to_a_stranger_is_refused(link, method):
    def stray(self, server_round, arrays, config, grid):
        messages = list(getattr(super(kind, self), method)(server_round, arrays, config, grid))
        return [*messages, Message(messages[0].content, 77, messages[0].metadata.message_type)]

    kind = type("Stray", (StarStrategy,), {method: stray})
    said = failed(kind, link)
    assert f"Stray.{method}" in said
    assert "goes to node 77, which takes no part in this run; its nodes are node-0 (" in said


@LINKS
@pytest.mark.parametrize(("answer", "named"), [(None, "NoneType"), ([3], "int")])
def test_what_is_no_message_is_refused(link, answer, named):
    class Odd(StarStrategy):
        def configure_train(self, server_round, arrays, config, grid):
            return answer

    said = failed(Odd, link)
    assert f"Odd.configure_train, round 1: it must return messages, not {named}" in said


@LINKS
@pytest.mark.parametrize("method", ["aggregate_train", "aggregate_evaluate"])
def test_an_answer_handed_over_twice_is_refused(link, method):
    def twice(self, server_round, replies):
        replies = list(replies)
        return getattr(super(kind, self), method)(server_round, [*replies, replies[1]])

    kind = type("Twice", (StarStrategy,), {method: twice})
    said = failed(kind, link)
    assert "the strategy hands over a second answer of node node-1" in said
    assert "round 1" in said if method == "aggregate_train" else "the evaluation" in said


@LINKS
def test_an_answer_of_an_earlier_round_is_refused(link):
    class Old(StarStrategy):
        def aggregate_train(self, server_round, replies):
            replies = list(replies)
            if server_round == 2:
                replies[0] = self.first
            self.first = replies[0]
            return super().aggregate_train(server_round, replies)

    assert "round 2: the strategy hands over an answer to a message that was not" in failed(
        Old, link
    )


def test_a_declared_strategy_counts_no_answer_twice():
    class Twice(ReduceStrategy):
        reductions = Sum()
        convergence = MaxRounds(1)

        def aggregate_train(self, server_round, replies):
            replies = list(replies)
            return super().aggregate_train(server_round, [*replies, *replies])

    with pytest.raises(ModelError, match="a second answer of node node-0"):
        StarModelTester([1, 2, 4], One, Twice, "s3")


def test_nodes_may_be_left_out_in_any_order():
    class Some(StarStrategy):
        def configure_train(self, server_round, arrays, config, grid):
            messages = list(super().configure_train(server_round, arrays, config, grid))
            return reversed(messages[:2])

    with LocalGrid(NodePlan(One, data_type="s3"), [1, 2, 4]) as grid:
        settings = RunSettings.from_config({})
        result = Some(Total).start(grid, settings=settings, simple_analysis=False)
    assert result.record.aggregate == 3
