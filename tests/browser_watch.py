"""The analyst's page in a real browser: `tests/browser.py` calls this.

Two hundred runs and one of a hundred nodes, names that mean harm, a run in this process that is
seen until a node fails, a keyboard and nothing else, a phone, light and dark.
"""

import json
import tempfile
import threading
import time
from pathlib import Path

from axe import serious
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from watched_place import fill, finished, running, write_live

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.watch.page_server import PageServer
from flame_flwr.watch.runs_page import runs_page
from flame_flwr.watch.watched_runs import WatchedRuns

__all__ = ["look_at_runs", "only_its_own", "open_report", "text", "wait"]

HARM = "<img src=x onerror=\"document.title='harm'\"><script>document.title='harm'</script>"
BUSY, OURS = "2026-12-30T03-40-00Z-9", "2026-12-31T03-40-00Z-10"
TORN = "2026-12-29T03-40-00Z-8"


class Slow(StarAnalyzer):
    """Takes its time; one node ends in round 4."""

    def analysis_method(self, data, aggregator_results):
        time.sleep(0.4)
        if self.num_iterations == 3 and self.id == "node-1":
            raise ConnectionError("the data has gone")
        self.flame.report_metrics(loss=data / (1 + self.num_iterations))
        return data


class Average(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return False


def look_at_runs(browser, target):
    """See that the page shows what there is, and does nothing else.

    Parameters
    ----------
    browser : WebDriver
        Chromium, which writes down what is asked for.
    target : Path
        The folder for screenshots.
    """
    with tempfile.TemporaryDirectory(prefix="flame-flwr-browser-") as folder:
        place = Path(folder)
        fill(place, 199)
        finished(place, 300, error=ValueError(HARM))
        write_live(place / BUSY, busy(), beat=3600)
        with PageServer(runs_page(WatchedRuns(str(place)))).in_background() as url:
            browser.get_log("performance")
            paints = []
            for width in (1200, 390):
                for scheme in ("light", "dark"):
                    paints.append(shown(browser, url, width, scheme))
                    assert browser.save_screenshot(str(target / f"watch-{width}-{scheme}.png"))
                    found = serious(browser, target / "axe")
                    assert not found, found
            assert durations(browser, 9.96, 59.7, 119.6, 3599.7, 5400) == [
                *("10 s", "1 min 0 s", "2 min 0 s", "1 h 0 min", "1 h 30 min")
            ]
            assert min(paints) < 1000, paints  # milliseconds; the machine may be busy otherwise
            keyboard(browser, url)
            until_it_fails(browser, url, place, target)
            open_report(browser, f"{url}report/{OURS}")
            only_its_own(browser, url)
            unreadable(browser, url, place)
            browser.get("about:blank")  # before what it listens to ends


def busy():
    """Return a run of a hundred nodes, of which some mean harm, one is gone and one has failed."""
    nodes = [f"hospital-{i:03}" for i in range(97)] + [HARM, "x" * 300, "</table><h1>b</h1>"]
    record = running(nodes=nodes)
    record.stage.entry.node_seconds.update(dict.fromkeys(nodes[:60], 0.5))
    record.stage.entry.failed[HARM] = f"ValueError: {HARM}"
    record.failures.append({"round": 9, "node": HARM, "why": f"ValueError: {HARM}"})
    record.stage.gone = {"hospital-070": "its SuperNode is not online"}
    return record


def durations(browser, *seconds):
    """Return seconds as the page says them."""
    script = "const [found, done] = [[...arguments], [...arguments].at(-1)];"
    script += "import('./page.js').then((page) => done(found.slice(0, -1).map(page.duration)));"
    return browser.execute_async_script(script, *seconds)


def wait(browser, what, until, seconds=10):
    # The page may be drawn anew between finding an element and reading it: then it is looked again.
    drawn_anew = [StaleElementReferenceException]
    waiting = WebDriverWait(browser, seconds, 0.05, ignored_exceptions=drawn_anew)
    waiting.until(lambda _: until(), what)


def text(browser, place="run"):
    return browser.execute_script("return document.getElementById(arguments[0]).innerText", place)


def shown(browser, url, width, scheme):
    """Open the page, as wide and as dark as it is to be, and see what it shows, and how soon."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get("about:blank")
    browser.get(url)
    wait(browser, "the newest run", lambda: "100 nodes" in text(browser))
    paint = browser.execute_script("return performance.getEntriesByType('paint')[0].startTime")
    print(f"  {width} pixels, {scheme}: painted after {paint:.0f} ms")
    assert "201 runs" in text(browser, "count")
    for expected in ("gone, waited for", "its SuperNode is not online", HARM, "</table><h1>b</h1>"):
        assert expected in text(browser), expected
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
    assert len(browser.find_elements(By.CSS_SELECTOR, "#plots svg")) == 3
    assert not browser.find_elements(By.CSS_SELECTOR, "#run img, #run script")
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0
    assert browser.title == "running: me/stay 2.0.0", browser.title
    return paint


def keyboard(browser, url):
    """Find an older run with a keyboard alone, and read it."""
    shown(browser, url, 1200, "light")

    def press(*keys):
        ActionChains(browser).send_keys(*keys).perform()

    press(Keys.TAB, Keys.ENTER)  # the first thing is the way past the list
    assert browser.switch_to.active_element.get_attribute("id") == "run"
    press(Keys.SHIFT + Keys.TAB)
    for _ in range(300):
        if browser.switch_to.active_element.get_attribute("id") == "filter":
            break
        press(Keys.SHIFT + Keys.TAB)
    press("1.0.17 COMPLETED")
    wait(browser, "the runs that are meant", lambda: text(browser, "count") == "11 of 201 runs")
    press(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("data-key").endswith("-1179")
    press(Keys.ENTER)
    wait(browser, "the run that was chosen", lambda: "me/ages 1.0.179" in text(browser, "head"))
    assert "mean.txt" in text(browser)
    browser.back()
    wait(browser, "the run before it", lambda: "me/stay" in text(browser, "head"))


def until_it_fails(browser, url, place, target):
    """See a run in this process while it goes on, and within 5 s that a node has failed."""

    def run():
        options = {"simple_analysis": False, "filename": place / OURS / "r.txt", "quiet": False}
        try:
            StarModelTester([4.0, 8.0], Slow, Average, "s3", **options)
        except ConnectionError:
            ended.append(time.monotonic())

    ended = []
    thread = threading.Thread(target=run)
    thread.start()
    shown_rounds = set()
    while not ended:
        head = text(browser, "head")
        if OURS in head:
            shown_rounds.add(head.split("Rounds", 1)[1].split()[0])
            if "Now" in head and len(shown_rounds) == 2:
                browser.save_screenshot(str(target / "watch-goes-on.png"))
        time.sleep(0.1)
    wait(browser, "that it has failed", lambda: "failed" in text(browser, "head"), seconds=5)
    thread.join()
    assert len(shown_rounds & {"0", "1", "2", "3"}) >= 2, shown_rounds  # it was seen to go on
    assert "ConnectionError" in text(browser, "head")
    assert "node-1" in text(browser, "failures")
    assert "1 done, 1 failed" in text(browser, "nodes")
    browser.save_screenshot(str(target / "watch-failed.png"))


def open_report(browser, address):
    """Open the report of the run, which has its look, and no right to run a script."""
    page = browser.current_window_handle
    browser.find_element(By.LINK_TEXT, "Open the report").click()
    wait(browser, "the report", lambda: len(browser.window_handles) == 2)
    browser.switch_to.window(next(each for each in browser.window_handles if each != page))
    wait(browser, "its title", lambda: browser.title.startswith("Report of"))
    assert browser.current_url == address
    assert browser.execute_script("return self.origin") == "null"
    assert browser.execute_script("return document.styleSheets[0].cssRules.length") > 10
    browser.close()
    browser.switch_to.window(page)


def unreadable(browser, url, place):
    """See that of a run whose file is torn it is said, and nothing else as if it were known."""
    (place / TORN).mkdir()
    (place / TORN / "live.json").write_bytes(b'{"live": 1, "writ')
    browser.get("about:blank")
    browser.get(f"{url}#run/{TORN}")
    wait(browser, "that it is torn", lambda: "live.json is torn" in text(browser, "head"))
    assert "Rounds" not in text(browser, "head")
    assert "Since then" not in text(browser, "head")
    browser.get("about:blank")
    browser.get(f"{url}#run/%")
    wait(browser, "that there is none", lambda: "there is no run '%'" in text(browser, "head"))


def only_its_own(browser, url):
    """See that nothing else was asked for, and that the policy had nothing to refuse."""
    said = [entry["message"] for entry in browser.get_log("browser")]
    assert not said, said
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    others = [each for each in asked if not each.startswith((url, "data:", "about:"))]
    assert not others, others
