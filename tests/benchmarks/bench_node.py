"""``flame-flwr node start`` beside Flower's SuperNode, as `provision` writes them: TLS, keys, gate.

The same apps run on the same server, first on Flower's own SuperNodes and then on ours. A round is
what ``run.json`` says; the first one is left out, as it reads the data.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_simulation import OURS, SHARED, write_app

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from halta_study import EXAMPLE, modules
from provisioned import Provisioned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NODES = ("a", "b", "c")
MANY = 60
QUICKSTART = EXAMPLE.parent / "quickstart"
LARGE = """
import numpy as np
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        start = np.zeros(2**24, np.float32) if aggregator_results is None else aggregator_results
        return start + np.float32(data)


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 3


def node_data(context):
    return context.node_config["partition-id"]


model = StarModel(Analyzer, Aggregator, "s3", simple_analysis=False, output_type="pickle")
server_app = model.server_app
client_app = model.client_app
"""


def main() -> None:
    """Print seconds per round and memory, of Flower's nodes and of ours."""
    with tempfile.TemporaryDirectory() as name, federation(Path(name)) as study:
        apps = write_apps(Path(name))
        stock = measured(study, apps, stock=True)
        ours = measured(study, apps, stock=False)
    print("A provisioned server and its nodes: TLS, registered keys (median of the rounds)")
    print("                        Flower's nodes   ours with the gate   ratio")
    for what, limits in (
        ("quickstart, 2 nodes", "(at most 0.12, under 0.6 s)"),
        ("quickstart, 3 nodes", "(under 0.6 s)"),
        ("HALTA declared, 3 nodes", "(at most 0.15)"),
        ("64 MB each way, 2 nodes", "(at most 1.1)"),
    ):
        theirs, own = statistics.median(stock[what]), statistics.median(ours[what])
        print(f"{what:24}  {theirs:9.2f} s  {own:15.2f} s  {own / theirs:12.2f}   {limits}")
    longest = max(ours[f"{MANY} rounds"])
    print(f"the longest of {MANY} rounds, 2 nodes: {longest:.2f} s (at most 1.5)")
    print(
        f"memory of an idle node (PSS of its processes): {ours['memory'][0] / 2**20:.0f} MiB, "
        f"Flower's {stock['memory'][0] / 2**20:.0f} MiB (at most that)"
    )
    print(f"the same after all these runs: {ours['memory'][1] / 2**20:.0f} MiB")


@contextmanager
def federation(folder: Path) -> Iterator[Provisioned]:
    """Provision a server and three hospitals, and start the server."""
    study = Provisioned(folder)
    with modules() as (_, synthetic, _):
        synthetic.main([str(folder / "data")])
    for i, name in enumerate(NODES):
        study.add(name, folder / "data" / f"hospital-{i}")
    study.provision(study.file)
    for name in NODES:  # the same program with the same options, but Flower's
        start = study.parties / name / "start.sh"
        text = start.read_text().replace("exec flame-flwr node start", "exec flower-supernode")
        (study.parties / name / "stock.sh").write_text(text)
    try:
        study.start_server()
        study.command("sh", study.parties / "server" / "register.sh", timeout=180)
        study.states()  # writes the analyst's connection
        yield study
    finally:
        study.stop(*reversed(study.processes))


def write_apps(folder: Path) -> dict[str, Path]:
    """Write the apps; each node has its number or its folder in the node config."""
    ignored = shutil.ignore_patterns("tests", "pictures", "__pycache__")
    halta = folder / "halta"
    shutil.copytree(EXAMPLE, halta, ignore=ignored)
    pyproject = halta / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("halta.app:", "halta.declared:"))
    shutil.copytree(QUICKSTART, folder / "quickstart", ignore=ignored)
    many = SHARED.format(rounds=MANY, spent=folder / "spent") + OURS
    return {
        "quickstart": folder / "quickstart",
        "halta": halta,
        "large": write_app(folder / "large", "large", LARGE),
        "many": write_app(folder / "many", "many", many),
    }


def measured(study: Provisioned, apps: dict[str, Path], *, stock: bool) -> dict[str, list[float]]:
    """Return the seconds of rounds of every app, and bytes of memory before and after."""
    found: dict[str, list[float]] = {}
    with nodes(study, NODES, stock=stock, data="app:node_data"):
        memory = [proportional_memory(study, "a")]
        for several in (NODES, NODES[:2]):
            what = f"quickstart, {len(several)} nodes"
            found[what] = rounds(study, apps["quickstart"], several)
    with nodes(study, NODES[:2], stock=stock, data="large.app:node_data"):
        found["64 MB each way, 2 nodes"] = rounds(study, apps["large"], NODES[:2])
    if not stock:
        with nodes(study, NODES[:2], stock=stock, data="many.app:node_data"):
            found[f"{MANY} rounds"] = rounds(study, apps["many"], NODES[:2])
            memory.append(proportional_memory(study, "a"))
    with nodes(study, NODES, stock=stock, data="", preload="" if stock else "pandas,sklearn"):
        found["HALTA declared, 3 nodes"] = rounds(study, apps["halta"], NODES)
    return found | {"memory": memory}


@contextmanager
def nodes(
    study: Provisioned,
    names: Sequence[str],
    *,
    stock: bool,
    data: str,
    preload: str = "",
    **config: Any,
) -> Iterator[None]:
    """Have nodes online within the block."""
    for i, name in enumerate(NODES):
        if name not in names:
            continue
        here = study.folder / "data" / f"hospital-{i}"
        study.configure(name, data=data or str(here), partition_id=i, **config)
        script = study.parties / name / ("stock.sh" if stock else "start.sh")
        before = study.log(name).count("SuperNode ID")
        study.start(name, "sh", script, FLAME_PRELOAD=preload)
        study.wait_for(
            f"{name} is online",
            lambda name=name, before=before: study.log(name).count("SuperNode ID") > before,
        )
    try:
        yield
    finally:
        study.stop(*names)


def rounds(study: Provisioned, app: Path, names: Sequence[str]) -> list[float]:
    """Run an app on some nodes; return the seconds of its rounds but the first."""
    out = study.folder / "var" / f"{app.name}-{len(list((study.folder / 'var').iterdir()))}"
    config: dict[str, Any] = {"data": "", "results": str(out)}
    ended, log = study.run(app, ",".join(names), **config)
    if not ended.succeeded:
        raise RuntimeError(f"a run of the benchmark failed:\n{log[-3000:]}\n{study.logs()}")
    run = json.loads(next(out.glob("*/run.json")).read_text())
    return [entry["seconds"] for entry in run["history"][1:]]


def proportional_memory(study: Provisioned, name: str) -> float:
    """Return the bytes that a node's processes take, what they share counted by parts."""
    family = {study.processes[name].pid}
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().split(")")[-1].split()[1])
        except OSError:  # it has ended meanwhile
            continue
    for _ in range(5):
        family |= {pid for pid, parent in parents.items() if parent in family}
    total = 0
    for pid in family:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += 1024 * int(line.split()[1])
    return float(total)


if __name__ == "__main__":
    main()
