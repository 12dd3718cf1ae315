"""Nodes in this process: strategies are obeyed, exceptions come through, nothing is shared."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from flame_flwr.aggregation import MaxRounds, Mean
from flame_flwr.flower import in_process
from flame_flwr.payload import decode, decoder, encode, from_record, to_record
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy, StarStrategy
from flame_flwr.transport.local_message import LocalReply, LocalRequest, address_of
from flame_flwr.transport.read_reply import read_result


class Rows(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        if data is None:
            raise KeyError("rows")
        self.flame.report_metrics(loss=0.5)
        return {"rows": len(data), "model": np.full((60, 60), float(len(data)))}


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(result["rows"] for result in analysis_results)

    def has_converged(self, result, last_result):
        return True


@pytest.fixture
def reply():
    """A reply to a round in this process."""
    with in_process(1, 0):
        asked = Message(RecordDict(), dst_node_id=1, message_type="train")
        yield LocalReply(encode({"rows": 3}), {"seconds": 0.5, "loss": 1.0}, asked)


def test_a_reply_is_read_without_records(reply):
    read = read_result(reply, "node-0")
    assert (read.node, read.value, read.seconds, read.metrics) == (
        "node-0",
        {"rows": 3},
        0.5,
        {"loss": 1.0},
    )
    assert reply.unread is not None


def test_a_reply_has_the_records_of_flowers_clients(reply):
    assert decode(from_record(reply.content["fitres.parameters"])) == {"rows": 3}
    assert dict(reply.content["fitres.metrics"]) == {"seconds": 0.5, "loss": 1.0}
    assert reply.content["fitres.num_examples"]["num_examples"] == 1
    assert reply.content is reply.content
    assert read_result(reply, "node-0").value == {"rows": 3}


def test_a_change_of_a_replys_records_counts(reply):
    reply.content["fitres.parameters"] = to_record(encode({"rows": 7}))
    assert read_result(reply, "node-0").value == {"rows": 7}


def test_a_replys_records_may_be_replaced(reply):
    reply.content = RecordDict({"fitres.parameters": ArrayRecord(), "x": ConfigRecord()})
    assert read_result(reply, "node-0").failure.type == "unreadable"
    reply.content = RecordDict({"fitres.metrics": ConfigRecord()})
    assert read_result(reply, "node-0").failure.type == "PayloadError"


@pytest.fixture
def request_to_one():
    """A message to a node in this process."""
    with in_process(1, 0):
        arrays, config = to_record(encode(2.5)), ConfigRecord({"round": 4})
        yield LocalRequest("train", 1, arrays, config, ttl=9.0, group_id="4")


def test_a_request_has_what_flowers_server_sends(request_to_one):
    assert address_of(request_to_one) == 1
    assert not request_to_one.made
    assert list(request_to_one.content) == ["fitins.parameters", "fitins.config"]
    assert request_to_one.content["fitins.config"]["round"] == 4
    metadata = request_to_one.metadata
    assert (metadata.dst_node_id, metadata.message_type) == (1, "train")
    assert (metadata.ttl, metadata.group_id) == (9.0, "4")


def test_a_reply_names_the_message_it_answers(request_to_one):
    request_to_one.message_id = "message-7"
    reply = LocalReply(encode(None), {}, request_to_one)
    assert reply.metadata.reply_to_message_id == "message-7"
    assert (reply.metadata.src_node_id, reply.metadata.group_id) == (1, "4")
    assert (reply.has_content(), reply.has_error()) == (True, False)
    with pytest.raises(ValueError, match="error is None"):
        _ = reply.error


def test_a_strategys_change_of_a_message_counts():
    class Changes(StarStrategy):
        def configure_train(self, server_round, arrays, config, grid):
            first, second = super().configure_train(server_round, arrays, config, grid)
            first.metadata.dst_node_id = second.metadata.dst_node_id
            first.content["fitins.parameters"] = to_record(encode(7))
            return [first]

    class Sees(Rows):
        def analysis_method(self, data, aggregator_results):
            return {"rows": aggregator_results * len(data)}

    assert StarModelTester([[1], [2, 3]], Sees, Changes(Total), "s3").result == 14


def test_a_strategy_reads_and_changes_what_arrives():
    class Doubled(StarStrategy):
        def aggregate_train(self, server_round, replies):
            replies = list(replies)
            for each in replies:
                value = decode(from_record(each.content["fitres.parameters"]))
                each.content["fitres.parameters"] = to_record(encode({"rows": 2 * value["rows"]}))
            return super().aggregate_train(server_round, replies)

    assert StarModelTester([[1], [2, 3]], Rows, Doubled(Total), "s3").result == 6


def test_a_strategy_may_ask_who_is_there():
    class Half(StarStrategy):
        def configure_train(self, server_round, arrays, config, grid):
            chosen = list(grid.get_node_ids())[::2]
            messages = super().configure_train(server_round, arrays, config, grid)
            return [m for m in messages if m.metadata.dst_node_id in chosen]

    assert StarModelTester([[1], [2, 3], [4, 5, 6]], Rows, Half(Total), "s3").result == 4


def test_a_strategy_may_send_messages_of_its_own():
    asked = []

    class Asks(StarStrategy):
        def configure_train(self, server_round, arrays, config, grid):
            messages = list(super().configure_train(server_round, arrays, config, grid))
            [before] = grid.send_and_receive(messages[:1])
            asked.append(decode(from_record(before.content["fitres.parameters"]))["rows"])
            [stray] = grid.send_and_receive([Message(messages[0].content, 77, "train")])
            asked.append(stray.error.reason)
            return messages

    assert StarModelTester([[1], [2, 3]], Rows, Asks(Total), "s3").result == 3
    assert asked == [1, "no node 77"]


class Lists(StarStrategy):
    def aggregate_train(self, server_round, replies):
        return super().aggregate_train(server_round, list(replies))


@pytest.mark.parametrize("strategy", [Total, Lists(Total)])
def test_a_users_exception_comes_through_as_itself(strategy):
    with pytest.raises(KeyError) as raised:
        StarModelTester([[1], None], Rows, strategy, "s3")
    assert raised.value.__notes__[-1] == "in node-1, round 1"
    assert raised.traceback[-1].name == "analysis_method"


def test_messages_can_be_made_while_another_run_ends():
    with in_process(1, 0):
        with in_process(2, 0):
            pass
        assert Message(RecordDict(), dst_node_id=1, message_type="train").metadata.run_id == 1


def test_merging_large_arrays_copies_none_of_them(monkeypatch):
    made, own = [], Array.__init__

    def counted(self, *arguments, **fields):
        made.append(fields)
        own(self, *arguments, **fields)

    monkeypatch.setattr(Array, "__init__", counted)

    class Model(Rows):
        def analysis_method(self, data, aggregator_results):
            return np.full((200, 200), float(len(data)))

    class Once(ReduceStrategy):
        reductions = Mean()
        convergence = MaxRounds(1)

        def aggregate_train(self, server_round, replies):
            made.clear()
            result = super().aggregate_train(server_round, replies)
            assert len(made) == 2  # the aggregate's own, header and model
            return result

    assert StarModelTester([[1], [2, 3]], Model, Once, "s3").result[0, 0] == 1.5


def test_an_aggregate_is_looked_through_once_a_round(monkeypatch):
    looked = []
    monkeypatch.setattr(decoder, "_check_sizes", looked.append)
    StarModelTester([[1], [2], [3]], Rows, Total, "s3", simple_analysis=False, quiet=True)
    assert len(looked) == 2, "of two rounds, and not of every node"
