"""A model of 2.1 GB up and down: the peaks of memory of each program, in models.

Takes three minutes and 16 GB of memory, so ``make bench`` leaves it out. A smaller model can
be named: ``python tests/benchmarks/bench_large_model.py 256`` (MB).
"""

from __future__ import annotations

import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from bench_node import LARGE, federation, nodes, rounds
from bench_simulation import write_app

PROGRAMS = {
    "flower-superlink": "SuperLink",
    "flwr-serverapp": "ServerApp",
    "flame-flwr": "node",
    "flame_flwr.node.fork_server": "the analysis's process",
}
HELD = {
    "the analysis's process": 2,  # the aggregate that it was given, and what it returns
    "ServerApp": 3,  # the last aggregate, which STAR keeps, the sum, and what is divided
}


def main(megabytes: int = 2100) -> None:
    """Print the peaks above what the programs hold before."""
    elements = megabytes * 10**6 // 4
    app = LARGE.replace("2**24", str(elements)).replace(
        "num_iterations >= 3", "num_iterations >= 1"
    )
    with tempfile.TemporaryDirectory() as name, federation(Path(name)) as study:
        folder = write_app(Path(name) / "large", "large", app)
        config = {"data": "large.app:node_data", "memory_gb": 16}
        with nodes(study, ["a"], stock=False, **config), Watch() as watch:
            seconds = rounds(study, folder, ["a"])
    print(f"A model of {megabytes} MB up and down over a deployment of 1 node: {seconds[0]:.0f} s")
    for program, peak in sorted(watch.peaks.items()):
        models = (peak - watch.before.get(program, 0)) / (megabytes * 10**6)
        beyond = f", {models - HELD[program]:.1f} beyond its own" if program in HELD else ""
        print(f"  {program:24} {models:4.1f} models{beyond} (at most 3)")


class Watch:
    """Looks at the memory of the programs, all the time."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self.before: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._note()
        self.before, self.peaks = self.peaks, {}
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self._note()

    def _note(self) -> None:
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (entry / "cmdline").read_text()
                program = next((what for key, what in PROGRAMS.items() if key in command), None)
                if program is not None:
                    pages = int((entry / "statm").read_text().split()[1])
                    self.peaks[program] = max(self.peaks.get(program, 0), 4096 * pages)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
