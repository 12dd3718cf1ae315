"""What the node's gate costs a message: milliseconds for 1 MB of arrays, memory for 64 MB.

Beside the same message with no gate at all: the analysis's ClientApp answers it, in this process.
The gate gets that answer as it does from an analysis's own process, and reads, filters, notes and
makes it anew. Milliseconds are the best of several runs, as the machine's load shows in all others.
Memory is beyond the message and the answer as they came, in a process of its own for each case.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path
from typing import Any

MEGABYTE, LARGE, REPEATS = 2**20, 64 * 2**20, 40
RULES = {"disclosure": "MinCount(5), MaxBins(50), MaxRows(200)"}
CLIP = {"filters": "Clip(1.0)"}
NOISE = {"filters": "Clip(1.0), GaussianNoise(norm=1.0, noise_multiplier=1.0)"}
AUDIT = {"audit-log": "audit.jsonl"}
CASES: dict[str, dict[str, str]] = {
    "gate: nothing": {},
    "gate: rules": RULES,
    "gate: audit log": AUDIT,
    "gate: clipping": CLIP,
    "gate: clipping and noise": NOISE,
    "gate: all of it": {**RULES, **AUDIT, **NOISE},
}


def main() -> None:
    """Print what each case costs, for arrays of float32 and float64."""
    print("The gate of a node, per message: 1 MB of arrays in ms, 64 MB in copies of the arrays")
    print(f"{'':28}{'float32':>16}{'float64':>18}")
    message = [_measured("message", dtype)["ms"] for dtype in ("float32", "float64")]
    print(f"{'the message with no gate':28}" + "".join(f"{ms:8.1f} ms        " for ms in message))
    for title in CASES:
        found = [_measured(title, dtype) for dtype in ("float32", "float64")]
        cells = "".join(f"{each['ms']:8.1f} ms {each['copies']:5.2f}  " for each in found)
        print(f"{title:28}{cells} (under 20 ms) (under 1.3)")


def measure(title: str, dtype: str) -> None:
    """Run one case in this process and print what it took."""
    from flame_flwr.flower import in_process

    with in_process(1, 0), tempfile.TemporaryDirectory() as folder:
        app, message, context = _asked(title, dtype, MEGABYTE, folder)
        reply = app(message, context)
        if title == "message":
            seconds = min(timeit.repeat(lambda: app(message, context), number=1, repeat=REPEATS))
            print(json.dumps({"ms": 1000 * seconds}))
            return

        def gated() -> Any:
            return _let_out(message, context, reply)

        seconds = min(timeit.repeat(gated, number=1, repeat=REPEATS))
        app, message, context = _asked(title, dtype, LARGE, folder)
        reply = app(message, context)
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        leaving = _let_out(message, context, reply)
        peak = _resident("VmHWM") - before
        assert "failure" not in leaving.content["fitres.metrics"], "the gate let nothing out"
    print(json.dumps({"ms": 1000 * seconds, "copies": peak / LARGE}))


def _measured(title: str, dtype: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, title, dtype], capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _asked(title: str, dtype: str, nbytes: int, folder: str) -> tuple[Any, Any, Any]:
    """Return an app whose gate is the node's, a message to it, and the node's context."""
    import numpy as np
    from flwr.app import ConfigRecord, Context, Message, RecordDict

    from flame_flwr.clients import NodePlan, make_client_app
    from flame_flwr.clients.app import leave_gate_to_node
    from flame_flwr.flower import set_message_id
    from flame_flwr.payload import encode, to_record
    from flame_flwr.star import StarAnalyzer

    def model(seed: int) -> Any:
        return np.random.default_rng(seed).random(nbytes // np.dtype(dtype).itemsize, dtype)

    class Analyzer(StarAnalyzer):
        def analysis_method(self, data: Any, aggregator_results: Any) -> Any:
            return {"model": found}

    found = model(2)
    leave_gate_to_node()
    config = {"round": 1, "analyzers": json.dumps(["a"])}
    records = {
        "fitins.parameters": to_record(encode({"model": model(1)})),
        "fitins.config": ConfigRecord(config),  # type: ignore[arg-type]
    }
    message = Message(RecordDict(records), 1, "train")
    set_message_id(message, "message-1")
    node = {"name": "a", **CASES.get(title, {})}
    if "audit-log" in node:
        node["audit-log"] = f"{folder}/{node['audit-log']}"
    context = Context(7, 1, node, RecordDict(), {})  # type: ignore[arg-type]
    return make_client_app(NodePlan(Analyzer)), message, context


def _let_out(message: Any, context: Any, reply: Any) -> Any:
    from flame_flwr.clients.reply_gate import ReplyGate
    from flame_flwr.clients.reply_origin import ReplyOrigin

    return ReplyGate(message, context, ReplyOrigin(gated=True, app="app")).let_out(reply)


def _resident(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(*sys.argv[1:])
    else:
        main()
