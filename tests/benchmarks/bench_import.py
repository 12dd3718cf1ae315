"""What importing costs a node's process: against what any Flower app imports."""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter

STATEMENTS = {
    "import flwr.app, flwr.clientapp": "import flwr.app, flwr.clientapp",
    "import flame_flwr.star": "import flame_flwr.star",
    "... and its five names": (
        "from flame_flwr.star import "
        "StarAggregator, StarAnalyzer, StarLocalDPModel, StarModel, StarModelTester"
    ),
    "... and a model's client_app": (
        "import flwr.app, flwr.clientapp\n"
        "from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel\n"
        "class A(StarAnalyzer):\n    def analysis_method(self, data, r): return 1\n"
        "class G(StarAggregator):\n    def aggregation_method(self, rs): return 1\n"
        "    def has_converged(self, result, last): return True\n"
        "StarModel(A, G, 'none').client_app"
    ),
}
HEAVY = ("ray", "pandas", "sklearn", "matplotlib", "torch")


def seconds(statement: str) -> float:
    """Return the time of a fresh interpreter that runs a statement."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - started


def main() -> None:
    """Print the best of seven, the ratio to Flower's own, and what was imported besides."""
    print("A fresh process (best of 7, interleaved)")
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(7):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    base = min(times["import flwr.app, flwr.clientapp"])
    for name, statement in STATEMENTS.items():
        best = min(times[name])
        found = f"import sys\n{statement}\nprint([m for m in {HEAVY} if m in sys.modules])"
        heavy = subprocess.run(
            [sys.executable, "-c", found], capture_output=True, text=True, check=True
        ).stdout.strip()
        print(f"{name:34} {best:6.3f} s  {best / base:5.2f} of Flower's (at most 1.3)  {heavy}")


if __name__ == "__main__":
    main()
