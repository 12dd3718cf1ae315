"""Time per round on a deployment of two SuperNodes: this framework against a hand-written app.

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
    """Print the median time of a round, the first one left out, the ratio and the difference."""
    print(f"Deployment of 2 SuperNodes, the same FedAvg (median of rounds 2 to {ROUNDS},")
    print(f"best of {TURNS} runs each, in turn)")
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, Deployment(Path(name)) as deployment:
        for i in range(2):
            deployment.start_node(
                f"node-{i}",
                partition_id=i,
                data="bench.app:node_data",
                state_dir=f"{name}/state-{i}",
            )
        for turn in range(TURNS):
            for kind, code in (("ours", OURS), ("theirs", THEIRS), ("large", LARGE)):
                place = Path(name) / f"{kind}{turn}"
                source = (SHARED + code).replace("ROUNDS = 25", f"ROUNDS = {ROUNDS}")
                app = write_app(place, "bench", source)
                pyproject = app / "pyproject.toml"
                text = pyproject.read_text().replace("bench.app:node_data", "")
                pyproject.write_text(text)
                ended, _ = deployment.run(app, nodes=2, results=str(place / "out"))
                seconds = median_round(ended.succeeded, place / "out")
                best[kind] = min(seconds, best.get(kind, seconds))
    ratio = best["ours"] / best["theirs"]
    print(f"framework {best['ours']:.2f} s, hand-written {best['theirs']:.2f} s, ", end="")
    print(f"ratio {ratio:.2f} (at most 1.05)")
    more = best["large"] - best["ours"]
    print(f"1 MB of state adds {more:.2f} s (less than 0.3 s)")


if __name__ == "__main__":
    main()
