"""A simulated run in a real browser, from start to end: `tests/browser.py` calls this.

The page is open before the run begins. It shows what nodes do, rounds and plots that grow, when the
run ends at the latest, and at its end why it stopped, the files and the report.
"""

import tempfile
import threading
import time
from pathlib import Path

from browser_watch import open_report, text, wait
from flower_app import write_package

from flame_flwr.cli.simulation import simulation
from flame_flwr.cli.submit import submit
from flame_flwr.watch.page_server import PageServer
from flame_flwr.watch.runs_page import runs_page
from flame_flwr.watch.watched_runs import WatchedRuns

__all__ = ["look_at_simulation"]

ROUNDS = 6
APP = f"""
import time
from flame_flwr.aggregation import MaxRounds
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


def node_data(context):
    return float(context.node_config["partition-id"] + 1)


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        time.sleep(1.0)
        self.flame.report_metrics(loss=data / (1 + self.num_iterations))
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return False


model = StarModel(
    Analyzer, Aggregator, "s3", simple_analysis=False, convergence=MaxRounds({ROUNDS}),
    title="How a mean comes about", filename="mean.txt",
)
server_app = model.server_app
client_app = model.client_app
"""


def look_at_simulation(browser, target):
    """See a run from start to end.

    Parameters
    ----------
    browser : WebDriver
        Chromium.
    target : Path
        The folder for screenshots.
    """
    with tempfile.TemporaryDirectory(prefix="flame-flwr-browser-") as temporary:
        folder = Path(temporary)
        (folder / "results").mkdir()
        config = {"data": "means.app:node_data", "results": str(folder / "results")}
        app = write_package(folder / "app", "means", APP, config)
        runs = WatchedRuns(str(folder / "results"))
        with (
            PageServer(runs_page(runs)).in_background() as url,
            simulation(2, temporary) as federation,
        ):
            size = {"width": 1200, "height": 1200, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(url)
            ended = []
            run = threading.Thread(target=lambda: ended.append(submit(app, federation)))
            run.start()
            seen, points = _followed(browser, ended, target)
            run.join()
            assert ended[0].succeeded, ended[0].details
            wait(browser, "its end", lambda: "completed" in text(browser, "head"), seconds=5)
            head = text(browser, "head")
            assert f"It stopped: {ROUNDS} rounds are done" in head, head
            assert "2 nodes: 2 done" in text(browser, "nodes")
            assert "mean.txt" in text(browser, "files")
            assert sorted(seen) == list(seen), seen  # rounds only grow
            assert len(set(seen)) >= ROUNDS // 2, seen
            assert len(points) >= ROUNDS // 2, points
            browser.save_screenshot(str(target / "watch-simulation-end.png"))
            open_report(browser, f"{url}report/{next((folder / 'results').iterdir()).name}")
            browser.get("about:blank")  # before what it listens to ends


def _followed(browser, ended, target):
    """Return the numbers of rounds that the page has shown, and the lines of its plots."""
    seen, points, phases = [], set(), set()
    line = "return document.querySelector('#plots svg [d], #plots svg [points]')?.outerHTML ?? ''"
    while not ended:
        head, nodes = text(browser, "head"), text(browser, "nodes")
        if "running" in head and "Rounds" in head:
            seen.append(int(head.split("Rounds", 1)[1].split()[0]))
            points |= {browser.execute_script(line)} - {""}
            phases |= {each for each in ("Now", "Ends", "at the latest") if each in head}
            phases |= {each for each in ("computing", "answered") if each in nodes}
            if seen[-1] == ROUNDS // 2:
                browser.save_screenshot(str(target / "watch-simulation.png"))
        time.sleep(0.1)
    assert phases >= {"Now", "Ends", "at the latest", "computing"}, phases
    return seen, points
