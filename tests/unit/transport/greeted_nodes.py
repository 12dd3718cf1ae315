"""Nodes that are greeted, and the ready check of them."""

from echo import Analyzer

from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.transport.ready_check import say_hello


class Hospitals(LocalGrid):
    """Nodes with these node configs, in this order of arrival: so many more at every poll."""

    def __init__(self, configs, client=StarClient, at_once=None):
        plan = NodePlan(Analyzer, data_type="s3")
        super().__init__(plan, [None] * len(configs))
        for node, config in enumerate(configs, start=1):
            self.contexts[node].node_config = {"data": "builtins:dict", **config}
            self.apps[node] = make_client_app(plan, client)
        self.at_once = len(configs) if at_once is None else at_once
        self.polls = 0
        self.greeted = []

    def get_node_ids(self):
        self.polls += 1
        return super().get_node_ids()[: self.at_once * self.polls]

    def push_messages(self, messages):
        messages = list(messages)
        self.greeted += [message.metadata.dst_node_id for message in messages]
        return super().push_messages(messages)


def named(*names):
    return [{"name": name} for name in names]


def simulated(number):
    return [{"partition-id": i, "num-partitions": number} for i in range(number)]


def hello(grid, **config):
    with grid:
        config = {"node-timeout": 2.0, **config}
        return say_hello(
            grid,
            RunSettings.from_config(
                {key.replace("_", "-"): value for key, value in config.items()}
            ),
        )


def names(greetings):
    return [greeting.name for greeting in greetings]


class Saying(Hospitals):
    """Nodes of which some say something else at hello: each has its change, by its name."""

    changes = {}

    def answer(self, message):
        reply = super().answer(message)
        said = reply.content["getpropertiesres.properties"]
        for key, value in self.changes.get(said["name"], {}).items():
            said[key] = value
        return reply
