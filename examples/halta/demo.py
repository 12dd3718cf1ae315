"""The whole study, from nothing: write the hospitals' files, run it in Flower, show what it found.

``make demo`` in the repository's top folder runs this.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from flame_flwr.cli.signals import interrupt_on_signals
from flame_flwr.cli.submit import simulation, submit

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / ".demo"
HOSPITALS = 3

sys.path.insert(0, str(HERE))

from halta import synthetic  # noqa: E402


def main() -> int:
    """Run the demo; return the exit code, 0 only if the study came to its end."""
    hospitals, results = OUT / "hospitals", OUT / "results"
    synthetic.main([str(hospitals)])
    print("Starting Flower's simulation runtime; the first round takes some seconds.\n")
    config = {"data": f"{hospitals}/hospital-{{partition-id}}", "results": str(results)}
    with simulation(HOSPITALS) as federation:
        run = submit(HERE, federation, config)
    if not run.succeeded:
        print(f"\nThe study failed: {run.details}", file=sys.stderr)
        return 1
    folder = next(results.glob(f"*-{run.run_id}"))
    files = [entry["name"] for entry in json.loads((folder / "run.json").read_text())["files"]]
    print("\n" + (folder / "dataset_description_federated.txt").read_text())
    print("The four files of the study:")
    for name in files:
        print(f"  {folder / name}")
    return 0


if __name__ == "__main__":
    interrupt_on_signals()
    sys.exit(main())
