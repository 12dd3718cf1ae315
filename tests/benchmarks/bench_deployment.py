"""Time per round on a deployment of two nodes: this framework against a hand-written app.

Once on Flower's own SuperNodes and once on ours, which answer in forked processes.

The hand-written app uses ``Grid.send_and_receive`` and nothing else. The nodes keep analyzers in a
``state-dir``, as hospitals' nodes do. A third app has an analyzer with 1 MB of attributes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench_simulation import OURS, SHARED, THEIRS, median_round, write_app

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from deployment import Deployment

ROUNDS = 9
TURNS = 2
LARGE = OURS.replace(
    "    def analysis_method",
    """    def __init__(self, flame):
        super().__init__(flame)
        self.blob = np.random.default_rng(1).normal(size=2**17)

    def analysis_method""",
    1,
)


def main() -> None:
    """Print the median time of a round, the first one left out, the ratios and the difference."""
    print(f"Deployment of 2 nodes, the same FedAvg (median of rounds 2 to {ROUNDS},")
    print(f"best of {TURNS} runs each, in turn)")
    stock = measured(stock=True)
    ratio = stock["ours"] / stock["theirs"]
    print("Flower's SuperNodes:")
    print(f"  framework {stock['ours']:.2f} s, hand-written {stock['theirs']:.2f} s, ", end="")
    print(f"ratio {ratio:.2f} (at most 1.05)")
    more = stock["large"] - stock["ours"]
    print(f"  1 MB of state adds {more:.2f} s (less than 0.3 s)")
    ours = measured(stock=False)
    print("nodes of flame-flwr node start:")
    print(f"  framework {ours['ours']:.2f} s (less than 0.6 s), ", end="")
    print(f"{ours['ours'] / stock['ours']:.2f} of Flower's SuperNodes (at most 0.12)")
    print(f"  1 MB of state {ours['large']:.2f} s")  # they refuse an app that is not flame-flwr's


def measured(*, stock: bool) -> dict[str, float]:
    """Return the best median time of a round, of each app on nodes of one kind."""
    nodes = ["node-0", "node-1"]
    apps = {"ours": OURS, "large": LARGE} | ({"theirs": THEIRS} if stock else {})
    best: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        Deployment(Path(name), stock=nodes if stock else ()) as deployment,
    ):
        for i, node in enumerate(nodes):
            deployment.start_node(
                node,
                partition_id=i,
                data="bench.app:node_data",
                state_dir=f"{name}/state-{i}",
            )
        for turn in range(TURNS):
            for kind, code in apps.items():
                place = Path(name) / f"{kind}{turn}"
                source = (SHARED + code).replace("ROUNDS = 25", f"ROUNDS = {ROUNDS}")
                app = write_app(place, "bench", source)
                pyproject = app / "pyproject.toml"
                text = pyproject.read_text().replace("bench.app:node_data", "")
                pyproject.write_text(text)
                ended, _ = deployment.run(app, nodes=2, results=str(place / "out"))
                seconds = median_round(ended.succeeded, place / "out")
                best[kind] = min(seconds, best.get(kind, seconds))
    return best


if __name__ == "__main__":
    main()
