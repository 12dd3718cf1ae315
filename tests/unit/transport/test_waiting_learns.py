"""What waiting for one round's replies teaches the next round's."""

from types import SimpleNamespace

import pytest

from flame_flwr.transport.wait_for_replies import pull


class Together:
    """All replies are there at the first question."""

    moving = False

    def take(self, ids):
        for key in ids:
            yield SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id=key))


class Learns:
    news = 0

    def begin(self, at_most):
        pass

    def note_news(self):
        self.news += 1


@pytest.mark.parametrize("nodes", [1, 3])
def test_replies_that_come_together_tell_the_time_too(nodes):
    """Or every round of a run waits as long as its one slow round did."""
    message = SimpleNamespace(metadata=SimpleNamespace(dst_node_id=7))
    sent, polling = {f"message-{n}": message for n in range(nodes)}, Learns()
    names = {key: key for key in sent}
    options = {"timeout": 60.0, "what": "round 1", "names": names, "polling": polling}
    assert len(list(pull(None, sent, arrivals=Together(), **options))) == nodes
    assert polling.news == 1
