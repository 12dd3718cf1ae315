"""Peak memory of a ServerApp that averages 50 nodes' models of 40 MB, beside stock Flower FedAvg.

As on a deployment: all nodes have answered, the answers lie in another process (there the
SuperLink), and what is pulled arrives as Flower's objects, in chunks, and is put together by
Flower's own code, as its ``HttpGrid`` does. What comes before the first round does not count.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

NODES, ROUNDS, BYTES = 50, 2, 40_000_000
CASES = [
    ("WeightedFedAvg, float64", "ours", "float64", "1"),
    ("WeightedFedAvg, float32", "ours", "float32", "1"),
    ("the same, one node times 1e12", "ours", "float32", "1e12"),
    ("Flower's FedAvg, float32", "theirs", "float32", "1"),
]


def main() -> None:
    """Print each peak above the start, in models."""
    print(f"Memory of a ServerApp: {NODES} nodes, a model of {BYTES // 10**6} MB, {ROUNDS} rounds")
    for title, *case in CASES:
        kind = case[0]
        done = subprocess.run(
            [sys.executable, __file__, *case], capture_output=True, text=True, timeout=1800
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        peak = json.loads(done.stdout.splitlines()[-1])["peak"]
        limit = "   (under 5)" if kind == "ours" and case[2] == "1" else ""
        print(f"{title:30} {peak / BYTES:5.1f} models{limit}")


def measure(kind: str, dtype: str, scale: str) -> None:
    """Run one case in this process, with the nodes in another one."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    answering = (there, kind, dtype, float(scale))
    nodes = multiprocessing.get_context("spawn").Process(target=serve, args=answering)
    nodes.start()
    try:
        run(kind, dtype, here)
    finally:
        here.send(None)
        nodes.join(60)


def run(kind: str, dtype: str, wire: Any) -> None:
    """Run the server's side and print how much its memory has grown."""
    import numpy as np
    from flwr.app import ArrayRecord
    from flwr.serverapp.strategy import FedAvg

    from flame_flwr.aggregation import MaxRounds
    from flame_flwr.config import RunSettings
    from flame_flwr.flower import in_process
    from flame_flwr.strategies import WeightedFedAvg

    with in_process(1, 0):
        grid = make_grid(wire)
        grid.exchange("ready")
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        if kind == "ours":
            strategy = WeightedFedAvg(convergence=MaxRounds(ROUNDS))
            strategy.start(grid, settings=RunSettings.from_config({"nodes": NODES}))
        else:
            start = ArrayRecord([np.zeros(BYTES // np.dtype(dtype).itemsize, dtype)])
            FedAvg(fraction_evaluate=0.0).start(grid, start, num_rounds=ROUNDS)
    print(json.dumps({"peak": resident("VmHWM") - before}))


def resident(name: str) -> int:
    """Return bytes of this process, such as ``VmRSS`` or ``VmHWM``, its peak."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def make_grid(wire: Any) -> Any:
    """Return a Grid whose messages' objects travel through a pipe."""
    from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

    from flame_flwr.clients.local_grid import LocalGrid

    class PipeGrid(LocalGrid):
        def __init__(self) -> None:
            super().__init__(None, [None] * NODES)  # type: ignore[arg-type]
            self.count = 0

        def exchange(self, request: Any) -> Any:
            wire.send(request)
            return wire.recv()

        def push_messages(self, messages: Any) -> list[str]:
            ids, pushed = [], []
            for message in messages:
                self.count += 1
                ids.append(f"message-{self.count}")
                for number, part in get_all_nested_objects(message).items():
                    if number not in pushed:
                        part.deflate()
                        pushed.append(number)
                config = {
                    key: dict(record) for key, record in message.content.config_records.items()
                }
                meta = message.metadata
                self.exchange((ids[-1], meta.dst_node_id, meta.message_type, config))
            return ids

        def pull_messages(self, message_ids: Any) -> list[Any]:
            found = []
            for key in message_ids:
                top, parts = self.exchange(key)
                contents = {part: wire.recv_bytes() for part in parts}
                message: Any = inflate_object_from_contents(top, contents)
                message.metadata.__dict__["_reply_to_message_id"] = key
                found.append(message)
            return found

        def send_and_receive(self, messages: Any, *, timeout: Any = None) -> list[Any]:
            return self.pull_messages(self.push_messages(messages))

    return PipeGrid()


def serve(wire: Any, kind: str, dtype: str, scale: float) -> None:
    """Be the nodes, and the SuperLink that keeps their answers until they are pulled."""
    import numpy as np
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

    from flame_flwr.clients import NodePlan
    from flame_flwr.clients.local_grid import LocalGrid
    from flame_flwr.payload import encode, to_record
    from flame_flwr.star import StarAnalyzer

    def model(node: int) -> Any:
        random = np.random.default_rng(node)
        found = random.standard_normal(BYTES // np.dtype(dtype).itemsize, dtype)
        found *= np.dtype(dtype).type(scale if node == 1 else 1)
        return found

    class Analyzer(StarAnalyzer):
        def analysis_method(self, data: Any, aggregator_results: Any) -> Any:
            return {"model": [model(data)], "local_n_samples": 50 + 7 * data}

    theirs = ClientApp()

    @theirs.train()
    def train(message: Any, context: Any) -> Any:
        node = context.node_config["partition-id"]
        content = {
            "arrays": ArrayRecord([model(node)]),
            "metrics": MetricRecord({"num-examples": 50 + 7 * node}),
        }
        return Message(RecordDict(content), reply_to=message)

    asked: dict[str, Any] = {}
    with LocalGrid(NodePlan(Analyzer, data_type="s3"), list(range(NODES))) as grid:
        if kind == "theirs":
            grid.apps = dict.fromkeys(grid.apps, theirs)
        while (request := wire.recv()) is not None:
            if request == "ready":
                wire.send(None)
            elif isinstance(request, tuple):
                asked[request[0]] = request
                wire.send(None)
            else:
                _, node, what, config = asked.pop(request)
                records: dict[str, Any] = {k: ConfigRecord(v) for k, v in config.items()}
                records["fitins.parameters"] = to_record(encode(None))
                (key,) = grid.push_messages([Message(RecordDict(records), node, what)])
                (reply,) = grid.pull_messages([key])
                parts = get_all_nested_objects(reply)
                wire.send((reply.object_id, list(parts)))
                for part in parts.values():
                    wire.send_bytes(part.deflate())


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(*sys.argv[1:])
    else:
        main()
