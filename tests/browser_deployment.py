"""A deployment of three nodes in a real browser: `tests/browser.py` calls this.

Of one the process that analyses is killed, and another one is killed whole: the page shows both
within five seconds, while the run goes on with the third. A node that is only cut off is heard of
again.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from browser_watch import text, wait

from flame_flwr.watch.page_server import PageServer
from flame_flwr.watch.runs_page import runs_page
from flame_flwr.watch.watched_runs import WatchedRuns

sys.path.insert(0, str(Path(__file__).parent / "integration"))  # as pytest has it

from deployed_app import VALUES, write_app
from deployment import Deployment

__all__ = ["watched_deployment"]

SOON = 5


@contextmanager
def watched_deployment(browser, target):
    """See which nodes go, and, after the block, how the run ends.

    Flower waits a minute for the node that was killed: there is something else to do meanwhile.

    Parameters
    ----------
    browser : WebDriver
        Chromium.
    target : Path
        The folder for screenshots.
    """
    with (
        tempfile.TemporaryDirectory(prefix="flame-flwr-browser-") as temporary,
        Deployment(Path(temporary) / "deployment", stock=()) as deployment,
    ):
        folder = Path(temporary)
        for name, value in VALUES.items():
            start_node(deployment, folder / name, value)
        (folder / "results").mkdir()
        run = begun(deployment, folder)
        runs = WatchedRuns(str(folder / "results"))
        with PageServer(runs_page(runs)).in_background() as url:
            metrics = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            browser.get(url)
            processes = {name: reached(folder / name, "round-2") for name in VALUES}
            wait(browser, "three that compute", lambda: "3 computing" in text(browser, "nodes"))
            os.kill(processes["b"], signal.SIGKILL)
            soon(browser, "b", ("failed",))
            with suspended(deployment.processes["c"].pid):
                soon(browser, "c", ("silent",))
            soon(browser, "c", ("computing",))
            deployment.kill("c", signal.SIGKILL)
            soon(browser, "c", ("silent",))
            assert state(browser, "a") == "computing"
            assert browser.save_screenshot(str(target / "watch-deployment.png"))
            (folder / "a" / "round-2.hold").unlink()
            soon(browser, "a", ("answered",))
            browser.get("about:blank")
            yield
            browser.get(url)
            wait(browser, "its end", lambda: "completed" in text(browser, "head"), seconds=90)
            assert "means.pkl" in text(browser, "files")
            browser.get("about:blank")
        run.join(60)


@contextmanager
def suspended(process):
    """Stop a program for a while: nothing comes from it, as from a machine that is cut off."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def start_node(deployment, data, value):
    """Start a node whose analysis stays in its second round."""
    data.mkdir()
    (data / "folder").write_text(str(data))
    (data / "value").write_text(str(value))
    (data / "round-2.hold").touch()
    deployment.start_node(data.name, data=str(data))


def begun(deployment, folder):
    """Begin the run in another thread."""
    app = write_app(folder / "app", "study")
    config = {"nodes": 3, "results": str(folder / "results"), "on_failure": "skip", "min_nodes": 1}
    thread = threading.Thread(target=lambda: deployment.run(app, **config), daemon=True)
    thread.start()
    return thread


def reached(folder, place, seconds=120):
    """Wait until a node is at a place; return its process."""
    file, deadline = folder / f"{place}.reached", time.monotonic() + seconds
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline, f"{folder} did not reach {place}"
        time.sleep(0.05)
    return int(file.read_text())


def state(browser, node):
    """Return what the page says of a node."""
    cell = f"//div[@id='nodes']//tr[td[1]='{node}']/td[2]"
    # in one step, as the page may be drawn anew between two
    read = "return document.evaluate(arguments[0], document, null, 2, null).stringValue"
    return browser.execute_script(read, cell)


def soon(browser, node, states):
    """See that a node is in one of these states within five seconds."""
    began = time.monotonic()
    wait(browser, f"{node}: {states}", lambda: state(browser, node) in states, seconds=SOON)
    print(f"  {node} is {state(browser, node)!r} after {time.monotonic() - began:.1f} s")
